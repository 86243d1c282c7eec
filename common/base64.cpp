#include "common/base64.hpp"

#include <openssl/evp.h>

#include <vector>

std::string base64_encode(std::span<const unsigned char> bytes) {
    // EVP_EncodeBlock ends what it writes with a NUL, so one byte more is needed.
    std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');
    const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes.data(),
                                     static_cast<int>(bytes.size()));
    text.resize(static_cast<std::size_t>(size));
    return text;
}

std::optional<std::size_t> base64_decoded_size(std::string_view text) {
    if (text.size() % 4 != 0 || text.size() > 1 << 20) return std::nullopt;
    std::vector<unsigned char> bytes(text.size() / 4 * 3);
    const int size =
        EVP_DecodeBlock(bytes.data(), reinterpret_cast<const unsigned char*>(text.data()),
                        static_cast<int>(text.size()));
    if (size < 0) return std::nullopt;
    // EVP_DecodeBlock counts padding as zero bytes (and skips white space): take the padding off,
    // and ask whether the bytes are spelt like this.
    const auto padding = text.size() - (text.find_last_not_of('=') + 1);
    if (padding > 2) return std::nullopt;
    bytes.resize(static_cast<std::size_t>(size) - padding);
    if (base64_encode(bytes) != text) return std::nullopt;
    return bytes.size();
}
