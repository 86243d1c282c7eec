#include "certificate.hpp"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <array>
#include <cstdint>
#include <stdexcept>

namespace {

using Extension = std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>>;

void add_extension(X509& certificate, int nid, const char* value) {
    const Extension extension{X509V3_EXT_conf_nid(nullptr, nullptr, nid, value)};
    require(extension != nullptr, "X509V3_EXT_conf_nid");
    require(X509_add_ext(&certificate, extension.get(), -1) == 1, "X509_add_ext");
}

void set_random_serial(X509& certificate) {
    std::uint64_t serial = 0;
    require(RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) == 1,
            "RAND_bytes");
    // Positive (RFC 5280 §4.1.2.2), and its own: browsers refuse two certificates of one issuer
    // with the same number.
    require(ASN1_INTEGER_set_uint64(X509_get_serialNumber(&certificate), serial >> 1) == 1,
            "ASN1_INTEGER_set_uint64");
}

}  // namespace

Certificate make_self_signed_certificate() {
    Certificate made{X509Certificate{X509_new()}, PrivateKey{EVP_EC_gen("P-256")}};
    require(made.x509 && made.key, "EVP_EC_gen");
    X509& x509 = *made.x509;
    require(X509_set_version(&x509, X509_VERSION_3) == 1, "X509_set_version");
    set_random_serial(x509);
    constexpr long hour = 3600;
    require(X509_gmtime_adj(X509_getm_notBefore(&x509), -hour) &&  // clocks differ
                X509_gmtime_adj(X509_getm_notAfter(&x509), certificate_days * 24 * hour),
            "X509_gmtime_adj");
    require(X509_set_pubkey(&x509, made.key.get()) == 1, "X509_set_pubkey");
    X509_NAME* name = X509_get_subject_name(&x509);
    const auto* localhost = reinterpret_cast<const unsigned char*>("localhost");
    require(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, localhost, -1, -1, 0) == 1,
            "X509_NAME_add_entry_by_txt");
    require(X509_set_issuer_name(&x509, name) == 1, "X509_set_issuer_name");
    add_extension(x509, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:::1");
    add_extension(x509, NID_basic_constraints, "critical,CA:FALSE");
    add_extension(x509, NID_key_usage, "critical,digitalSignature");
    add_extension(x509, NID_ext_key_usage, "serverAuth");
    require(X509_sign(&x509, made.key.get(), EVP_sha256()) > 0, "X509_sign");
    return made;
}

std::string fingerprint(const X509& certificate) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    require(X509_digest(&certificate, EVP_sha256(), digest.data(), &size) == 1, "X509_digest");
    constexpr const char* digits = "0123456789ABCDEF";
    std::string text;
    for (unsigned i = 0; i < size; ++i) {
        if (i > 0) text += ':';
        text += {digits[digest[i] >> 4], digits[digest[i] & 15]};
    }
    return text;
}

void require(bool success, const char* call) {
    if (!success) throw std::runtime_error{openssl_error(call)};
}

std::string openssl_error(const std::string& what) {
    // The oldest error is the cause; the newer ones say only which calls failed of it.
    const char* reason = ERR_reason_error_string(ERR_peek_error());
    ERR_clear_error();
    return what + ": " + (reason ? reason : "unknown error");
}
