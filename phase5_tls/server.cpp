#include "server.hpp"

#include <algorithm>
#include <csignal>
#include <iostream>

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
      plain_acceptor_{poller_, config_.host, config_.port},
      tls_acceptor_{poller_, config_.host, config_.tls_port} {
    poller_.watch(signals_.fd(), EPOLLIN);
    poller_.watch(timer_.fd(), EPOLLIN);
}

void Server::run() {
    while (!finished()) {
        timer_.arm();
        const auto events = poller_.wait(timeout_ms());
        now_ = Clock::now();
        if (!is_full()) {
            plain_acceptor_.resume_when_due(now_);
            tls_acceptor_.resume_when_due(now_);
        }
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
    else if (plain_acceptor_.owns(fd))
        accept_clients(plain_acceptor_, fd);
    else if (tls_acceptor_.owns(fd))
        accept_clients(tls_acceptor_, fd);
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
    plain_acceptor_.close();
    tls_acceptor_.close();
    deadline_ = Clock::now() + std::chrono::seconds{2};
    for (int fd = 0; fd < static_cast<int>(clients_.size()); ++fd)
        take_turn(fd, [&](Connection& connection) {
            connection.close(CloseCode::going_away, "the server is stopping", now_, output_);
        });
}

// New connections get the new certificate; those that are open keep the one that they began with.
void Server::reload_certificate() {
    try {
        TlsContext loaded = load_certificate(config_);
        const std::string print = loaded.fingerprint();
        tls_ = std::move(loaded);
        std::cerr << "SIGHUP: certificate " << print << std::endl;
    } catch (const std::exception& error) {
        std::cerr << "SIGHUP: the old certificate stays: " << error.what() << std::endl;
    }
}

bool Server::finished() const {
    if (signals_seen_ == 0) return false;
    return client_count_ == 0 || signals_seen_ > 1 || Clock::now() >= deadline_;
}

// Task 5.1: whoever is due has its turn, and its next deadline is filed.
void Server::on_timer() {
    timer_.acknowledge();
    while (const auto fd = timer_.due(now_))
        take_turn(*fd, [&](Connection& connection) { connection.on_deadline(now_, output_); });
}

void Server::accept_clients(Acceptor& acceptor, int listener) {
    const bool tls = &acceptor == &tls_acceptor_;
    acceptor.accept_clients(listener, [&](UniqueFd socket, const sockaddr_storage& peer) {
        add_client(std::move(socket), tls, peer);
        if (is_full()) pause_accepting();
    });
}

// What fails here fails for want of memory, or of room in epoll: it is this client's loss alone,
// and the others wait until there may be more.
void Server::add_client(UniqueFd socket, bool tls, const sockaddr_storage& peer) {
    const int fd = socket.get();
    try {
        make_room(fd);
        auto client = make_client(std::move(socket), tls, peer);
        timer_.set(fd, client->connection.deadline());
        poller_.watch(fd, EPOLLIN);
        log_start(*client, tls);
        clients_[static_cast<std::size_t>(fd)] = std::move(client);
        ++client_count_;
    } catch (const std::exception& error) {
        std::cerr << "a client was turned away: " << error.what() << std::endl;
        timer_.remove(fd);
        pause_accepting();
    }
}

std::unique_ptr<Server::Client> Server::make_client(UniqueFd socket, bool tls,
                                                    const sockaddr_storage& peer) {
    std::unique_ptr<Transport> transport;
    if (tls)
        transport = std::make_unique<TlsTransport>(std::move(socket), tls_);
    else
        transport = std::make_unique<PlainTransport>(std::move(socket));
    std::unique_ptr<Visit> visit;
    if (config_.verbose) visit = std::make_unique<Visit>(Visit{to_string(peer), now_});
    return std::make_unique<Client>(
        Client{Connection{std::move(transport), config_.limits, now_}, std::move(visit)});
}

// Ahead of time, so that a client can be ended when there is no memory.
void Server::make_room(int fd) {
    const auto index = static_cast<std::size_t>(fd);
    if (index >= clients_.size()) clients_.resize(index + 1);
    ended_.reserve(clients_.capacity());
}

void Server::serve(int fd, std::uint32_t events) {
    take_turn(fd, [&](Connection& connection) {
        // An error or a hang-up comes unasked for; the call that is due finds out which it is.
        if (events & (EPOLLERR | EPOLLHUP)) events |= connection.interest();
        connection.on_ready(events, now_, receive_buffer_->bytes, output_);
    });
}

// One connection reads at most a buffer a turn. What TLS holds beyond that, epoll can't see.
void Server::serve_held_back() {
    for (const int fd : std::exchange(held_back_, {})) {
        clients_[static_cast<std::size_t>(fd)]->held_back = false;
        serve(fd, 0);
    }
}

// All that happens to a connection happens here. When memory runs out in the middle, or epoll fails
// it, that ends this client and no other.
template <typename Turn>
void Server::take_turn(int fd, Turn turn) {
    const auto index = static_cast<std::size_t>(fd);
    // Nobody: a listener, closed by a signal in this same batch; or it has ended in this batch.
    if (index >= clients_.size() || !clients_[index]) return;
    Client& client = *clients_[index];
    if (client.connection.ended()) return;
    output_.clear();
    try {
        turn(client.connection);
        settle(fd, client);
    } catch (const std::exception& error) {
        std::cerr << "a client was given up: " << error.what() << std::endl;
        client.connection.give_up();
        end(fd);
    }
}

// Is it over, and if not, what does it wait for?
void Server::settle(int fd, Client& client) {
    const Connection& connection = client.connection;
    if (connection.ended()) {
        end(fd);
        return;
    }
    poller_.watch(fd, connection.interest());
    if (const TimePoint deadline = connection.deadline(); deadline < timer_.when(fd))
        timer_.set(fd, deadline);
    if (connection.has_more() && !client.held_back) {
        held_back_.push_back(fd);
        client.held_back = true;
    }
}

void Server::end(int fd) {
    ended_.push_back(fd);
    timer_.remove(fd);
}

// After the batch, not during it: a descriptor closed in the middle could be handed out again by
// accept4, and then meet an event that was meant for its former owner.
void Server::erase_ended() {
    for (const int fd : ended_) {
        auto& client = clients_[static_cast<std::size_t>(fd)];
        log_end(*client);
        poller_.forget(fd);
        client.reset();
        --client_count_;
    }
    if (!ended_.empty()) resume_accepting();
    ended_.clear();
}

bool Server::is_full() const {
    return config_.max_connections > 0 && client_count_ >= config_.max_connections;
}

void Server::pause_accepting() {
    plain_acceptor_.pause();
    tls_acceptor_.pause();
}

void Server::resume_accepting() {
    if (is_full()) return;
    plain_acceptor_.resume();
    tls_acceptor_.resume();
}

int Server::timeout_ms() const {
    if (!held_back_.empty()) return 0;
    if (signals_seen_ > 0) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now());
        return std::max(static_cast<int>(left.count()), 0);
    }
    const bool paused = plain_acceptor_.is_paused() || tls_acceptor_.is_paused();
    return paused && !is_full() ? 1000 : -1;
}

void Server::log_start(const Client& client, bool tls) const {
    if (client.visit)
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
