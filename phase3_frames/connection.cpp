#include "connection.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>

#include "common/error.hpp"

Connection::Connection(UniqueFd socket, const Backpressure& backpressure)
    : socket_{std::move(socket)}, backpressure_{backpressure} {}

std::uint32_t Connection::interest() const {
    const bool reading = !paused_ && !peer_ended_;
    return (reading ? EPOLLIN : 0U) | (queue_.empty() ? 0U : EPOLLOUT);
}

void Connection::on_readable(std::span<std::byte> buffer, Output& output) {
    buffer = buffer.first(std::min(buffer.size(), read_limit()));
    const ssize_t size = recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (size > 0) {
        bytes_in_ += static_cast<std::size_t>(size);
        protocol_.receive(buffer.first(static_cast<std::size_t>(size)), output);
        send(output);
    } else if (size == 0) {
        peer_ended_ = true;
    } else if (!is_transient(errno)) {
        ended_ = true;
    }
    update();
}

// Task 3.2: the socket has room again.
void Connection::on_writable() {
    queue_.consume(write(queue_.front()));
    update();
}

// An answer here is never longer than what it answers. So a read of half the cap keeps the queue,
// which was below half the cap, within the cap.
std::size_t Connection::read_limit() const {
    return std::max<std::size_t>(backpressure_.max_buffered / 2, 1);
}

// What the socket takes leaves at once; the rest waits for EPOLLOUT. Nothing may overtake what
// waits already.
void Connection::send(Output& output) {
    const auto bytes = output.bytes();
    const std::size_t sent = queue_.empty() ? write(bytes) : 0;
    if (sent < bytes.size()) queue_.append(bytes.subspan(sent));
}

// How many bytes the socket took: perhaps fewer than offered, perhaps none.
std::size_t Connection::write(std::span<const std::byte> bytes) {
    if (bytes.empty()) return 0;
    const ssize_t size = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size < 0) {
        if (!is_transient(errno)) ended_ = true;
        return 0;
    }
    bytes_out_ += static_cast<std::size_t>(size);
    return static_cast<std::size_t>(size);
}

// Task 3.2: too much waits. Stop reading until it is gone, and TCP slows the peer down; or end it.
void Connection::limit_queue() {
    if (backpressure_.drop && queue_.size() > backpressure_.max_buffered) drop();
    const bool open = protocol_.state() != Protocol::State::closed;
    if (!backpressure_.drop && open && queue_.size() > backpressure_.max_buffered / 2)
        paused_ = true;
}

// The peer asks for more than it fetches. A last try: if it has just begun to read, it can be told
// why; else what waits is given up with the connection.
void Connection::drop() {
    queue_.consume(write(queue_.front()));
    if (!queue_.empty()) {
        ended_ = true;
        return;
    }
    Output output;
    protocol_.close(CloseCode::try_again_later, "too much waits to be sent", output);
    send(output);
}

// What follows from what has happened.
void Connection::update() {
    if (!queue_.empty()) limit_queue();
    if (!queue_.empty()) return;
    paused_ = false;
    if (peer_ended_) ended_ = true;
    // Half-close only, and go on reading: close() with bytes unread makes the kernel send a reset,
    // and the peer may lose the close code before it has read it.
    const bool closed = protocol_.state() == Protocol::State::closed;
    if (closed && !half_closed_) half_closed_ = shutdown(socket_.get(), SHUT_WR) == 0;
}
