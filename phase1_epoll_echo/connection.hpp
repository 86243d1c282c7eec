// One client: its socket, and what was read from it and not sent back yet.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "common/unique_fd.hpp"

class Connection {
public:
    explicit Connection(UniqueFd socket);

    /// What epoll should wait for: EPOLLIN while nothing waits to be sent, else EPOLLOUT.
    std::uint32_t interest() const;

    /// Reads once, and sends back what the socket takes.
    void on_readable();

    /// Sends on where the socket was full.
    void on_writable();

    /// True when the peer has gone or the socket has failed: nothing is left to do.
    bool ended() const { return ended_; }

    std::uint64_t bytes_in() const { return bytes_in_; }
    std::uint64_t bytes_out() const { return bytes_out_; }

private:
    UniqueFd socket_;
    // Read into only when it is empty: a client that sends without reading is slowed down by its
    // own full socket, and nothing has to be stored beyond these 4 KiB, or lost.
    std::array<std::byte, 4096> buffer_;
    std::size_t sent_ = 0;  // of the `filled_` bytes in buffer_
    std::size_t filled_ = 0;
    std::uint64_t bytes_in_ = 0;
    std::uint64_t bytes_out_ = 0;
    bool ended_ = false;
};
