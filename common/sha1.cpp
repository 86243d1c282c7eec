#include "common/sha1.hpp"

#include <openssl/evp.h>

#include <stdexcept>

Sha1Digest sha1(std::string_view text) {
    static const EVP_MD* const algorithm =
        EVP_MD_fetch(nullptr, "SHA1", nullptr);  // looked up once
    Sha1Digest digest;
    if (!algorithm ||
        EVP_Digest(text.data(), text.size(), digest.data(), nullptr, algorithm, nullptr) != 1)
        throw std::runtime_error{"EVP_Digest: libcrypto has no SHA-1"};
    return digest;
}
