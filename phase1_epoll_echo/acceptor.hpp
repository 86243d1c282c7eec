// The listening sockets of one port, and who is let in through them.
#pragma once

#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/unique_fd.hpp"
#include "poller.hpp"

/// Owns the listeners and has the poller watch them. While it is paused nobody is let in, and who
/// comes waits in the kernel's queue (listen(2)): that is how a server that can take no more says
/// so without a busy loop.
class Acceptor {
public:
    using Clock = std::chrono::steady_clock;
    using OnClient = std::function<void(UniqueFd socket, const sockaddr_storage& peer)>;

    /// How many clients a turn lets in: those who are in have theirs between one turn and the next.
    static constexpr int clients_per_turn = 64;

    /// Listens on every address of the host from here on. Throws std::runtime_error.
    Acceptor(Poller& poller, const std::string& host, std::uint16_t port);

    /// Where it listens: "127.0.0.1:8080".
    std::vector<std::string> addresses() const;

    /// Whether this descriptor is one of its listeners.
    bool owns(int fd) const;

    /// The listener is ready: accepts clients, non-blocking and without Nagle's delay.
    void accept_clients(int listener, const OnClient& on_client);

    /// Lets nobody in until resume(), or until a second is over.
    void pause();
    void resume();
    bool is_paused() const { return paused_; }

    /// To be called in each turn.
    void resume_when_due(Clock::time_point now);

    /// Lets nobody in any more; who waits in the queue is turned away.
    void close();

private:
    void on_accept_error(int error);
    void watch(std::uint32_t events);
    void tell(int error);

    Poller& poller_;
    std::vector<UniqueFd> listeners_;
    bool paused_ = false;
    int failures_ = 0;  // of accept4 since somebody was let in
    Clock::time_point resume_at_;
    Clock::time_point told_at_;
};
