// A client that says what a script tells it to, over TCP or TLS, and knows what has to come back.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "common/test_bytes.hpp"
#include "common/unique_fd.hpp"

/// The server has ended the connection, which it may do to the one that a fault has hit.
struct Ended : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// What must never happen: an answer that is wrong, or none and no end either.
struct Lied : std::runtime_error {
    using std::runtime_error::runtime_error;
};

class Peer {
public:
    Peer(std::uint16_t port, bool tls);
    ~Peer();
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;

    /// The opening handshake.
    void upgrade();
    void send(std::span<const std::byte> bytes);
    void send(std::string_view text) { send(std::as_bytes(std::span{text})); }
    /// A text message goes there, and comes back.
    void echo(std::string_view text);
    /// The next frame that is no PING; an unfinished one is Ended.
    void expect(std::span<const std::byte> frame);
    void expect_ping();
    /// All until the end of the stream begins like this.
    void expect_answer(std::string_view start);
    /// The closing handshake, which either side has begun.
    void close(std::uint16_t code);
    void answer_close(std::uint16_t code);
    /// Goes without a word: the server sees a reset.
    void reset();

private:
    std::size_t receive(std::byte* buffer, std::size_t size);
    Bytes receive_all(std::size_t size);
    Bytes receive_frame();

    UniqueFd socket_;
    struct Free {
        void operator()(SSL* ssl) const { SSL_free(ssl); }
    };
    std::unique_ptr<SSL, Free> ssl_;
};
