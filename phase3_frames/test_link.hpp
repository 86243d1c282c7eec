// A connection and the peer's end of it: for the unit tests of Connection.
#pragma once

#include <doctest/doctest.h>
#include <sys/epoll.h>

#include "common/test_handshake.hpp"
#include "common/test_sockets.hpp"
#include "connection.hpp"

/// A connection, and the peer's end of it.
struct Link {
    explicit Link(const Backpressure& given = {}) : backpressure{given} {}

    Backpressure backpressure;
    SocketPair pair{};
    int peer = pair.peer.get();
    int ours = pair.ours.get();
    Connection connection{std::move(pair.ours), backpressure};
    Bytes buffer = Bytes(64 * 1024);
    Output output{};

    void read() {
        output.clear();
        connection.on_readable(buffer, output);
    }
    void write() { connection.on_writable(); }

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
