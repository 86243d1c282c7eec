// vectors/phase2.txt and vectors/phase3.txt, played to Protocol.
#include "common/test_vectors.hpp"

#include "protocol.hpp"

namespace {

struct Peer {
    Protocol protocol{};

    Bytes send(std::span<std::byte> input) {
        Output output;
        protocol.receive(input, output);
        return {output.bytes().begin(), output.bytes().end()};
    }
    bool is_over() const { return protocol.state() == Protocol::State::closed; }
};

Peer open_peer() {
    Peer peer;
    Bytes request = to_bytes(
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n");
    const Bytes answer = peer.send(request);
    REQUIRE(to_text(answer).starts_with("HTTP/1.1 101 "));
    return peer;
}

}  // namespace

TEST_CASE("the vectors of phase 2 still hold") {
    play_vectors(2, 3, [] { return Peer{}; });
}

TEST_CASE("the vectors of phase 3, however they are cut") {
    play_vectors(3, 3, open_peer);
}
