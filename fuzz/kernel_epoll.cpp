// epoll of the simulated kernel, and what it sees of the server's conscience: no loop that spins,
// and nothing waited for in vain.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "fuzz/input.hpp"
#include "fuzz/kernel.hpp"

int Kernel::control(int fd, int operation, int watched, const epoll_event& event) {
    PROMISE(at(fd).kind == Kind::epoll, "epoll_ctl on an epoll descriptor");
    auto& interest = at(watched).watched;
    PROMISE(operation == (interest ? EPOLL_CTL_MOD : EPOLL_CTL_ADD), "ADD once, then MOD");
    interest = event;
    return 0;
}

std::uint32_t Kernel::readiness(const Descriptor& descriptor) const {
    switch (descriptor.kind) {
        case Kind::listener:
            return backlog_[descriptor.listener].empty() ? 0U : EPOLLIN;
        case Kind::timer:
            return alarm_ && *alarm_ <= now_ ? EPOLLIN : 0U;
        case Kind::signals:
            return signals_.empty() ? 0U : EPOLLIN;
        case Kind::socket:
            return descriptor.socket->readiness();
        default:
            return 0;
    }
}

// Starts at another one each time, or goes backwards: no order is promised (epoll_wait(2)).
int Kernel::collect(std::span<epoll_event> events) const {
    std::vector<epoll_event> ready;
    for (const auto& [fd, descriptor] : descriptors_) {
        if (!descriptor.watched) continue;
        epoll_event event = *descriptor.watched;
        event.events = (event.events | EPOLLERR | EPOLLHUP) & readiness(descriptor);
        if (event.events != 0) ready.push_back(event);
    }
    if (ready.empty()) return 0;
    std::rotate(ready.begin(), ready.begin() + turn_ / 2 % static_cast<unsigned>(ready.size()),
                ready.end());
    if (turn_ % 2 != 0) std::ranges::reverse(ready);
    ready.resize(std::min({ready.size(), events.size(), std::max<std::size_t>(most_, 1)}));
    std::ranges::copy(ready, events.begin());
    return static_cast<int>(ready.size());
}

// A client whose bytes are waiting is armed for EPOLLOUT, and no other is, or the loop would spin.
// In TLS reading may also want to write, which check_progress() bounds.
void Kernel::check_interests() const {
    for (const auto& [fd, descriptor] : descriptors_) {
        if (descriptor.kind != Kind::socket) continue;
        PROMISE(descriptor.watched, "each client is watched");
        const std::uint32_t events = descriptor.watched->events;
        PROMISE(events & (EPOLLIN | EPOLLOUT), "each client is waited for");
        const bool unsent = descriptor.socket->unsent;
        if (unsent) PROMISE(events & EPOLLOUT, "what waits to be sent is armed for");
        if (!descriptor.socket->tls)
            PROMISE(unsent || !(events & EPOLLOUT), "no EPOLLOUT without something to send");
    }
}

// One client has a budget a turn, or the others wait. Twice a turn it may flush, answer and end.
void Kernel::check_turns() const {
    for (const auto& [fd, descriptor] : descriptors_) {
        if (descriptor.kind != Kind::socket) continue;
        Socket& socket = *descriptor.socket;
        const std::size_t bytes = socket.from_server.size() - socket.sent_then;
        const bool cut = socket.send_limit != SIZE_MAX;  // the kernel makes many of one
        PROMISE(cut || socket.sends <= 8 + bytes / 4096, "each client has its turn, and no more");
        socket.sends = 0;
        socket.sent_then = socket.from_server.size();
    }
}

// Between two waits something has to happen, or they were for nothing. What OpenSSL has read ahead
// is handed out without a call.
void Kernel::check_progress(int told) {
    idle_turns_ = progress_ ? 0 : idle_turns_ + 1;
    PROMISE(idle_turns_ < (tls_seen_ ? 5000U : 8U), "no busy loop");
    progress_ = told == 0;
}

int Kernel::wait(std::span<epoll_event> events, int timeout_ms) {
    check_interests();
    check_turns();
    exhausted_ = false;
    world_.turn();
    if (std::exchange(interrupted_, false)) return static_cast<int>(fail(EINTR));
    int told = collect(events);
    while (told == 0 && timeout_ms < 0) {
        PROMISE(world_.wake(), "a server with nothing to wait for ends");
        told = collect(events);
    }
    if (told == 0 && timeout_ms > 0) {
        const std::uint64_t end = now_ + static_cast<std::uint64_t>(timeout_ms) * 1'000'000;
        now_ = std::min(end, std::max(now_, alarm_.value_or(end)));
        told = collect(events);
    }
    check_progress(timeout_ms == 0 ? 1 : told);
    return told;
}
