// Sockets as the unit tests use them: both ends in one process, and nothing ever waits.
#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <span>
#include <string>
#include <string_view>

#include "common/error.hpp"
#include "common/test_bytes.hpp"
#include "common/unique_fd.hpp"

/// The two ends of a stream: ours goes to what is tested, the peer's is the test's own.
struct SocketPair {
    UniqueFd ours;
    UniqueFd peer;

    SocketPair() {
        int fds[2];
        check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
              "socketpair");
        ours.reset(fds[0]);
        peer.reset(fds[1]);
    }
};

/// Makes a socket soon full: the kernel takes its least for what is sent (socket(7)).
inline void shrink(int fd) {
    const int least = 1;
    check(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof least), "setsockopt");
}

/// Sends what the socket takes and returns how much that was.
inline std::size_t push(int fd, std::span<const std::byte> bytes) {
    std::size_t sent = 0;
    while (sent < bytes.size()) {
        const ssize_t size = send(fd, &bytes[sent], bytes.size() - sent, MSG_NOSIGNAL);
        if (size < 0 && is_transient(errno)) break;
        sent += static_cast<std::size_t>(check(size, "send"));
    }
    return sent;
}
inline std::size_t push(int fd, std::string_view text) {
    return push(fd, std::as_bytes(std::span{text}));
}

/// Fills the socket until it takes no more; returns with how many bytes.
inline std::size_t fill(int fd) {
    const Bytes filler(1024);
    std::size_t size = 0;
    while (const std::size_t sent = push(fd, filler)) size += sent;
    return size;
}

/// Takes what is there, up to a limit.
inline Bytes pull(int fd, std::size_t limit = 64 << 20) {
    Bytes bytes;
    Bytes buffer(64 * 1024);
    while (bytes.size() < limit) {
        const std::size_t room = std::min(buffer.size(), limit - bytes.size());
        const ssize_t size = recv(fd, buffer.data(), room, 0);
        if (size == 0 || (size < 0 && is_transient(errno))) break;
        check(size, "recv");
        append(bytes, std::span{buffer}.first(static_cast<std::size_t>(size)));
    }
    return bytes;
}
inline std::string pull_text(int fd) {
    return to_text(pull(fd));
}

/// Whether the other end has ended its stream, and nothing comes before that.
inline bool at_end(int fd) {
    std::byte byte;
    return recv(fd, &byte, 1, MSG_PEEK) == 0;
}
