// One client: its transport, its protocol, what waits to be sent, and its deadlines.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "output.hpp"
#include "protocol.hpp"
#include "timer.hpp"
#include "transport.hpp"
#include "write_queue.hpp"

/// What may wait to be sent to one connection, and what is done when it is too much.
struct Backpressure {
    std::size_t max_buffered = 4 << 20;  // bytes
    bool drop = false;                   // end the connection; else pause: stop reading from it
};

/// How long a peer may take; 0: as long as it likes.
struct Timeouts {
    std::chrono::milliseconds handshake{10'000};  // for TLS and the opening handshake together
    std::chrono::milliseconds message{60'000};    // from its first byte to its last
    std::chrono::milliseconds ping{30'000};       // of quiet, before it is asked for a sign of life
    std::chrono::milliseconds idle{30'000};       // of quiet after that, before it is given up
    std::chrono::milliseconds close{5'000};       // to end its stream, when all is said
};

/// What holds for every connection of a server.
struct Limits {
    Backpressure backpressure;
    std::size_t max_message = 1 << 20;  // bytes
    Timeouts timeouts;
    std::vector<std::string> origins;  // the pages that may connect; none: any
};

class Connection {
public:
    /// `limits` must outlive the connection.
    Connection(std::unique_ptr<Transport> transport, const Limits& limits, TimePoint now);

    /// What epoll should wait for. Mostly EPOLLIN to read and EPOLLOUT to write, but in TLS each
    /// may want the other.
    std::uint32_t interest() const;

    /// True while the transport holds bytes that it has read already: epoll does not know of them,
    /// so on_ready() is due without it.
    bool has_more() const { return has_more_ && is_reading(); }

    /// The socket is ready for `events`. Reads at most once through the loop's buffer, and answers
    /// through the loop's output.
    void on_ready(std::uint32_t events, TimePoint now, std::span<std::byte> buffer, Output& output);

    /// False while TLS shakes hands, or after it has failed.
    bool is_secured() const { return transport_->ready(); }

    /// When on_deadline() is due; TimePoint::max(): never. Only later for what the peer sends.
    TimePoint deadline() const;
    void on_deadline(TimePoint now, Output& output);

    /// Ends it at once: something has failed in the middle, and it is not to be used any more.
    void give_up() { ended_ = true; }

    /// Starts the closing handshake.
    void close(CloseCode code, std::string_view reason, TimePoint now, Output& output);

    /// True when nothing is left to do, and nothing is done any more: the peer has ended and has
    /// all its answers, or is gone.
    bool ended() const { return ended_; }

    const Protocol& protocol() const { return protocol_; }
    std::uint64_t bytes_in() const { return bytes_in_; }
    std::uint64_t bytes_out() const { return bytes_out_; }

private:
    bool is_reading() const { return !paused_ && !peer_ended_; }
    bool is_writing() const { return !queue_.empty() || transport_->has_unsent(); }
    std::size_t read_limit() const;
    void receive(std::span<std::byte> buffer, Output& output);
    void send(Output& output);
    void flush();
    std::size_t write(std::span<const iovec> slices);
    void note(IoResult::Status status);
    void limit_queue(TimePoint now);
    void drop();
    void update(TimePoint now);
    void pause(bool paused, TimePoint now);
    void track_message(TimePoint now);
    bool pings_next() const;

    std::unique_ptr<Transport> transport_;
    const Limits& limits_;
    Protocol protocol_;
    WriteQueue queue_;
    std::uint64_t bytes_in_ = 0;
    std::uint64_t bytes_out_ = 0;
    TimePoint since_;  // it was accepted; later: all was said, and some of it taken
    TimePoint last_heard_;
    TimePoint pinged_ = TimePoint::max();         // max: no PING is out
    TimePoint message_began_ = TimePoint::max();  // max: none has
    TimePoint paused_since_;
    std::uint32_t messages_seen_ = 0;  // Protocol::received_count() when the message began
    std::uint8_t read_needs_;          // the events that let a read go on
    std::uint8_t write_needs_;         // … and a write
    // Bits: there are thousands of connections, and most of them do nothing.
    bool has_more_ : 1 = false;
    bool paused_ : 1 = false;       // reading waits until the queue has drained
    bool peer_ended_ : 1 = false;   // its end of stream was read
    bool broken_ : 1 = false;       // TLS has failed: what waits can't be sent
    bool closed_ : 1 = false;       // all is said: since_ tells when
    bool half_closed_ : 1 = false;  // our end of stream was sent
    bool ended_ : 1 = false;
};
