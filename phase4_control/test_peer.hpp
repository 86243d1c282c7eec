// The server's side of a connection, fed by a test: for the unit tests of Protocol.
#pragma once

#include <doctest/doctest.h>

#include "common/test_handshake.hpp"
#include "protocol.hpp"

using State = Protocol::State;

inline Bytes sent(Output& output) {
    Bytes all;
    for (const iovec& slice : output.slices()) {
        const auto* const data = static_cast<const std::byte*>(slice.iov_base);
        append(all, {data, slice.iov_len});
    }
    return all;
}

constexpr std::size_t max_message = 100'000;

/// The server's side of a connection, fed by the test.
struct Peer {
    Protocol protocol{max_message};
    Output output{};

    /// What these bytes are answered with.
    Bytes send(std::span<const std::byte> bytes) {
        Bytes input{bytes.begin(), bytes.end()};
        output.clear();
        protocol.receive(input, output);
        return sent(output);
    }
    /// The same in hexadecimal.
    std::string ask(std::span<const std::byte> bytes) { return to_hex(send(bytes)); }

    std::string close(CloseCode code, std::string_view reason) {
        output.clear();
        protocol.close(code, reason, output);
        return to_hex(sent(output));
    }
};

/// A peer whose connection is open.
struct OpenPeer : Peer {
    OpenPeer() { REQUIRE(send(handshake) == accepted); }
};
