#include "transport.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <climits>

#include "common/error.hpp"

using Status = IoResult::Status;

IoResult receive_from(int socket, std::span<std::byte> buffer) {
    const ssize_t size = recv(socket, buffer.data(), buffer.size(), 0);
    if (size > 0) return {static_cast<std::size_t>(size), Status::want_read};
    if (size == 0) return {0, Status::ended};
    return {0, is_transient(errno) ? Status::want_read : Status::gone};
}

IoResult PlainTransport::receive(std::span<std::byte> buffer) {
    const IoResult result = receive_from(socket_.get(), buffer);
    peer_ended_ = result.status == Status::ended;
    return result;
}

// The kernel has less to look at than for a list of one.
ssize_t PlainTransport::send_one(const iovec& slice) {
    return ::send(socket_.get(), slice.iov_base, slice.iov_len, MSG_NOSIGNAL);
}

ssize_t PlainTransport::send_all(std::span<const iovec> slices) {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(slices.data());
    message.msg_iovlen = std::min<std::size_t>(slices.size(), IOV_MAX);
    return sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
}

IoResult PlainTransport::send(std::span<const iovec> slices) {
    if (slices.empty()) return {};
    const ssize_t size = slices.size() == 1 ? send_one(slices[0]) : send_all(slices);
    if (size >= 0) return {static_cast<std::size_t>(size), Status::want_write};
    return {0, is_transient(errno) ? Status::want_write : Status::gone};
}

bool PlainTransport::shut_down() {
    // It fails only where the peer is gone already.
    if (!peer_ended_) shutdown(socket_.get(), SHUT_WR);
    return true;
}
