// A Connection of this phase, and the peer's end of it: what is tested holds in later phases, too.
#pragma once

#include "common/test_sockets.hpp"
#include "connection.hpp"

struct TestedConnection {
    explicit TestedConnection(const Backpressure& given = {}) : backpressure{given} {}

    Backpressure backpressure;
    SocketPair pair{};
    int peer = pair.peer.get();
    int ours = pair.ours.get();
    Connection connection{std::move(pair.ours), backpressure, 1 << 20};
    Bytes buffer = Bytes(64 * 1024);
    Output output{};

    void read() {
        output.clear();
        connection.on_readable(buffer, output);
    }
    void write() { connection.on_writable(); }
    void close(std::string_view reason) {
        output.clear();
        connection.close(CloseCode::going_away, reason, output);
    }
};
