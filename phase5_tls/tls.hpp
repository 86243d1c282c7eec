// TLS over a non-blocking socket, with OpenSSL.
#pragma once

#include <openssl/ssl.h>

#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "certificate.hpp"
#include "transport.hpp"
#include "write_queue.hpp"

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

    /// To be called now and then, with the time of day: makes new ticket keys every 12 hours, and a
    /// new certificate, where it was made here, halfway through its life; then it returns true.
    /// What is open goes on with what it began with. Throws std::runtime_error; then the old stays
    /// in use for 12 hours more.
    bool renew(std::time_t now);

    SSL_CTX* get() const { return context_.get(); }

    /// Between OpenSSL and the sockets of all connections; each has it for its turn.
    BIO* bio() const { return bio_.get(); }

private:
    explicit TlsContext(const Certificate& certificate);

    void renew_ticket_keys();

    std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>> context_;
    std::unique_ptr<BIO, Free<BIO_free_all>> bio_;
    std::time_t tickets_since_ = std::time(nullptr);
    std::time_t made_ = 0;  // the certificate was, here; 0: it is from a file
};

struct SocketBio;

class TlsTransport : public Transport {
public:
    /// Waits for a client's handshake, which receive() carries on. Throws std::runtime_error.
    TlsTransport(UniqueFd socket, const TlsContext& context);

    IoResult receive(std::span<std::byte> buffer) override;
    IoResult send(std::span<const iovec> slices) override;
    bool has_unsent() const override { return !unsent_.empty(); }
    bool shut_down() override;
    bool ready() const override { return !broken_ && SSL_is_init_finished(ssl_.get()) == 1; }

private:
    friend struct SocketBio;

    SocketBio& begin_turn();
    bool flush(SocketBio& bio);
    std::size_t send_some(std::span<const std::byte> records);
    IoResult::Status status_of(int result);
    IoResult::Status status_of_read(int result);
    void on_failure();

    UniqueFd socket_;
    char first_byte_ = '\0';  // of the peer's
    bool broken_ = false;
    bool discarding_ = false;   // what comes is of no interest any more
    bool may_receive_ = false;  // the socket was not read in this turn
    bool starved_ = false;      // OpenSSL has asked for more than that gave
    int useless_ = 0;           // records without data, in a row
    bool at_end_ = false;       // the peer has ended its stream
    bool notified_ = false;     // close_notify was sent
    bool gone_ = false;
    std::unique_ptr<SSL, Free<SSL_free>> ssl_;
    std::vector<std::byte> unread_;  // records for which there was no time in this turn
    WriteQueue unsent_;              // records that the socket would not take yet
};
