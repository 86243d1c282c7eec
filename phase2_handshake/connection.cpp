#include "connection.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>

#include "common/error.hpp"
#include "handshake.hpp"

Connection::Connection(UniqueFd socket) : socket_{std::move(socket)} {}

std::uint32_t Connection::interest() const {
    return unsent_.empty() ? EPOLLIN : EPOLLOUT;
}

void Connection::on_readable() {
    std::array<std::byte, 4096> buffer;
    const ssize_t size = recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (size < 0 && is_transient(errno)) return;
    if (size <= 0) {
        ended_ = true;
        return;
    }
    bytes_in_ += static_cast<std::size_t>(size);
    receive(std::span{buffer}.first(static_cast<std::size_t>(size)));
    if (!unsent_.empty()) on_writable();
}

void Connection::receive(std::span<const std::byte> input) {
    if (state_ != State::connecting) return;
    try {
        parser_.take(input);
        if (!parser_.complete()) return;
        unsent_ = answer_handshake(parser_.request());
        state_ = State::open;
    } catch (const HttpError& error) {
        unsent_ = refusal(error, parser_.method());
        state_ = State::refused;
    }
}

void Connection::on_writable() {
    const ssize_t size = send(socket_.get(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
    if (size < 0) {
        ended_ = !is_transient(errno);
        return;
    }
    bytes_out_ += static_cast<std::size_t>(size);
    unsent_.erase(0, static_cast<std::size_t>(size));
    // Half-close only, and go on reading: close() with bytes unread makes the kernel send a reset,
    // and the client may lose the answer before it has read it.
    if (unsent_.empty() && state_ == State::refused) shutdown(socket_.get(), SHUT_WR);
}
