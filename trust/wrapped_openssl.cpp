// The calls of OpenSSL that phase 5 makes and that can fail: here they do, and leave an error in
// the queue as OpenSSL does. How the linker gets here is told in wrapped_calls.cpp.
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cstdarg>

#include "fault.hpp"

// NOLINTBEGIN(bugprone-reserved-identifier): the linker's names
#define WRAP(type, name, whom, parameters, arguments, failed)              \
    static const int call_##name =                                         \
        declare_call({#name, "OpenSSL calls that fail", whom, {failure}}); \
    extern "C" type __real_##name parameters;                              \
    extern "C" type __wrap_##name parameters {                             \
        if (strike(call_##name) == 0) return __real_##name arguments;      \
        ERR_raise(ERR_LIB_SSL, ERR_R_INTERNAL_ERROR);                      \
        return failed;                                                     \
    }

WRAP(SSL_CTX*, SSL_CTX_new, For::certificate, (const SSL_METHOD* method), (method), nullptr)
WRAP(int, SSL_CTX_set_cipher_list, For::certificate, (SSL_CTX * context, const char* list),
     (context, list), 0)
WRAP(int, SSL_CTX_set_ciphersuites, For::certificate, (SSL_CTX * context, const char* list),
     (context, list), 0)
WRAP(int, SSL_CTX_set_session_id_context, For::certificate,
     (SSL_CTX * context, const unsigned char* id, unsigned size), (context, id, size), 0)
WRAP(int, SSL_CTX_use_certificate, For::certificate, (SSL_CTX * context, X509* x509),
     (context, x509), 0)
WRAP(int, SSL_CTX_use_PrivateKey, For::certificate, (SSL_CTX * context, EVP_PKEY* key),
     (context, key), 0)
WRAP(BIO*, BIO_new_mem_buf, For::certificate, (const void* bytes, int size), (bytes, size), nullptr)
WRAP(X509*, PEM_read_bio_X509_AUX, For::certificate,
     (BIO * bio, X509** into, pem_password_cb* ask, void* argument), (bio, into, ask, argument),
     nullptr)
WRAP(X509*, PEM_read_bio_X509, For::certificate,
     (BIO * bio, X509** into, pem_password_cb* ask, void* argument), (bio, into, ask, argument),
     nullptr)
WRAP(EVP_PKEY*, PEM_read_bio_PrivateKey, For::certificate,
     (BIO * bio, EVP_PKEY** into, pem_password_cb* ask, void* argument), (bio, into, ask, argument),
     nullptr)
WRAP(int, X509_check_private_key, For::certificate, (const X509* x509, const EVP_PKEY* key),
     (x509, key), 0)
WRAP(SSL*, SSL_new, For::client, (SSL_CTX * context), (context), nullptr)
WRAP(int, SSL_read_ex, For::client, (SSL * ssl, void* buffer, std::size_t size, std::size_t* done),
     (ssl, buffer, size, done), 0)
WRAP(int, SSL_write_ex, For::client,
     (SSL * ssl, const void* buffer, std::size_t size, std::size_t* done),
     (ssl, buffer, size, done), 0)
WRAP(int, SSL_shutdown, For::client, (SSL * ssl), (ssl), -1)
WRAP(BIO*, BIO_new, For::certificate, (const BIO_METHOD* method), (method), nullptr)
WRAP(int, BIO_get_new_index, For::certificate, (), (), -1)
WRAP(BIO_METHOD*, BIO_meth_new, For::certificate, (int type, const char* name), (type, name),
     nullptr)
WRAP(X509*, X509_new, For::certificate, (), (), nullptr)
WRAP(int, X509_set_version, For::certificate, (X509 * x509, long version), (x509, version), 0)
WRAP(int, ASN1_INTEGER_set_uint64, For::certificate, (ASN1_INTEGER * number, std::uint64_t value),
     (number, value), 0)
WRAP(ASN1_TIME*, X509_gmtime_adj, For::certificate, (ASN1_TIME * time, long offset), (time, offset),
     nullptr)
WRAP(int, X509_set_pubkey, For::certificate, (X509 * x509, EVP_PKEY* key), (x509, key), 0)
WRAP(int, X509_NAME_add_entry_by_txt, For::certificate,
     (X509_NAME * name, const char* field, int type, const unsigned char* bytes, int size,
      int place, int set),
     (name, field, type, bytes, size, place, set), 0)
WRAP(int, X509_set_issuer_name, For::certificate, (X509 * x509, const X509_NAME* name),
     (x509, name), 0)
WRAP(X509_EXTENSION*, X509V3_EXT_conf_nid, For::certificate,
     (LHASH_OF(CONF_VALUE) * conf, X509V3_CTX* context, int nid, const char* value),
     (conf, context, nid, value), nullptr)
WRAP(int, X509_add_ext, For::certificate, (X509 * x509, X509_EXTENSION* extension, int place),
     (x509, extension, place), 0)
WRAP(int, X509_sign, For::certificate, (X509 * x509, EVP_PKEY* key, const EVP_MD* digest),
     (x509, key, digest), 0)
WRAP(int, X509_digest, For::certificate,
     (const X509* x509, const EVP_MD* digest, unsigned char* bytes, unsigned* size),
     (x509, digest, bytes, size), 0)
WRAP(int, RAND_bytes, For::certificate, (unsigned char* bytes, int size), (bytes, size), 0)
WRAP(int, EVP_Digest, For::client,
     (const void* data, std::size_t count, unsigned char* bytes, unsigned* size,
      const EVP_MD* digest, ENGINE* engine),
     (data, count, bytes, size, digest, engine), 0)

// One call for many settings (SSL_CTX_ctrl(3)): the one that is a promise is the oldest version.
static const int call_min_version = declare_call(
    {"SSL_CTX_set_min_proto_version", "OpenSSL calls that fail", For::certificate, {failure}});
extern "C" long __real_SSL_CTX_ctrl(SSL_CTX*, int, long, void*);
extern "C" long __wrap_SSL_CTX_ctrl(SSL_CTX* context, int command, long number, void* pointer) {
    if (command == SSL_CTRL_SET_MIN_PROTO_VERSION && strike(call_min_version) != 0) return 0;
    return __real_SSL_CTX_ctrl(context, command, number, pointer);
}

// EVP_EC_gen, where it is a macro.
static const int call_keygen =
    declare_call({"EVP_PKEY_Q_keygen", "OpenSSL calls that fail", For::certificate, {failure}});
extern "C" EVP_PKEY* __real_EVP_PKEY_Q_keygen(OSSL_LIB_CTX*, const char*, const char*, ...);
extern "C" EVP_PKEY* __wrap_EVP_PKEY_Q_keygen(OSSL_LIB_CTX* library, const char* properties,
                                              const char* type, ...) {
    va_list arguments;
    va_start(arguments, type);
    const char* curve = va_arg(arguments, const char*);
    va_end(arguments);
    if (strike(call_keygen) != 0) return nullptr;
    return __real_EVP_PKEY_Q_keygen(library, properties, type, curve);
}
// NOLINTEND(bugprone-reserved-identifier)
