// One connection of the load generator: it opens, then keeps messages in flight.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/histogram.hpp"
#include "bench/script.hpp"
#include "bench/stream.hpp"

/// Nanoseconds since some moment that does not change.
std::uint64_t now();

class Client {
public:
    /// What all clients of a run share.
    struct Plan {
        const Url& url;
        SSL_CTX* tls;  // null: plain
        const Script& script;
        bool every_byte;
        std::span<std::byte> buffer;  // for what is received
    };

    /// Connects and asks for the upgrade. Throws std::system_error.
    explicit Client(const Plan& plan);

    int fd() const { return stream_.fd(); }
    bool is_open() const { return state_ == State::open; }
    bool wants_to_write() const { return is_open() && !outgoing_.empty(); }
    std::uint64_t messages() const { return echoed_; }
    /// Whether every message that was sent has come back.
    bool is_idle() const { return echoed_ == sent_ && due_ == 0; }
    std::uint64_t started() const { return started_; }

    /// From now on this many messages are in flight: each echo is answered with the next message.
    void start(std::size_t in_flight, std::uint64_t time);
    /// Sends one message; nothing follows its echo.
    void send_one(std::uint64_t time);

    /// Does what the socket is ready for; `time` is now, latencies go to the histogram. Throws
    /// std::runtime_error when the server answers wrongly or ends the connection.
    void advance(std::uint64_t time, Histogram& latencies);

private:
    enum class State { securing, upgrading, open };

    void request_upgrade();
    void read_response(std::span<const std::byte> bytes);
    void read_echoes(std::span<const std::byte> bytes, std::uint64_t time, Histogram& latencies);
    void flush(std::uint64_t time);

    Plan plan_;
    Stream stream_;
    State state_ = State::securing;
    std::uint64_t started_;
    std::string response_;
    std::vector<std::uint64_t> sent_at_;  // of message i, at i % size
    bool keep_going_ = false;
    std::size_t due_ = 0;                  // messages to be sent once outgoing_ is empty
    std::span<const std::byte> outgoing_;  // of the script, or of the request
    std::uint64_t sent_ = 0;
    std::uint64_t echoed_ = 0;
    std::size_t offset_ = 0;  // in the echo that is arriving
};
