#include "certificate_file.hpp"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#include <stdexcept>

#include "common/error.hpp"
#include "common/log.hpp"
#include "common/unique_fd.hpp"

namespace {

using Bio = std::unique_ptr<BIO, Free<BIO_free_all>>;

/// Far more than a chain of certificates takes, in bytes.
constexpr off_t max_file = 1 << 20;

[[noreturn]] void refuse(const std::string& what, const char* why) {
    ERR_clear_error();
    throw std::runtime_error{what + ": " + why};
}

// A reload must not wait, as a FIFO could make it do, and must find the same again.
std::string read_file(const std::string& path, const std::string& what) {
    const UniqueFd file{open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
    struct stat info {};
    if (!file || fstat(file.get(), &info) < 0) throw_errno(what);
    if (S_ISDIR(info.st_mode)) refuse(what, "it is a directory");
    if (!S_ISREG(info.st_mode)) refuse(what, "it is not a regular file");
    if (info.st_size > max_file) refuse(what, "it is too long");
    std::string text(static_cast<std::size_t>(info.st_size), '\0');
    const ssize_t size = check(read(file.get(), text.data(), text.size()), what.c_str());
    text.resize(static_cast<std::size_t>(size));
    return text;
}

Bio bio_of(const std::string& text) {
    Bio bio{BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))};
    require(bio != nullptr, "BIO_new_mem_buf");
    return bio;
}

/// Whether a PEM file was read to its end, and all of it was right.
bool is_at_end() {
    const unsigned long error = ERR_peek_last_error();
    return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

// The first one comes with what OpenSSL may have written behind it: for which uses it is trusted.
void read_chain(const std::string& file, Certificate& into) {
    const std::string what = "cannot use the certificate " + file;
    const std::string text = read_file(file, what);
    const Bio bio = bio_of(text);
    into.x509.reset(PEM_read_bio_X509_AUX(bio.get(), nullptr, nullptr, nullptr));
    if (!into.x509)
        refuse(what, is_at_end() ? "there is no PEM certificate in it" : "it is damaged");
    while (X509* issuer = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr))
        into.chain.emplace_back(issuer);
    if (!is_at_end()) refuse(what, "it is damaged");
    ERR_clear_error();
}

/// Nobody is there to type a password: without this, OpenSSL would ask for it on the terminal.
int refuse_password(char*, int, int, void* asked) {
    *static_cast<bool*>(asked) = true;
    return -1;
}

void read_key(const std::string& file, Certificate& into) {
    const std::string what = "cannot use the key " + file;
    std::string text = read_file(file, what);
    const Bio bio = bio_of(text);
    bool asked = false;
    into.key.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, refuse_password, &asked));
    const bool has_one = text.find("PRIVATE KEY-----") != std::string::npos;
    OPENSSL_cleanse(text.data(), text.size());
    if (into.key) return;
    if (asked) refuse(what, "it has a password");
    refuse(what, has_one ? "it is damaged" : "there is no PEM private key in it");
}

void tell_wrong_dates(const X509& x509, const std::string& file) {
    if (X509_cmp_current_time(X509_get0_notAfter(&x509)) < 0)
        log_line("the certificate ", file, " has expired");
    if (X509_cmp_current_time(X509_get0_notBefore(&x509)) > 0)
        log_line("the certificate ", file, " is not valid yet");
}

}  // namespace

Certificate read_certificate(const std::string& certificate_file, const std::string& key_file) {
    ERR_clear_error();
    Certificate certificate;
    certificate.name = certificate_file;
    read_chain(certificate_file, certificate);
    read_key(key_file, certificate);
    if (X509_check_private_key(certificate.x509.get(), certificate.key.get()) != 1)
        refuse("cannot use the key " + key_file, "it is the key of another certificate");
    tell_wrong_dates(*certificate.x509, certificate_file);
    return certificate;
}
