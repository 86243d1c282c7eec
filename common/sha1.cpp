#include "common/sha1.hpp"

#include <openssl/evp.h>

#include <stdexcept>

Sha1Digest sha1(std::string_view text) {
    Sha1Digest digest;
    if (EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha1(), nullptr) != 1)
        throw std::runtime_error{"EVP_Digest: libcrypto has no SHA-1"};
    return digest;
}
