#include "connection.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <climits>

#include "common/error.hpp"

Connection::Connection(UniqueFd socket, const Backpressure& backpressure, std::size_t max_message)
    : socket_{std::move(socket)}, backpressure_{backpressure}, protocol_{max_message} {}

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
    flush();
    update();
}

void Connection::close(CloseCode code, std::string_view reason, Output& output) {
    if (protocol_.state() == Protocol::State::connecting) ended_ = true;  // there is nobody to tell
    protocol_.close(code, reason, output);
    send(output);
    update();
}

// Half the cap: with a queue below half of it before, that keeps it within the cap, unless the read
// completes a message that is longer itself.
std::size_t Connection::read_limit() const {
    return std::max<std::size_t>(backpressure_.max_buffered / 2, 1);
}

// What the socket takes leaves at once, from where it lies; the rest waits for EPOLLOUT, copied
// if it lies in the receive buffer. Nothing may overtake what waits already.
void Connection::send(Output& output) {
    const auto slices = output.slices();
    std::size_t sent = queue_.empty() ? write(slices) : 0;
    for (const iovec& slice : slices) {
        const std::size_t skipped = std::min(sent, slice.iov_len);
        sent -= skipped;
        if (skipped == slice.iov_len) continue;
        if (auto* payload = output.kept(slice.iov_base))
            queue_.adopt(std::move(*payload), skipped);
        else
            queue_.append(
                {static_cast<const std::byte*>(slice.iov_base) + skipped, slice.iov_len - skipped});
    }
}

void Connection::flush() {
    const auto front = queue_.front();
    // iovec has no const, though sendmsg only reads.
    const iovec slice{const_cast<std::byte*>(front.data()), front.size()};
    queue_.consume(write({&slice, 1}));
}

// How many bytes the socket took: perhaps fewer than offered, perhaps none.
std::size_t Connection::write(std::span<const iovec> slices) {
    if (slices.empty()) return 0;
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(slices.data());
    message.msg_iovlen = std::min<std::size_t>(slices.size(), IOV_MAX);
    const ssize_t size = sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
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
    flush();
    if (!queue_.empty()) {
        ended_ = true;
        return;
    }
    Output output;
    protocol_.fail(CloseCode::try_again_later, "too much waits to be sent", output);
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
