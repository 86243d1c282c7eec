// The event loop: one thread, one epoll, every client.
#pragma once

#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "acceptor.hpp"
#include "connection.hpp"
#include "poller.hpp"
#include "signals.hpp"

struct Config {
    std::string host = "127.0.0.1";
    std::uint16_t port = 8080;
    bool verbose = false;
};

class Server {
public:
    /// Listens from here on. Throws std::runtime_error.
    explicit Server(Config config);

    /// Where it listens: "127.0.0.1:8080".
    std::vector<std::string> addresses() const { return acceptor_.addresses(); }

    /// Serves until SIGINT or SIGTERM. Throws std::system_error when the loop itself fails.
    void run();

private:
    using Clock = std::chrono::steady_clock;

    struct Client {
        Connection connection;
        std::string peer;
        Clock::time_point since;
    };

    void dispatch(const epoll_event& event);
    void on_signal();
    void accept_clients(int listener);
    void add_client(UniqueFd socket, const sockaddr_storage& peer);
    void serve(int fd, std::uint32_t events);
    void settle(int fd, const Connection& connection);
    void erase_ended();
    int timeout_ms() const;
    void log_start(const Client& client) const;
    void log_end(const Client& client) const;

    Config config_;
    Signals signals_;
    Poller poller_;
    Acceptor acceptor_;
    std::unordered_map<int, Client> clients_;  // by descriptor
    std::vector<int> ended_;                   // erased after the batch of events
    bool stopping_ = false;
};
