// A client of the simulated kernel: plain, or a real OpenSSL client over memory.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string_view>

#include "fuzz/kernel.hpp"
#include "phase5_tls/certificate.hpp"

class Peer {
public:
    enum class Speech { plain, tls, garbage };  // garbage: no TLS, to the TLS port

    Peer(Speech speech, std::size_t window, int max_tls_version);

    const std::shared_ptr<Socket>& socket() const { return socket_; }

    /// Says something, once TLS has shaken hands.
    void send(std::span<const std::byte> bytes);
    /// Puts bytes among those of the stream, past TLS.
    void send_raw(std::span<const std::byte> bytes);
    void update_key(bool ask_back);
    void renegotiate();
    /// Ends its stream, in TLS with or without close_notify.
    void end(bool notify);
    void reset(int error);
    /// Lets the server's bytes in, and lets TLS go on.
    void pump();

    /// Whether all that it has to say is with the kernel, and its stream was never spoilt.
    bool is_honest() const { return honest_ && socket_->error == 0 && !socket_->dead; }
    bool speaks_garbage() const { return speech_ == Speech::garbage; }

    /// The conversation, in plain text.
    const Bytes& said() const { return said_; }
    const Bytes& heard() const { return speech_ == Speech::tls ? heard_ : socket_->from_server; }

private:
    void drain();

    Speech speech_;
    std::shared_ptr<Socket> socket_ = std::make_shared<Socket>();
    std::unique_ptr<SSL, Free<SSL_free>> ssl_;
    std::size_t pumped_ = 0;  // of socket_->from_server
    Bytes waiting_;           // to be said, when TLS can
    Bytes said_;
    Bytes heard_;
    bool honest_ = true;
};
