#include "server.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <csignal>
#include <iostream>

#include "common/address.hpp"
#include "common/error.hpp"
#include "listener.hpp"

Server::Server(Config config)
    : config_{std::move(config)},
      signals_{SIGINT, SIGTERM},
      listener_{open_listener(config_.host, config_.port)} {
    poller_.watch(signals_.fd(), EPOLLIN);
    poller_.watch(listener_.get(), EPOLLIN);
}

std::string Server::address() const {
    return local_address(listener_.get());
}

void Server::run() {
    while (!stopping_) {
        const auto events = poller_.wait(timeout_ms());
        if (accept_paused_ && Clock::now() >= resume_at_) resume_accepting();
        for (const epoll_event& event : events) dispatch(event);
        erase_ended();
    }
}

void Server::dispatch(const epoll_event& event) {
    const int fd = event.data.fd;
    if (fd == signals_.fd())
        on_signal();
    else if (fd == listener_.get())
        accept_clients();
    else
        serve(fd, event.events);
}

// Task 1.2: no new clients from here on, and the loop ends.
void Server::on_signal() {
    while (signals_.next() != 0) stopping_ = true;
    listener_.reset();
}

// Task 1.1: accept until there is nobody left; each socket non-blocking and without Nagle's delay.
void Server::accept_clients() {
    while (listener_ && !accept_paused_) {
        sockaddr_storage peer{};
        socklen_t size = sizeof peer;
        UniqueFd socket{accept4(listener_.get(), reinterpret_cast<sockaddr*>(&peer), &size,
                                SOCK_NONBLOCK | SOCK_CLOEXEC)};
        if (!socket) {
            if (errno == EAGAIN) return;
            on_accept_error(errno);
            continue;
        }
        const int on = 1;
        setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        add_client(std::move(socket), peer);
    }
}

// Task 1.3: out of descriptors or memory, the listener stays readable while nothing can be done
// about it. Look away until a client has gone or a second is over, or the loop would spin.
void Server::on_accept_error(int error) {
    if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) {
        accept_paused_ = true;
        resume_at_ = Clock::now() + std::chrono::seconds{1};
        poller_.watch(listener_.get(), 0);
    } else if (error == EBADF || error == EINVAL || error == ENOTSOCK || error == EOPNOTSUPP) {
        errno = error;
        throw_errno("accept4");  // ours to mend; every other error is that one client's (accept(2))
    }
}

void Server::add_client(UniqueFd socket, const sockaddr_storage& peer) {
    const int fd = socket.get();
    const auto [entry, added] =
        clients_.emplace(fd, Client{Connection{std::move(socket)}, to_string(peer), Clock::now()});
    log_start(entry->second);
    poller_.watch(fd, EPOLLIN);
}

void Server::serve(int fd, std::uint32_t events) {
    const auto client = clients_.find(fd);
    if (client == clients_.end()) return;  // the listener, closed by a signal in this same batch
    Connection& connection = client->second.connection;
    // An error or a hang-up comes unasked for; the call that is due finds out which it is.
    if (events & (EPOLLERR | EPOLLHUP)) events |= connection.interest();
    if (events & EPOLLOUT) connection.on_writable();
    if (events & EPOLLIN) connection.on_readable();
    settle(fd, connection);
}

// After each thing that happened to a connection: is it over, and if not, what does it wait for?
void Server::settle(int fd, const Connection& connection) {
    if (connection.ended())
        ended_.push_back(fd);
    else
        poller_.watch(fd, connection.interest());
}

// After the batch, not during it: a descriptor closed in the middle could be handed out again by
// accept4, and then meet an event that was meant for its former owner.
void Server::erase_ended() {
    for (const int fd : ended_) {
        const auto entry = clients_.find(fd);
        if (entry == clients_.end()) continue;  // it ended twice in one batch
        log_end(entry->second);
        poller_.forget(fd);
        clients_.erase(entry);
    }
    if (!ended_.empty()) resume_accepting();
    ended_.clear();
}

void Server::resume_accepting() {
    if (!accept_paused_ || !listener_) return;
    accept_paused_ = false;
    poller_.watch(listener_.get(), EPOLLIN);
}

int Server::timeout_ms() const {
    return accept_paused_ ? 1000 : -1;
}

void Server::log_start(const Client& client) const {
    if (config_.verbose) std::cerr << client.peer << " connected" << std::endl;
}

void Server::log_end(const Client& client) const {
    if (!config_.verbose) return;
    const Connection& connection = client.connection;
    const std::chrono::duration<double> age = Clock::now() - client.since;
    std::cerr << client.peer << " ended: " << connection.bytes_in() << " bytes in, "
              << connection.bytes_out() << " out, after " << age.count() << " s" << std::endl;
}
