// The server's certificate and private key.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <vector>

/// Calls one of OpenSSL's free functions.
template <auto function>
struct Free {
    template <typename Object>
    void operator()(Object* object) const {
        function(object);
    }
};

using PrivateKey = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using X509Certificate = std::unique_ptr<X509, Free<X509_free>>;

struct Certificate {
    X509Certificate x509;
    PrivateKey key;
    std::vector<X509Certificate> chain{};  // those that vouch for it
    std::string name = "made here";        // or its file
};

/// How long a certificate that is made here is valid.
constexpr long certificate_days = 30;

/// A P-256 key and a certificate for localhost, 127.0.0.1 and ::1, signed by itself: enough to try
/// things out, and to be warned of by every browser. Throws std::runtime_error.
Certificate make_self_signed_certificate();

/// SHA-256 over the DER form, as browsers show it: "AB:CD:…".
std::string fingerprint(const X509& certificate);

/// Throws std::runtime_error with openssl_error() for a call that did not succeed.
void require(bool success, const char* call);

/// "what: " and OpenSSL's reason for the failure; empties its queue of errors.
std::string openssl_error(const std::string& what);
