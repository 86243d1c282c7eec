#include "server.hpp"

#include <algorithm>
#include <csignal>

#include "common/address.hpp"
#include "common/log.hpp"

Server::Server(Config config)
    : config_{std::move(config)},
      signals_{SIGINT, SIGTERM},
      acceptor_{poller_, config_.host, config_.port},
      receive_buffer_(receive_buffer_size) {
    poller_.watch(signals_.fd(), EPOLLIN);
}

void Server::run() {
    while (!finished()) {
        const auto events = poller_.wait(timeout_ms());
        acceptor_.resume_when_due(Clock::now());
        share_receive_buffer(events.size());
        for (const epoll_event& event : events) dispatch(event);
        erase_ended();
    }
}

void Server::dispatch(const epoll_event& event) {
    const int fd = event.data.fd;
    if (fd == signals_.fd())
        on_signal();
    else if (acceptor_.owns(fd))
        accept_clients(fd);
    else
        serve(fd, event.events);
}

// No new clients from here on; those that are here are told.
void Server::on_signal() {
    const bool first = signals_seen_ == 0;
    while (signals_.next() != 0) ++signals_seen_;
    if (!first) return;
    acceptor_.close();
    close_clients();
}

// Task 4.5: 1001, the server is going away (RFC 6455 §7.4.1). Each is given the time to answer.
void Server::close_clients() {
    deadline_ = Clock::now() + std::chrono::seconds{2};
    for (auto& [fd, client] : clients_) {
        output_.clear();
        client.connection.close(CloseCode::going_away, "the server is stopping", output_);
        settle(fd, client.connection);
    }
}

bool Server::finished() const {
    if (signals_seen_ == 0) return false;
    return clients_.empty() || signals_seen_ > 1 || Clock::now() >= deadline_;
}

void Server::accept_clients(int listener) {
    acceptor_.accept_clients(listener, [&](UniqueFd socket, const sockaddr_storage& peer) {
        add_client(std::move(socket), peer);
    });
}

void Server::add_client(UniqueFd socket, const sockaddr_storage& peer) {
    const int fd = socket.get();
    const auto [entry, added] = clients_.emplace(
        fd, Client{Connection{std::move(socket), config_.backpressure, config_.max_message},
                   to_string(peer), Clock::now()});
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
    if (events & EPOLLIN) {
        output_.clear();
        connection.on_readable(share_, output_);
    }
    settle(fd, connection);
}

// The more clients are ready, the less each may read in its turn: all of them have had theirs soon.
void Server::share_receive_buffer(std::size_t ready) {
    constexpr std::size_t all = 4 << 20;  // bytes: some milliseconds of work
    constexpr std::size_t least = 4096;
    const std::size_t each = all / std::max<std::size_t>(ready, 1);
    share_ = std::span{receive_buffer_}.first(std::clamp(each, least, receive_buffer_.size()));
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
    if (!ended_.empty()) acceptor_.resume();
    ended_.clear();
}

int Server::timeout_ms() const {
    if (signals_seen_ > 0) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now());
        return std::max(static_cast<int>(left.count()), 0);
    }
    return acceptor_.is_paused() ? 1000 : -1;
}

void Server::log_start(const Client& client) const {
    if (config_.verbose) log_line(client.peer, " connected");
}

void Server::log_end(const Client& client) const {
    if (!config_.verbose) return;
    const Connection& connection = client.connection;
    const std::chrono::duration<double> age = Clock::now() - client.since;
    log_line(client.peer, " ended: close code ", connection.protocol().close_code(), ", ",
             connection.bytes_in(), " bytes in, ", connection.bytes_out(), " out, after ",
             age.count(), " s");
}
