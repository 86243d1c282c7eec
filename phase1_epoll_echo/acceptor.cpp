#include "acceptor.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "common/address.hpp"
#include "common/error.hpp"
#include "common/log.hpp"
#include "listener.hpp"

namespace {

/// One client's own misfortune: it went away before it could be let in (accept(2)).
bool is_of_the_client(int error) {
    constexpr std::array errors{ECONNABORTED, EINTR,      EPROTO, ENETDOWN,     ENOPROTOOPT,
                                EHOSTDOWN,    EOPNOTSUPP, ENONET, EHOSTUNREACH, ENETUNREACH};
    return std::ranges::find(errors, error) != errors.end();
}

}  // namespace

Acceptor::Acceptor(Poller& poller, const std::string& host, std::uint16_t port)
    : poller_{poller}, listeners_{open_listeners(host, port)} {
    watch(EPOLLIN);
}

std::vector<std::string> Acceptor::addresses() const {
    std::vector<std::string> texts;
    for (const UniqueFd& listener : listeners_) texts.push_back(local_address(listener.get()));
    return texts;
}

bool Acceptor::owns(int fd) const {
    return std::ranges::find(listeners_, fd, &UniqueFd::get) != listeners_.end();
}

// Task 1.1: accept until there is nobody left, or enough for a turn; each socket non-blocking and
// without Nagle's delay. Epoll tells again of who still waits.
void Acceptor::accept_clients(int listener, const OnClient& on_client) {
    for (int count = 0; count < clients_per_turn && !paused_; ++count) {
        sockaddr_storage peer{};
        socklen_t size = sizeof peer;
        UniqueFd socket{accept4(listener, reinterpret_cast<sockaddr*>(&peer), &size,
                                SOCK_NONBLOCK | SOCK_CLOEXEC)};
        if (socket) {
            failures_ = 0;
            const int on = 1;
            setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            on_client(std::move(socket), peer);
        } else if (errno == EAGAIN) {
            return;
        } else {
            on_accept_error(errno);
        }
    }
}

// Task 1.3: out of descriptors (EMFILE), or forbidden: the client stays in the queue, and the
// listener readable. Look away from it, or the loop would spin. What is one client's own misfortune
// does not matter, unless nobody at all gets through.
void Acceptor::on_accept_error(int error) {
    ++failures_;
    if (is_of_the_client(error) && failures_ < clients_per_turn) return;
    pause();
    tell(error);
}

// Task 1.3: the listeners stay in epoll, watched for nothing.
void Acceptor::pause() {
    paused_ = true;
    resume_at_ = Clock::now() + std::chrono::seconds{1};
    watch(0);
}

void Acceptor::resume() {
    if (!paused_) return;
    paused_ = false;
    watch(EPOLLIN);
}

void Acceptor::resume_when_due(Clock::time_point now) {
    if (paused_ && now >= resume_at_) resume();
}

void Acceptor::close() {
    for (const UniqueFd& listener : listeners_) poller_.forget(listener.get());
    listeners_.clear();
}

void Acceptor::watch(std::uint32_t events) {
    for (const UniqueFd& listener : listeners_) poller_.watch(listener.get(), events);
}

// Once a minute at most: while it lasts, every client that leaves lets accept4 fail again.
void Acceptor::tell(int error) {
    const Clock::time_point now = Clock::now();
    if (told_at_ != Clock::time_point{} && now < told_at_ + std::chrono::minutes{1}) return;
    told_at_ = now;
    log_line("nobody is let in for now: accept4: ", std::strerror(error));
}
