// vectors/phase2.txt, played to what answers a request.
#include "common/test_vectors.hpp"

#include "handshake.hpp"

namespace {

/// The server's side of a handshake, without the socket.
struct Peer {
    RequestParser parser{};
    bool answered = false;
    bool refused = false;

    Bytes send(std::span<std::byte> bytes) {
        if (answered) return {};
        try {
            parser.take(bytes);
            answered = parser.complete();
            return answered ? to_bytes(answer_handshake(parser.request())) : Bytes{};
        } catch (const HttpError& error) {
            answered = refused = true;
            return to_bytes(refusal(error, parser.method()));
        }
    }
    bool is_over() const { return refused; }
};

}  // namespace

TEST_CASE("the vectors of phase 2, however they are cut") {
    play_vectors(2, 2, [] { return Peer{}; });
}
