// The event loop: one thread, one epoll, every client.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "acceptor.hpp"
#include "common/address.hpp"
#include "connection.hpp"
#include "heap.hpp"
#include "poller.hpp"
#include "signals.hpp"
#include "timer.hpp"
#include "tls.hpp"

struct Config {
    std::string host = "127.0.0.1";
    std::uint16_t port = 8080;
    std::uint16_t tls_port = 8443;
    std::string certificate_file;  // both in PEM; none: a certificate is made
    std::string key_file;
    std::size_t max_connections = 0;  // 0: as many as there are descriptors
    Limits limits;
    bool verbose = false;
};

class Server {
public:
    /// Listens from here on. Throws std::runtime_error.
    explicit Server(Config config);

    /// Where it listens: "127.0.0.1:8080".
    std::vector<std::string> addresses() const { return plain_acceptor_.addresses(); }
    std::vector<std::string> tls_addresses() const { return tls_acceptor_.addresses(); }

    /// The SHA-256 fingerprint of its certificate.
    std::string fingerprint() const { return tls_.fingerprint(); }

    /// Serves until SIGINT or SIGTERM; then closes the connections, and waits for them for at most
    /// two seconds or until a second signal. Throws std::system_error when the loop itself fails.
    void run();

private:
    /// What the log wants to know of a client in the end.
    struct Visit {
        std::string peer;
        TimePoint since;
    };

    struct Client {
        Connection connection;
        std::unique_ptr<Visit> visit;   // when there is a log
        bool held_back = false;         // is in held_back_
        bool is_shaking_hands = false;  // TLS
    };

    // What a round may do, at most; the rest has to wait for the next. TLS handshakes take some
    // 0.3 ms each; what ends may give back megabytes of memory.
    static constexpr int handshakes_per_round = 16;
    static constexpr int deadlines_per_round = 256;
    static constexpr std::size_t ends_per_round = 128;

    void begin_round(std::size_t ready);
    void dispatch(const epoll_event& event);
    void on_signal();
    void close_clients();
    void reload_certificate();
    void renew_tls();
    void on_timer();
    void accept_clients(Acceptor& acceptor, int listener);
    void add_client(UniqueFd socket, bool tls, const sockaddr_storage& peer);
    std::unique_ptr<Client> make_client(UniqueFd socket, bool tls, const sockaddr_storage& peer);
    void make_room(int fd);
    void serve(int fd, std::uint32_t events);
    void serve_held_back();
    template <typename Turn>
    void take_turn(int fd, Turn turn);
    void settle(int fd, Client& client);
    void on_handshake_over(Client& client);
    void end(int fd);
    void erase_ended();
    bool is_full() const;
    bool has_too_many_handshakes() const;
    void pause_handshakes();
    void pause_accepting();
    void resume_accepting();
    bool finished() const;
    int timeout_ms() const;
    void log_start(const Client& client, bool tls) const;
    void log_end(const Client& client) const;

    /// One for all clients: an idle one keeps no buffer. Large, so that a busy one is read in one
    /// go; on a page's border, where the kernel copies a sixth faster than beside it.
    struct alignas(4096) ReceiveBuffer {
        std::array<std::byte, 512 * 1024> bytes;
    };

    Config config_;
    Heap heap_;
    const std::size_t max_handshakes_;
    Signals signals_;
    Poller poller_;
    Timer timer_;
    TlsContext tls_;
    Acceptor plain_acceptor_;
    Acceptor tls_acceptor_;
    // By descriptor, which is the lowest number that was free (open(2)): a table has few gaps.
    std::vector<std::unique_ptr<Client>> clients_;
    std::size_t client_count_ = 0;
    std::size_t handshakes_ = 0;      // of TLS, not over yet
    bool handshakes_paused_ = false;  // there were too many of them
    int handshakes_left_ = 0;         // that may go on in this round
    std::vector<int> ended_;          // erased after the batch of events
    std::vector<int> held_back_;      // have more to read than one turn allows
    std::unique_ptr<ReceiveBuffer> receive_buffer_ = std::make_unique<ReceiveBuffer>();
    std::span<std::byte> share_;  // of it: what each client may fill in this round
    Output output_;               // of the client whose turn it is
    int signals_seen_ = 0;
    TimePoint deadline_;            // of the shutdown
    TimePoint now_ = Clock::now();  // when this batch of events was told
};
