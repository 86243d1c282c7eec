#include "common/base64.hpp"

#include <openssl/evp.h>

std::string base64_encode(std::span<const unsigned char> bytes) {
    // EVP_EncodeBlock ends what it writes with a NUL, so one byte more is needed.
    std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');
    const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes.data(),
                                     static_cast<int>(bytes.size()));
    text.resize(static_cast<std::size_t>(size));
    return text;
}

std::optional<std::size_t> base64_decoded_size(std::string_view text) {
    constexpr std::string_view alphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const auto padding = text.size() - (text.find_last_not_of('=') + 1);
    if (text.size() % 4 != 0 || padding > 2) return std::nullopt;
    text.remove_suffix(padding);
    if (text.find_first_not_of(alphabet) != std::string_view::npos) return std::nullopt;
    return (text.size() + padding) / 4 * 3 - padding;
}
