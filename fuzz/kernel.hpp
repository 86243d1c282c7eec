// A kernel of one process, simulated: sockets, epoll, a timer, signals and a clock, as far as the
// server uses them. wrap.cpp leads the server's calls here; world.cpp decides what happens.
#pragma once

#include <sys/epoll.h>
#include <sys/uio.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>

#include "common/test_bytes.hpp"

/// A connection. The server's calls change one side of it, its peer the other.
struct Socket {
    bool tls = false;  // it came to the second listener
    Bytes to_server;
    std::size_t read = 0;  // of them
    Bytes from_server;
    std::size_t window = 0;  // how much more the peer lets come
    bool peer_ended = false;
    bool server_ended = false;
    bool accepted = false;
    bool closed = false;  // by the server
    int error = 0;        // the next call tells it; afterwards the connection is dead
    bool dead = false;
    bool unsent = false;        // the last send took less than it was given
    std::size_t sends = 0;      // since the last wait
    std::size_t sent_then = 0;  // the size of from_server at it

    // Faults to come.
    unsigned recv_interrupts = 0;
    unsigned send_interrupts = 0;
    std::size_t recv_limit = SIZE_MAX;
    std::size_t send_limit = SIZE_MAX;

    std::size_t unread() const { return to_server.size() - read; }
    std::uint32_t readiness() const;
};

class Kernel {
public:
    /// What epoll_wait asks of the world: `turn` is called each time, `wake` when the server would
    /// sleep for ever; that returns false when nothing more will happen.
    struct World {
        virtual ~World() = default;
        virtual void turn() = 0;
        virtual bool wake() = 0;
    };

    explicit Kernel(World& world);
    Kernel(const Kernel&) = delete;
    Kernel& operator=(const Kernel&) = delete;
    ~Kernel();

    /// The time at which it begins, in nanoseconds.
    static constexpr std::uint64_t start = 1'000'000'000'000;

    /// The one that is running; nullptr: calls go to the real kernel.
    static Kernel* current();
    /// Whether a descriptor is of this kernel, open or not.
    static bool owns(int fd) { return fd >= first; }

    // What the world does.
    void connect(std::shared_ptr<Socket> socket) { backlog_[socket->tls].push_back(socket); }
    void fail_accept(int error) { accept_errors_.push_back(error); }
    void raise(int signal) { signals_.push_back(signal); }
    void advance(std::uint64_t nanoseconds) { now_ += nanoseconds; }
    void interrupt_wait() { interrupted_ = true; }
    /// In which order, and how many at once, events are told.
    void order(unsigned turn, std::size_t most) { turn_ = turn, most_ = most; }
    bool ring();              // lets the time pass until the timer rings; false: it is not set
    bool all_closed() const;  // of the connections, and none waits to be accepted
    std::size_t open_descriptors() const { return descriptors_.size(); }
    std::uint64_t now() const { return now_; }

    // The system calls; failures as -1 and errno.
    int open_listener();
    int open_timer() { return open({Kind::timer, 0, nullptr}); }
    int open_signals() { return open({Kind::signals, 0, nullptr}); }
    int open_epoll() { return open({Kind::epoll, 0, nullptr}); }
    int use(int fd);  // any other call on it
    int accept(int listener);
    ssize_t recv(int fd, void* buffer, std::size_t size);
    ssize_t send(int fd, std::span<const iovec> slices, int flags);
    ssize_t read(int fd, void* buffer, std::size_t size);
    int shut_down(int fd);
    int close(int fd);
    int set_timer(int fd, std::uint64_t when);
    int control(int fd, int operation, int watched, const epoll_event& event);
    int wait(std::span<epoll_event> events, int timeout_ms);

private:
    enum class Kind { listener, timer, signals, epoll, socket };
    struct Descriptor {
        Kind kind;
        std::size_t listener;  // 0 plain, 1 TLS
        std::shared_ptr<Socket> socket;
        std::optional<epoll_event> watched{};
    };

    static constexpr int first = 1000;

    int open(Descriptor descriptor);
    Descriptor& at(int fd);
    std::uint32_t readiness(const Descriptor& descriptor) const;
    int collect(std::span<epoll_event> events) const;
    void check_interests() const;
    void check_turns() const;
    void check_progress(int told);
    ssize_t fail(int error) const;

    World& world_;
    std::map<int, Descriptor> descriptors_;
    std::size_t listeners_ = 0;
    std::deque<std::shared_ptr<Socket>> backlog_[2];
    std::deque<int> accept_errors_;
    bool exhausted_ = false;  // accept has failed for want of something, since the last wait
    std::deque<int> signals_;
    std::uint64_t now_ = start;
    std::optional<std::uint64_t> alarm_;
    bool interrupted_ = false;
    unsigned turn_ = 0;
    std::size_t most_ = SIZE_MAX;
    unsigned idle_turns_ = 0;  // that events were told in, and nothing was done about them
    bool progress_ = true;     // since the last wait
    bool tls_seen_ = false;
};
