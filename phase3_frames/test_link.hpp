// A connection and the peer's end of it: for the unit tests of Connection.
#pragma once

#include <doctest/doctest.h>
#include <sys/epoll.h>

#include "common/test_handshake.hpp"
#include "test_connection.hpp"

struct Link : TestedConnection {
    using TestedConnection::TestedConnection;

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
