#include "fuzz/kernel.hpp"

#include <sys/signalfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "fuzz/input.hpp"

namespace {

Kernel* running = nullptr;

}  // namespace

std::uint32_t Socket::readiness() const {
    const bool over = dead || error != 0;
    std::uint32_t ready = 0;
    if (unread() > 0 || peer_ended || over) ready |= EPOLLIN;
    if (window > 0 || over) ready |= EPOLLOUT;
    if (over || (peer_ended && server_ended)) ready |= EPOLLHUP;
    if (error != 0) ready |= EPOLLERR;
    return ready;
}

Kernel::Kernel(World& world) : world_{world} {
    running = this;
}

Kernel::~Kernel() {
    running = nullptr;
}

Kernel* Kernel::current() {
    return running;
}

ssize_t Kernel::fail(int error) const {
    errno = error;
    return -1;
}

// The lowest number that is free, as the real one (POSIX, open): so that a closed descriptor soon
// is another connection's.
int Kernel::open(Descriptor descriptor) {
    int fd = first;
    while (descriptors_.contains(fd)) ++fd;
    descriptors_.emplace(fd, std::move(descriptor));
    return fd;
}

Kernel::Descriptor& Kernel::at(int fd) {
    const auto found = descriptors_.find(fd);
    PROMISE(found != descriptors_.end(), "no call on a descriptor that is closed");
    return found->second;
}

int Kernel::open_listener() {
    return open({Kind::listener, listeners_++, nullptr});
}

int Kernel::use(int fd) {
    at(fd);
    return 0;
}

int Kernel::accept(int listener) {
    const Descriptor& descriptor = at(listener);
    PROMISE(descriptor.kind == Kind::listener, "accept4 on a listener");
    auto& backlog = backlog_[descriptor.listener];
    if (backlog.empty()) return static_cast<int>(fail(EAGAIN));
    PROMISE(!exhausted_, "out of descriptors or memory, it looks away");
    progress_ = true;
    if (!accept_errors_.empty()) {
        const int error = accept_errors_.front();
        accept_errors_.pop_front();
        exhausted_ = error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
        return static_cast<int>(fail(error));
    }
    const auto socket = backlog.front();
    backlog.pop_front();
    socket->accepted = true;
    tls_seen_ = tls_seen_ || socket->tls;
    return open({Kind::socket, 0, socket});
}

ssize_t Kernel::recv(int fd, void* buffer, std::size_t size) {
    PROMISE(at(fd).kind == Kind::socket && size > 0, "recv asks a socket for bytes");
    Socket& socket = *at(fd).socket;
    if (socket.recv_interrupts > 0) {
        --socket.recv_interrupts;
        progress_ = true;
        return fail(EINTR);
    }
    if (socket.error != 0) {
        socket.dead = progress_ = true;
        return fail(std::exchange(socket.error, 0));
    }
    const std::size_t count = std::min({size, socket.unread(), socket.recv_limit});
    if (count > 0) {
        std::memcpy(buffer, &socket.to_server[socket.read], count);
        socket.read += count;
        progress_ = true;
        return static_cast<ssize_t>(count);
    }
    return socket.peer_ended || socket.dead ? 0 : fail(EAGAIN);
}

ssize_t Kernel::send(int fd, std::span<const iovec> slices, int flags) {
    PROMISE(at(fd).kind == Kind::socket, "send on a socket");
    PROMISE(flags & MSG_NOSIGNAL, "a peer that is gone must not end the process");
    Socket& socket = *at(fd).socket;
    std::size_t offered = 0;
    for (const iovec& slice : slices) offered += slice.iov_len;
    PROMISE(offered > 0 && !socket.server_ended, "send has something to send, before the end");
    socket.unsent = true;
    ++socket.sends;
    if (socket.send_interrupts > 0) {
        --socket.send_interrupts;
        return fail(EINTR);
    }
    if (socket.error != 0) {
        socket.dead = progress_ = true;
        return fail(std::exchange(socket.error, 0));
    }
    if (socket.dead) return fail(EPIPE);
    std::size_t room = std::min({offered, socket.window, socket.send_limit});
    if (room == 0) return fail(EAGAIN);
    const std::size_t taken = room;
    for (const iovec& slice : slices) {
        const std::size_t part = std::min(room, slice.iov_len);
        append(socket.from_server, {static_cast<const std::byte*>(slice.iov_base), part});
        room -= part;
    }
    socket.window -= taken;
    socket.unsent = taken < offered;
    progress_ = true;
    return static_cast<ssize_t>(taken);
}

ssize_t Kernel::read(int fd, void* buffer, std::size_t size) {
    const Kind kind = at(fd).kind;
    PROMISE(kind == Kind::timer || kind == Kind::signals, "read of a timer or of signals");
    if (kind == Kind::timer) {
        if (!alarm_ || *alarm_ > now_) return fail(EAGAIN);
        alarm_.reset();
        const std::uint64_t rings = 1;
        PROMISE(size == sizeof rings, "a timer is read whole");
        std::memcpy(buffer, &rings, sizeof rings);
    } else {
        if (signals_.empty()) return fail(EAGAIN);
        signalfd_siginfo info{};
        info.ssi_signo = static_cast<std::uint32_t>(signals_.front());
        signals_.pop_front();
        PROMISE(size == sizeof info, "a signal is read whole");
        std::memcpy(buffer, &info, sizeof info);
    }
    progress_ = true;
    return static_cast<ssize_t>(size);
}

int Kernel::shut_down(int fd) {
    Socket& socket = *at(fd).socket;
    socket.server_ended = progress_ = true;
    return socket.dead ? static_cast<int>(fail(ENOTCONN)) : 0;
}

int Kernel::close(int fd) {
    if (const auto& socket = at(fd).socket) socket->closed = true;
    if (at(fd).kind == Kind::listener) backlog_[at(fd).listener].clear();
    descriptors_.erase(fd);
    progress_ = true;
    return 0;
}

int Kernel::set_timer(int fd, std::uint64_t when) {
    PROMISE(at(fd).kind == Kind::timer && when != 0, "timerfd_settime sets the timer");
    alarm_ = when;
    return 0;
}

bool Kernel::ring() {
    if (!alarm_) return false;
    now_ = std::max(now_, *alarm_);
    return true;
}

bool Kernel::all_closed() const {
    const auto is_socket = [](const auto& entry) { return entry.second.socket != nullptr; };
    return backlog_[0].empty() && backlog_[1].empty() &&
           std::ranges::none_of(descriptors_, is_socket);
}
