#include "fuzz/peer.hpp"

#include <openssl/err.h>

#include <array>

namespace {

SSL_CTX* client_context() {
    static SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
    return context;
}

}  // namespace

Peer::Peer(Speech speech, std::size_t window, int max_tls_version) : speech_{speech} {
    socket_->tls = speech != Speech::plain;
    socket_->window = window;
    if (speech != Speech::tls) return;
    ssl_.reset(SSL_new(client_context()));
    SSL_set_max_proto_version(ssl_.get(), max_tls_version);
    SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(ssl_.get());
    pump();
}

void Peer::send(std::span<const std::byte> bytes) {
    if (socket_->peer_ended) return;
    if (speech_ == Speech::tls) {
        append(waiting_, bytes);
        pump();
    } else {
        append(said_, bytes);
        append(socket_->to_server, bytes);
    }
}

void Peer::send_raw(std::span<const std::byte> bytes) {
    if (socket_->peer_ended) return;
    if (speech_ == Speech::tls) {
        honest_ = false;
        append(socket_->to_server, bytes);
    } else {
        send(bytes);
    }
}

void Peer::update_key(bool ask_back) {
    if (!ssl_ || SSL_version(ssl_.get()) != TLS1_3_VERSION || !SSL_is_init_finished(ssl_.get()))
        return;
    SSL_key_update(ssl_.get(), ask_back ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
    SSL_do_handshake(ssl_.get());
    pump();
}

void Peer::renegotiate() {
    if (!ssl_ || SSL_version(ssl_.get()) != TLS1_2_VERSION || !SSL_is_init_finished(ssl_.get()))
        return;
    honest_ = false;  // it is refused, and OpenSSL's client gives up over that
    SSL_renegotiate(ssl_.get());
    pump();
}

void Peer::end(bool notify) {
    if (ssl_ && notify && SSL_is_init_finished(ssl_.get())) {
        pump();
        SSL_shutdown(ssl_.get());
        drain();
    }
    socket_->peer_ended = true;
}

void Peer::reset(int error) {
    socket_->error = error;
}

// What the client wrote is the server's to read, but for what comes behind its own end.
void Peer::drain() {
    std::array<char, 4096> buffer;
    for (int size = 0; (size = BIO_read(SSL_get_wbio(ssl_.get()), buffer.data(),
                                        static_cast<int>(buffer.size()))) > 0;)
        if (!socket_->peer_ended)
            append(socket_->to_server,
                   std::as_bytes(std::span{buffer}.first(static_cast<std::size_t>(size))));
}

void Peer::pump() {
    if (!ssl_) return;
    const auto fresh = std::span{socket_->from_server}.subspan(pumped_);
    if (!fresh.empty())
        BIO_write(SSL_get_rbio(ssl_.get()), fresh.data(), static_cast<int>(fresh.size()));
    pumped_ = socket_->from_server.size();
    ERR_clear_error();
    std::array<std::byte, 4096> buffer;
    std::size_t size = 0;
    while (SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &size) == 1)
        append(heard_, std::span{buffer}.first(size));
    if (const int error = SSL_get_error(ssl_.get(), 0);
        error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL)
        honest_ = false;
    if (!waiting_.empty() && !socket_->peer_ended && SSL_is_init_finished(ssl_.get()) &&
        SSL_write_ex(ssl_.get(), waiting_.data(), waiting_.size(), &size) == 1) {
        append(said_, std::span{waiting_}.first(size));
        waiting_.clear();
    }
    drain();
}
