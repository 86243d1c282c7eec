#include "server.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <ctime>

#include "common/error.hpp"
#include "common/log.hpp"

namespace {

/// How many descriptors this process may have (getrlimit(2)).
std::size_t max_descriptors() {
    rlimit limit{};
    check(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
    return limit.rlim_cur;
}

/// What the kernel may hold of a connection. Unsent, a quarter of what waits here: it takes 4 MiB
/// otherwise. With a smaller --max-buffered than the default, both its buffers are bounded, too; it
/// doubles the number, for what it needs beside the bytes (socket(7), tcp(7)).
void bound_kernel_buffers(int socket, std::size_t max_buffered) {
    constexpr std::size_t least = 64 << 10;
    const auto set = [&](int level, int name, std::size_t bytes) {
        const int value = static_cast<int>(std::clamp<std::size_t>(bytes, least, 1 << 30));
        setsockopt(socket, level, name, &value, sizeof value);
    };
    set(IPPROTO_TCP, TCP_NOTSENT_LOWAT, max_buffered / 4);
    if (max_buffered >= Backpressure{}.max_buffered) return;
    set(SOL_SOCKET, SO_SNDBUF, max_buffered / 2);
    set(SOL_SOCKET, SO_RCVBUF, max_buffered / 2);
}

TlsContext load_certificate(const Config& config) {
    if (config.certificate_file.empty()) return TlsContext{};
    return TlsContext{config.certificate_file, config.key_file};
}

// SIGHUP has two meanings: read your files again, or your terminal is gone (signal(7)). Where there
// is no file it keeps the second, and its default action: it ends the server, or does nothing under
// nohup(1).
Signals signals_for(const Config& config) {
    if (config.certificate_file.empty()) return Signals{SIGINT, SIGTERM};
    return Signals{SIGINT, SIGTERM, SIGHUP};
}

}  // namespace

Server::Server(Config config)
    : config_{std::move(config)},
      heap_{config_.limits.max_message},
      max_handshakes_{std::max<std::size_t>(
          (config_.max_connections > 0 ? config_.max_connections : max_descriptors()) / 2, 1)},
      signals_{signals_for(config_)},
      tls_{load_certificate(config_)},
      plain_acceptor_{poller_, config_.host, config_.port},
      tls_acceptor_{poller_, config_.host, config_.tls_port} {
    poller_.watch(signals_.fd(), EPOLLIN);
    poller_.watch(timer_.fd(), EPOLLIN);
}

// A round: signals first, so that they are heard under any load; deadlines last, when what has come
// in time was read. Each step is bounded, so that a round is short, whatever the clients do.
void Server::run() {
    while (!finished()) {
        timer_.arm();
        const auto events = poller_.wait(timeout_ms());
        now_ = Clock::now();
        const auto is_ready = [&](int fd) {
            return std::ranges::any_of(events, [&](auto& event) { return event.data.fd == fd; });
        };
        renew_tls();
        begin_round(events.size() + held_back_.size());
        if (is_ready(signals_.fd())) on_signal();
        for (const epoll_event& event : events) dispatch(event);
        serve_held_back();
        if (is_ready(timer_.fd())) on_timer();
        erase_ended();
        heap_.tidy(now_);
    }
}

// The more clients are ready, the less each may read in its turn: all of them have had theirs soon.
void Server::begin_round(std::size_t ready) {
    constexpr std::size_t all = 4 << 20;  // bytes: some milliseconds of work
    constexpr std::size_t least = 4096;
    const std::size_t each = all / std::max<std::size_t>(ready, 1);
    share_ = std::span{receive_buffer_->bytes}.first(
        std::clamp(each, least, receive_buffer_->bytes.size()));
    handshakes_left_ = handshakes_per_round;
    if (is_full()) return;
    plain_acceptor_.resume_when_due(now_);
    if (has_too_many_handshakes()) return;
    if (std::exchange(handshakes_paused_, false)) tls_acceptor_.resume();
    tls_acceptor_.resume_when_due(now_);
}

void Server::dispatch(const epoll_event& event) {
    const int fd = event.data.fd;
    if (fd == signals_.fd() || fd == timer_.fd()) return;  // first, and last
    if (plain_acceptor_.owns(fd))
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
        log_line("SIGHUP: certificate ", print);
    } catch (const std::exception& error) {
        log_line("SIGHUP: the old certificate stays: ", error.what());
    }
}

// No timer is set for it: a server that has slept for days renews when somebody comes, and before
// that client is served.
void Server::renew_tls() {
    try {
        if (tls_.renew(std::time(nullptr)))
            log_line("new certificate, long before the old one expires: ", tls_.fingerprint());
    } catch (const std::exception& error) {
        log_line("the old certificate and ticket keys stay: ", error.what());
    }
}

bool Server::finished() const {
    if (signals_seen_ == 0) return false;
    return client_count_ == 0 || signals_seen_ > 1 || Clock::now() >= deadline_;
}

// Task 5.1: whoever is due has its turn, and its next deadline is filed. What a client has sent is
// read before it is judged: after a stop of the whole process, it may have come in time.
void Server::on_timer() {
    timer_.acknowledge();
    for (int count = 0; count < deadlines_per_round; ++count) {
        const auto fd = timer_.due(now_);
        if (!fd) return;  // who is left is due in the next round
        serve(*fd, EPOLLIN);
        take_turn(*fd, [&](Connection& connection) { connection.on_deadline(now_, output_); });
    }
}

void Server::accept_clients(Acceptor& acceptor, int listener) {
    const bool tls = &acceptor == &tls_acceptor_;
    acceptor.accept_clients(listener, [&](UniqueFd socket, const sockaddr_storage& peer) {
        add_client(std::move(socket), tls, peer);
        if (is_full()) pause_accepting();
        if (has_too_many_handshakes()) pause_handshakes();
    });
    // Out of descriptors, the other one is as well.
    if (acceptor.is_paused() && !handshakes_paused_) pause_accepting();
}

// What fails here fails for want of memory, or of room in epoll: it is this client's loss alone,
// and the others wait until there may be more.
void Server::add_client(UniqueFd socket, bool tls, const sockaddr_storage& peer) {
    const int fd = socket.get();
    try {
        make_room(fd);
        bound_kernel_buffers(fd, config_.limits.backpressure.max_buffered);
        auto client = make_client(std::move(socket), tls, peer);
        timer_.set(fd, client->connection.deadline());
        poller_.watch(fd, EPOLLIN);
        log_start(*client, tls);
        client->is_shaking_hands = tls;
        handshakes_ += tls;
        clients_[static_cast<std::size_t>(fd)] = std::move(client);
        ++client_count_;
    } catch (const std::exception& error) {
        log_line("a client was turned away: ", error.what());
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
        // A TLS handshake costs as much as a hundred messages: who has to wait is told of again.
        // Who has gone (EPOLLERR) costs nothing.
        const bool shakes_hands = !connection.is_secured() && !(events & EPOLLERR);
        if (shakes_hands && handshakes_left_-- <= 0) return;
        // An error or a hang-up comes unasked for; the call that is due finds out which it is.
        if (events & (EPOLLERR | EPOLLHUP)) events |= connection.interest();
        const std::uint64_t before = connection.bytes_in();
        connection.on_ready(events, now_, share_, output_);
        heap_.on_bytes(connection.bytes_in() - before);
    });
}

// What is left over of a turn's bytes or records lies with OpenSSL, where epoll can't see it. A
// deadline may have ended a client since.
void Server::serve_held_back() {
    for (const int fd : std::exchange(held_back_, {})) {
        const auto& client = clients_[static_cast<std::size_t>(fd)];
        if (!client) continue;
        client->held_back = false;
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
        log_line("a client was given up: ", error.what());
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
    if (client.is_shaking_hands && connection.is_secured()) on_handshake_over(client);
    poller_.watch(fd, connection.interest());
    if (const TimePoint deadline = connection.deadline(); deadline < timer_.when(fd))
        timer_.set(fd, deadline);
    if (connection.has_more() && !client.held_back) {
        held_back_.push_back(fd);
        client.held_back = true;
    }
}

void Server::on_handshake_over(Client& client) {
    client.is_shaking_hands = false;
    --handshakes_;
}

void Server::end(int fd) {
    ended_.push_back(fd);
    timer_.remove(fd);
}

// After the batch, not during it: a descriptor closed in the middle could be handed out again by
// accept4, and then meet an event that was meant for its former owner.
void Server::erase_ended() {
    const std::size_t count = std::min(ended_.size(), ends_per_round);
    if (count == 0) return;
    for (const int fd : std::span{ended_}.first(count)) {
        auto& client = clients_[static_cast<std::size_t>(fd)];
        log_end(*client);
        if (client->is_shaking_hands) on_handshake_over(*client);
        poller_.forget(fd);
        client.reset();
        --client_count_;
        heap_.on_end();
    }
    ended_.erase(ended_.begin(), ended_.begin() + static_cast<std::ptrdiff_t>(count));
    resume_accepting();
}

bool Server::is_full() const {
    return config_.max_connections > 0 && client_count_ >= config_.max_connections;
}

// Half of all there may be: who never finishes its handshake can't keep out those who need none.
bool Server::has_too_many_handshakes() const {
    return handshakes_ >= max_handshakes_;
}

void Server::pause_handshakes() {
    handshakes_paused_ = true;
    tls_acceptor_.pause();
}

void Server::pause_accepting() {
    plain_acceptor_.pause();
    tls_acceptor_.pause();
}

void Server::resume_accepting() {
    if (is_full()) return;
    plain_acceptor_.resume();
    if (!has_too_many_handshakes()) tls_acceptor_.resume();
}

int Server::timeout_ms() const {
    const bool resumes = handshakes_paused_ && !has_too_many_handshakes() && !is_full();
    if (!held_back_.empty() || !ended_.empty() || resumes) return 0;
    if (signals_seen_ > 0) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now());
        return std::max(static_cast<int>(left.count()), 0);
    }
    const bool paused = plain_acceptor_.is_paused() || tls_acceptor_.is_paused();
    return (paused && !is_full()) || heap_.is_pending() ? 1000 : -1;
}

void Server::log_start(const Client& client, bool tls) const {
    if (client.visit) log_line(client.visit->peer, tls ? " connected, TLS" : " connected");
}

void Server::log_end(const Client& client) const {
    if (!client.visit) return;
    const Connection& connection = client.connection;
    const std::chrono::duration<double> age = now_ - client.visit->since;
    log_line(client.visit->peer, " ended: close code ", connection.protocol().close_code(), ", ",
             connection.bytes_in(), " bytes in, ", connection.bytes_out(), " out, after ",
             age.count(), " s");
}
