// A Connection of this phase, and the peer's end of it: what is tested holds in later phases, too.
#pragma once

#include <doctest/doctest.h>
#include <sys/epoll.h>

#include "common/test_sockets.hpp"
#include "connection.hpp"

struct TestedConnection {
    explicit TestedConnection(const Backpressure& given = {}) { limits.backpressure = given; }

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
};
