#include "server.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <csignal>
#include <iostream>

#include "common/error.hpp"
#include "listener.hpp"

namespace {

TlsContext load_certificate(const Config& config) {
    if (config.certificate_file.empty()) return TlsContext{};
    return TlsContext{config.certificate_file, config.key_file};
}

}  // namespace

Server::Server(Config config)
    : config_{std::move(config)},
      signals_{SIGINT, SIGTERM, SIGHUP},
      tls_{load_certificate(config_)},
      plain_listener_{open_listener(config_.host, config_.port)},
      tls_listener_{open_listener(config_.host, config_.tls_port)} {
    poller_.watch(signals_.fd(), EPOLLIN);
    poller_.watch(timer_.fd(), EPOLLIN);
    watch_listeners(EPOLLIN);
}

void Server::run() {
    while (!finished()) {
        timer_.arm();
        const auto events = poller_.wait(timeout_ms());
        now_ = Clock::now();
        if (accept_paused_ && now_ >= resume_at_) resume_accepting();
        for (const epoll_event& event : events) dispatch(event);
        serve_held_back();
        erase_ended();
    }
}

void Server::dispatch(const epoll_event& event) {
    const int fd = event.data.fd;
    if (fd == signals_.fd())
        on_signal();
    else if (fd == timer_.fd())
        on_timer();
    else if (fd == plain_listener_.get())
        accept_clients(plain_listener_);
    else if (fd == tls_listener_.get())
        accept_clients(tls_listener_);
    else
        serve(fd, event.events);
}

void Server::on_signal() {
    while (const int number = signals_.next()) {
        if (number == SIGHUP)
            reload_certificate();
        else if (++signals_seen_ == 1)
            close_clients();
    }
}

// No new clients from here on; those that are here are told with 1001 that the server is going away
// (RFC 6455 §7.4.1), and each is given the time to answer.
void Server::close_clients() {
    plain_listener_.reset();
    tls_listener_.reset();
    deadline_ = Clock::now() + std::chrono::seconds{2};
    for (auto& [fd, client] : clients_) {
        output_.clear();
        client.connection.close(CloseCode::going_away, "the server is stopping", now_, output_);
        settle(fd, client);
    }
}

// New connections get the new certificate; those that are open keep the one that they began with.
void Server::reload_certificate() {
    try {
        tls_ = load_certificate(config_);
        std::cerr << "SIGHUP: certificate " << fingerprint() << std::endl;
    } catch (const std::exception& error) {
        std::cerr << "SIGHUP: the old certificate stays: " << error.what() << std::endl;
    }
}

bool Server::finished() const {
    if (signals_seen_ == 0) return false;
    return clients_.empty() || signals_seen_ > 1 || Clock::now() >= deadline_;
}

// Task 5.1: whoever is due has its turn, and its next deadline is filed.
void Server::on_timer() {
    timer_.acknowledge();
    while (const auto fd = timer_.due(now_)) {
        Client& client = clients_.at(*fd);
        output_.clear();
        client.connection.on_deadline(now_, output_);
        timer_.move(client.alarm,
                    client.connection.ended() ? TimePoint::max() : client.connection.deadline());
        settle(*fd, client);
    }
}

void Server::accept_clients(UniqueFd& listener) {
    while (listener && !accept_paused_) {
        sockaddr_storage peer{};
        socklen_t size = sizeof peer;
        UniqueFd socket{accept4(listener.get(), reinterpret_cast<sockaddr*>(&peer), &size,
                                SOCK_NONBLOCK | SOCK_CLOEXEC)};
        if (!socket) {
            if (errno == EAGAIN) return;
            on_accept_error(errno);
            continue;
        }
        const int on = 1;
        setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        add_client(std::move(socket), &listener == &tls_listener_, peer);
        if (is_full()) pause_accepting();
    }
}

// Task 1.3: out of descriptors or memory, the listener stays readable while nothing can be done
// about it. Look away until a client has gone or a second is over, or the loop would spin.
void Server::on_accept_error(int error) {
    if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) {
        pause_accepting();
    } else if (error == EBADF || error == EINVAL || error == ENOTSOCK || error == EOPNOTSUPP) {
        errno = error;
        throw_errno("accept4");  // ours to mend; every other error is that one client's (accept(2))
    }
}

void Server::add_client(UniqueFd socket, bool tls, const sockaddr_storage& peer) {
    const int fd = socket.get();
    std::unique_ptr<Transport> transport;
    if (tls)
        transport = std::make_unique<TlsTransport>(std::move(socket), tls_);
    else
        transport = std::make_unique<PlainTransport>(std::move(socket));
    Connection connection{std::move(transport), config_.limits, now_};
    const auto alarm = timer_.add(connection.deadline(), fd);
    const auto [entry, added] = clients_.emplace(fd, Client{std::move(connection), alarm, nullptr});
    log_start(entry->second, tls, peer);
    poller_.watch(fd, EPOLLIN);
}

void Server::serve(int fd, std::uint32_t events) {
    const auto entry = clients_.find(fd);
    if (entry == clients_.end()) return;  // a listener, closed by a signal in this same batch
    Connection& connection = entry->second.connection;
    // An error or a hang-up comes unasked for; the call that is due finds out which it is.
    if (events & (EPOLLERR | EPOLLHUP)) events |= connection.interest();
    output_.clear();
    connection.on_ready(events, now_, receive_buffer_->bytes, output_);
    settle(fd, entry->second);
}

// One connection reads at most a buffer a turn. What TLS holds beyond that, epoll can't see.
void Server::serve_held_back() {
    for (const int fd : std::exchange(held_back_, {})) serve(fd, 0);
}

// After each thing that happened to a connection: is it over, and if not, what does it wait for?
void Server::settle(int fd, Client& client) {
    const Connection& connection = client.connection;
    if (connection.ended()) {
        ended_.push_back(fd);
        return;
    }
    poller_.watch(fd, connection.interest());
    if (connection.has_more()) held_back_.push_back(fd);
    if (const TimePoint deadline = connection.deadline(); deadline < client.alarm->first)
        timer_.move(client.alarm, deadline);
}

// After the batch, not during it: a descriptor closed in the middle could be handed out again by
// accept4, and then meet an event that was meant for its former owner.
void Server::erase_ended() {
    for (const int fd : ended_) {
        const auto entry = clients_.find(fd);
        if (entry == clients_.end()) continue;  // it ended twice in one batch
        log_end(entry->second);
        timer_.remove(entry->second.alarm);
        poller_.forget(fd);
        clients_.erase(entry);
    }
    if (!ended_.empty()) resume_accepting();
    ended_.clear();
}

void Server::watch_listeners(std::uint32_t events) {
    poller_.watch(plain_listener_.get(), events);
    poller_.watch(tls_listener_.get(), events);
}

bool Server::is_full() const {
    return config_.max_connections > 0 && clients_.size() >= config_.max_connections;
}

void Server::pause_accepting() {
    accept_paused_ = true;
    resume_at_ = now_ + std::chrono::seconds{1};
    watch_listeners(0);
}

void Server::resume_accepting() {
    if (!accept_paused_ || !plain_listener_ || is_full()) return;
    accept_paused_ = false;
    watch_listeners(EPOLLIN);
}

int Server::timeout_ms() const {
    if (!held_back_.empty()) return 0;
    if (signals_seen_ > 0) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now());
        return std::max(static_cast<int>(left.count()), 0);
    }
    return accept_paused_ && !is_full() ? 1000 : -1;
}

void Server::log_start(Client& client, bool tls, const sockaddr_storage& peer) const {
    if (!config_.verbose) return;
    client.visit = std::make_unique<Visit>(Visit{to_string(peer), now_});
    std::cerr << client.visit->peer << (tls ? " connected, TLS" : " connected") << std::endl;
}

void Server::log_end(const Client& client) const {
    if (!client.visit) return;
    const Connection& connection = client.connection;
    const std::chrono::duration<double> age = now_ - client.visit->since;
    std::cerr << client.visit->peer << " ended: close code " << connection.protocol().close_code()
              << ", " << connection.bytes_in() << " bytes in, " << connection.bytes_out()
              << " out, after " << age.count() << " s" << std::endl;
}
