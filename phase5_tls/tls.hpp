// TLS over a non-blocking socket, with OpenSSL.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <vector>

#include "certificate.hpp"
#include "transport.hpp"

/// What all TLS connections of a server share: its certificate and the rules.
class TlsContext {
public:
    /// With a certificate made on the spot. Throws std::runtime_error.
    TlsContext();
    /// With PEM files: the certificate (and its chain), and the key. Throws std::runtime_error that
    /// names the file at fault.
    TlsContext(const std::string& certificate_file, const std::string& key_file);

    /// The SHA-256 fingerprint of the certificate.
    std::string fingerprint() const;

    SSL_CTX* get() const { return context_.get(); }

private:
    std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>> context_;
};

class TlsTransport : public Transport {
public:
    /// Waits for a client's handshake, which receive() carries on. Throws std::runtime_error.
    TlsTransport(UniqueFd socket, const TlsContext& context);

    IoResult receive(std::span<std::byte> buffer) override;
    IoResult send(std::span<const iovec> slices) override;
    bool has_unsent() const override { return !records_.empty(); }
    bool shut_down() override;
    bool ready() const override { return !broken_ && SSL_is_init_finished(ssl_.get()) == 1; }

private:
    // The BIO between OpenSSL and the socket: its reads go straight through; its writes gather
    // whole records in records_, so that several of them leave in one send.
    friend struct SocketBio;

    void make_room(std::span<const iovec> slices);
    bool flush();
    IoResult::Status status_of(int result);
    void on_failure();

    UniqueFd socket_;
    bool broken_ = false;
    bool discarding_ = false;  // what comes is of no interest any more
    bool drained_ = false;     // this turn has read all that the socket had
    bool notified_ = false;    // close_notify was sent
    bool gone_ = false;
    std::unique_ptr<SSL, Free<SSL_free>> ssl_;
    std::vector<std::byte> records_;
    std::size_t sent_ = 0;  // of records_
};
