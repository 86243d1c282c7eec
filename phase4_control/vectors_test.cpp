// The vectors of phases 2 to 4, played to Protocol.
#include "common/test_vectors.hpp"

#include <concepts>

#include "protocol.hpp"

namespace {

constexpr std::size_t max_message = 1 << 20;

/// Phase 5 also asks which pages may connect.
template <typename P>
P make_protocol() {
    if constexpr (std::constructible_from<P, std::size_t>) {
        return P{max_message};
    } else {
        static const std::vector<std::string> any_page;
        return P{max_message, any_page};
    }
}

struct Peer {
    Protocol protocol = make_protocol<Protocol>();

    Bytes send(std::span<std::byte> input) {
        Output output;
        protocol.receive(input, output);
        Bytes answer;
        for (const iovec& slice : output.slices())
            append(answer, {static_cast<const std::byte*>(slice.iov_base), slice.iov_len});
        return answer;
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
    play_vectors(2, 4, [] { return Peer{}; });
}

TEST_CASE("the vectors of phase 3 still hold") {
    play_vectors(3, 4, open_peer);
}

TEST_CASE("the vectors of phase 4, however they are cut") {
    play_vectors(4, 4, open_peer);
}
