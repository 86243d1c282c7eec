// A client's end of a TCP or TLS connection; nothing here waits but connect().
#pragma once

#include <openssl/ssl.h>
#include <sys/socket.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "common/unique_fd.hpp"

/// Where the server is: "ws://127.0.0.1:8080/" and the like (wss, tcp, tls; no names but
/// localhost).
struct Url {
    std::string host;
    std::string port;
    bool tls = false;
    bool websocket = false;
    sockaddr_storage address{};
    socklen_t address_size = 0;

    /// Throws UsageError.
    explicit Url(const std::string& text);
};

using TlsContext = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;

/// For clients that trust whatever certificate they are shown.
TlsContext make_tls_context();

class Stream {
public:
    /// Connects; `context` is null for plain TCP. Throws std::system_error.
    Stream(const Url& url, SSL_CTX* context);

    int fd() const { return fd_.get(); }
    /// Goes on with the TLS handshake; true once bytes can flow.
    bool open();
    /// Returns how many bytes came, 0 when none are there yet. Throws when the peer has ended.
    std::size_t read(std::span<std::byte> room);
    /// Returns how many bytes were taken, 0 when there is no room. Throws when the peer has ended.
    std::size_t write(std::span<const std::byte> bytes);
    /// Whether read() is to be called again: epoll does not see what OpenSSL holds.
    bool holds_bytes() const { return ssl_ && SSL_has_pending(ssl_.get()) == 1; }

private:
    std::size_t write_records(std::span<const std::byte> bytes);
    std::size_t tls_result(int result, const char* call);

    UniqueFd fd_;
    std::unique_ptr<SSL, decltype(&SSL_free)> ssl_{nullptr, SSL_free};
};
