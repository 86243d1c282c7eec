// The peer of a Protocol: for its unit tests.
#pragma once

#include <doctest/doctest.h>

#include "common/test_handshake.hpp"
#include "test_output.hpp"
#include "test_protocol.hpp"

using State = Protocol::State;

/// The server's side of a connection, fed by the test.
struct Peer {
    Protocol protocol = make_protocol();
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

/// The code of the CLOSE that a fresh connection is answered with, and ends with; 0 for none.
inline unsigned fails_with(std::span<const std::byte> bytes) {
    OpenPeer peer;
    const Bytes answer = peer.send(bytes);
    if (peer.protocol.state() == State::open) return 0;
    REQUIRE(answer.size() >= 4);
    CHECK(answer[0] == std::byte{0x88});
    CHECK(std::to_integer<std::size_t>(answer[1]) == answer.size() - 2);
    const unsigned code =
        std::to_integer<unsigned>(answer[2]) << 8 | std::to_integer<unsigned>(answer[3]);
    CHECK(peer.protocol.state() == State::closed);
    CHECK(peer.protocol.close_code() == code);
    CHECK(peer.ask(masked_frame(0x81, "more")) == "");
    return code;
}

/// That the answers to a conversation are these, whole, byte by byte, and cut at every place.
inline void check_however_cut(const Bytes& conversation, const Bytes& answers) {
    CHECK(to_hex(Peer{}.send(conversation)) == to_hex(answers));

    Peer slow;
    Bytes all;
    for (const std::byte& byte : conversation) append(all, slow.send({&byte, 1}));
    CHECK(to_hex(all) == to_hex(answers));

    for (std::size_t cut = 0; cut <= conversation.size(); ++cut) {
        Peer peer;
        const Bytes first = peer.send(std::span{conversation}.first(cut));
        const Bytes second = peer.send(std::span{conversation}.subspan(cut));
        CHECK_MESSAGE(join({first, second}) == answers, "cut at " << cut);
    }
}
