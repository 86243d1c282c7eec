// A connection and the peer's end of it: for the unit tests of Connection.
#pragma once

#include <doctest/doctest.h>
#include <sys/epoll.h>

#include "common/test_handshake.hpp"
#include "common/test_sockets.hpp"
#include "connection.hpp"

/// A connection, and the peer's end of it.
struct Link {
    explicit Link(const Backpressure& given = {}) { limits.backpressure = given; }

    Limits limits{};
    TimePoint now{std::chrono::hours{1000}};  // made up, and moved by the test
    SocketPair pair{};
    int peer = pair.peer.get();
    int ours = pair.ours.get();
    Connection connection{std::make_unique<PlainTransport>(std::move(pair.ours)), limits, now};
    Bytes buffer = Bytes(64 * 1024);
    Output output{};

    void read() {
        output.clear();
        connection.on_ready(EPOLLIN, now, buffer, output);
    }
    void write() {
        output.clear();
        connection.on_ready(EPOLLOUT, now, buffer, output);
    }
    void close(std::string_view reason) {
        output.clear();
        connection.close(CloseCode::going_away, reason, now, output);
    }
    void read_until_paused() {
        for (int turn = 0; turn < 100 && reads(); ++turn) read();
        REQUIRE(!reads());
    }
    /// Lets time go by, as far as the deadline; returns what the peer is sent then.
    Bytes wait_for_deadline() {
        now = connection.deadline();
        output.clear();
        connection.on_deadline(now, output);
        return pull(peer);
    }
    /// How long it is until the deadline.
    std::chrono::milliseconds left() const {
        REQUIRE(connection.deadline() != TimePoint::max());
        return std::chrono::duration_cast<std::chrono::milliseconds>(connection.deadline() - now);
    }
    bool has_deadline() const { return connection.deadline() != TimePoint::max(); }

    /// What these bytes are answered with.
    Bytes ask(std::span<const std::byte> bytes) {
        CHECK(push(peer, bytes) == bytes.size());
        read();
        return pull(peer);
    }
    bool reads() const { return (connection.interest() & EPOLLIN) != 0; }
    bool writes() const { return (connection.interest() & EPOLLOUT) != 0; }
};

/// A link whose handshake is done.
struct OpenLink : Link {
    explicit OpenLink(const Backpressure& given = {}) : Link{given} {
        shrink(ours);
        push(peer, handshake);
        while (connection.bytes_in() < handshake.size()) read();
        CHECK(pull(peer) == accepted);
    }
};

inline const Bytes message = pattern(125);
inline const Bytes frame = masked_frame(0x82, message);
inline const Bytes echo = server_frame(0x82, message);
