// One client: its socket, its protocol, and what waits to be sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "common/unique_fd.hpp"
#include "output.hpp"
#include "protocol.hpp"
#include "write_queue.hpp"

/// What may wait to be sent to one connection, and what is done when it is too much.
struct Backpressure {
    std::size_t max_buffered = 4 << 20;  // bytes
    bool drop = false;                   // end the connection; else pause: stop reading from it
};

class Connection {
public:
    Connection(UniqueFd socket, const Backpressure& backpressure);

    /// What epoll should wait for: EPOLLIN unless reading is paused or over, EPOLLOUT only while
    /// output waits.
    std::uint32_t interest() const;

    /// Reads once into the loop's buffer, and answers through the loop's output.
    void on_readable(std::span<std::byte> buffer, Output& output);
    void on_writable();

    /// True when nothing is left to do: the peer has ended and has all its answers, or is gone.
    bool ended() const { return ended_; }

    const Protocol& protocol() const { return protocol_; }
    std::uint64_t bytes_in() const { return bytes_in_; }
    std::uint64_t bytes_out() const { return bytes_out_; }

private:
    std::size_t read_limit() const;
    void send(Output& output);
    std::size_t write(std::span<const std::byte> bytes);
    void limit_queue();
    void drop();
    void update();

    UniqueFd socket_;
    const Backpressure& backpressure_;
    Protocol protocol_;
    WriteQueue queue_;
    std::uint64_t bytes_in_ = 0;
    std::uint64_t bytes_out_ = 0;
    bool paused_ = false;       // reading waits until the queue has drained
    bool peer_ended_ = false;   // its end of stream was read
    bool half_closed_ = false;  // ours was sent
    bool ended_ = false;
};
