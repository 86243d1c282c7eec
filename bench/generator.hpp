// Loads a server with messages or handshakes and measures it. One thread, one epoll.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "bench/client.hpp"
#include "common/unique_fd.hpp"

struct Settings {
    std::string url = "ws://127.0.0.1:8080/";
    std::size_t connections = 50;
    std::size_t in_flight = 1;
    std::size_t size = 20;
    bool binary = false;
    std::chrono::milliseconds duration{3000};
    std::chrono::milliseconds warm_up{300};
    std::size_t idle = 0;
    bool every_byte = false;
    bool handshakes = false;
    bool memory = false;
    std::string server_pid;
};

/// What was measured; a NaN stands for what was not.
struct Result {
    static constexpr double nan = std::numeric_limits<double>::quiet_NaN();

    Histogram latencies;
    double seconds = nan;
    double server_cpu_us = nan;
    double client_cpu_us = nan;
    double rss_per_connection = nan;
};

class Generator {
public:
    explicit Generator(const Settings& settings);

    /// Keeps messages in flight.
    Result echoes();
    /// Opens and ends connections, again and again.
    Result handshakes();
    /// Opens idle connections only.
    Result memory();

private:
    using Clients = std::vector<std::unique_ptr<Client>>;

    std::unique_ptr<Client> connect();
    void watch(Client& client, int operation);
    template <typename Begin, typename Done>
    void in_groups(Clients& clients, Begin begin, Done done);
    Clients open(std::size_t count);
    Clients open_idle(std::size_t count);
    template <typename Done>
    void run_until(Done done);
    template <typename Work>
    Result measure(Work work);
    std::uint64_t server_cpu() const;

    const Settings& settings_;
    Url url_;
    TlsContext context_;
    std::vector<std::byte> buffer_;
    Script script_;
    Client::Plan plan_;
    UniqueFd epoll_;
    Histogram latencies_;
};
