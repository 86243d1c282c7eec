// One client: its socket, its request head, and the response until it is sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "common/unique_fd.hpp"
#include "http.hpp"

class Connection {
public:
    explicit Connection(UniqueFd socket);

    /// What epoll should wait for: EPOLLIN while nothing waits to be sent, else EPOLLOUT.
    std::uint32_t interest() const;

    void on_readable();
    void on_writable();

    /// True when the peer has gone or the socket has failed: nothing is left to do.
    bool ended() const { return ended_; }

    std::uint64_t bytes_in() const { return bytes_in_; }
    std::uint64_t bytes_out() const { return bytes_out_; }

private:
    enum class State {
        connecting,  // the request head is coming in
        open,        // upgraded; what comes is discarded, until phase 3 can read it
        refused,     // the refusal is said; what comes is discarded until the peer ends
    };

    void receive(std::span<const std::byte> input);

    UniqueFd socket_;
    State state_ = State::connecting;
    RequestParser parser_;
    std::string unsent_;
    std::uint64_t bytes_in_ = 0;
    std::uint64_t bytes_out_ = 0;
    bool ended_ = false;
};
