#include "connection.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>

#include "common/error.hpp"

Connection::Connection(UniqueFd socket) : socket_{std::move(socket)} {}

std::uint32_t Connection::interest() const {
    return sent_ == filled_ ? EPOLLIN : EPOLLOUT;
}

// Task 1.1: recv tells three things apart: bytes, the peer's end of stream (0), and an errno.
void Connection::on_readable() {
    const ssize_t size = recv(socket_.get(), buffer_.data(), buffer_.size(), 0);
    if (size < 0 && is_transient(errno)) return;
    if (size <= 0) {
        ended_ = true;
        return;
    }
    bytes_in_ += static_cast<std::size_t>(size);
    filled_ = static_cast<std::size_t>(size);
    sent_ = 0;
    on_writable();  // there is nearly always room: try before asking epoll
}

// Task 1.1: send may take less than it is offered; what is left waits for EPOLLOUT.
void Connection::on_writable() {
    // MSG_NOSIGNAL: a peer that is gone shall be an error here (EPIPE), not a signal that ends us.
    const ssize_t size = send(socket_.get(), &buffer_[sent_], filled_ - sent_, MSG_NOSIGNAL);
    if (size < 0) {
        ended_ = !is_transient(errno);
        return;
    }
    bytes_out_ += static_cast<std::size_t>(size);
    sent_ += static_cast<std::size_t>(size);
}
