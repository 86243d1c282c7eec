// vectors/phase2.txt and vectors/phase3.txt, played to Protocol.
#include "common/test_vectors.hpp"

#include "common/test_handshake.hpp"
#include "test_output.hpp"
#include "test_protocol.hpp"

namespace {

/// Takes what it is sent where it lies: right before a page that may not be read.
struct Peer {
    Protocol protocol = make_protocol();

    Bytes send(std::span<std::byte> input) {
        Output output;
        protocol.receive(input, output);
        return sent(output);
    }
    bool is_over() const { return protocol.state() == Protocol::State::closed; }
};

Peer open_peer() {
    Peer peer;
    Bytes request = handshake;
    REQUIRE(peer.send(request) == accepted);
    return peer;
}

}  // namespace

TEST_CASE("the vectors of phase 2 still hold") {
    play_vectors(2, 3, [] { return Peer{}; });
}

TEST_CASE("the vectors of phase 3, however they are cut") {
    play_vectors(3, 3, open_peer);
}
