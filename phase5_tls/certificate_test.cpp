#include "certificate.hpp"

#include <doctest/doctest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include <array>
#include <cstdint>
#include <ctime>
#include <string>

namespace {

bool is_for_host(const Certificate& certificate, const char* host) {
    return X509_check_host(certificate.x509.get(), host, 0, 0, nullptr) == 1;
}

bool is_for_ip(const Certificate& certificate, const char* address) {
    return X509_check_ip_asc(certificate.x509.get(), address, 0) == 1;
}

/// Whether the certificate is valid at a time, in seconds from now.
bool is_valid_in(const Certificate& certificate, std::time_t seconds) {
    std::time_t then = std::time(nullptr) + seconds;
    const int after = X509_cmp_time(X509_get0_notBefore(certificate.x509.get()), &then);
    const int before = X509_cmp_time(X509_get0_notAfter(certificate.x509.get()), &then);
    return after < 0 && before > 0;
}

constexpr std::time_t day = 24 * 3600;

}  // namespace

TEST_CASE("the certificate that is made is for this machine's names and no other") {
    const Certificate certificate = make_self_signed_certificate();
    CHECK(is_for_host(certificate, "localhost"));
    CHECK(is_for_ip(certificate, "127.0.0.1"));
    CHECK(is_for_ip(certificate, "::1"));
    CHECK(!is_for_host(certificate, "example.org"));
    CHECK(!is_for_ip(certificate, "127.0.0.2"));
}

TEST_CASE("it is valid now, for a clock that is slow too, and for 30 days") {
    const Certificate certificate = make_self_signed_certificate();
    CHECK(is_valid_in(certificate, 0));
    CHECK(is_valid_in(certificate, -1800));
    CHECK(is_valid_in(certificate, 29 * day));
    CHECK(!is_valid_in(certificate, 31 * day));
    CHECK(!is_valid_in(certificate, -1 * day));
}

TEST_CASE("it is signed by itself, with the key that comes with it: P-256") {
    const Certificate certificate = make_self_signed_certificate();
    CHECK(X509_verify(certificate.x509.get(), certificate.key.get()) == 1);
    CHECK(X509_check_private_key(certificate.x509.get(), certificate.key.get()) == 1);
    CHECK(X509_NAME_cmp(X509_get_subject_name(certificate.x509.get()),
                        X509_get_issuer_name(certificate.x509.get())) == 0);
    std::array<char, 80> group{};
    CHECK(EVP_PKEY_get_group_name(certificate.key.get(), group.data(), group.size(), nullptr) == 1);
    CHECK(std::string{group.data()} == "prime256v1");
}

TEST_CASE("it is for servers, and signs no other certificate (RFC 5280 §4.2.1)") {
    const Certificate certificate = make_self_signed_certificate();
    CHECK(X509_get_extended_key_usage(certificate.x509.get()) == XKU_SSL_SERVER);
    CHECK(X509_get_key_usage(certificate.x509.get()) == KU_DIGITAL_SIGNATURE);
    CHECK(X509_check_ca(certificate.x509.get()) == 0);
}

TEST_CASE("each has its own positive number (RFC 5280 §4.1.2.2)") {
    const Certificate one = make_self_signed_certificate();
    const Certificate two = make_self_signed_certificate();
    const ASN1_INTEGER* const first = X509_get0_serialNumber(one.x509.get());
    CHECK(ASN1_INTEGER_cmp(first, X509_get0_serialNumber(two.x509.get())) != 0);
    std::uint64_t number = 0;
    CHECK(ASN1_INTEGER_get_uint64(&number, first) == 1);
    CHECK(number > 0);
    CHECK(fingerprint(*one.x509) != fingerprint(*two.x509));
}

TEST_CASE("a fingerprint is SHA-256 over the DER form, as browsers show it") {
    const Certificate certificate = make_self_signed_certificate();
    const std::string text = fingerprint(*certificate.x509);
    CHECK(text.size() == 32 * 3 - 1);

    unsigned char* der = nullptr;
    const int size = i2d_X509(certificate.x509.get(), &der);
    REQUIRE(size > 0);
    std::array<unsigned char, 32> digest{};
    CHECK(EVP_Digest(der, static_cast<std::size_t>(size), digest.data(), nullptr, EVP_sha256(),
                     nullptr) == 1);
    OPENSSL_free(der);
    std::string expected;
    for (const unsigned char byte : digest) {
        constexpr const char* digits = "0123456789ABCDEF";
        expected += {digits[byte / 16], digits[byte % 16], ':'};
    }
    expected.pop_back();
    CHECK(text == expected);
}

TEST_CASE("an error of OpenSSL is told by its reason, and taken off its queue") {
    ERR_clear_error();
    ERR_raise(ERR_LIB_X509, X509_R_KEY_VALUES_MISMATCH);
    ERR_raise(ERR_LIB_SSL, ERR_R_X509_LIB);
    CHECK(openssl_error("cannot use the key") == "cannot use the key: key values mismatch");
    CHECK(ERR_peek_error() == 0);
    CHECK(openssl_error("what") == "what: unknown error");
}
