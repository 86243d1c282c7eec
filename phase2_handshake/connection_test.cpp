#include "connection.hpp"

#include <doctest/doctest.h>
#include <sys/epoll.h>

#include "common/test_sockets.hpp"

namespace {

const std::string handshake =
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const std::string accepted =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A connection, and the peer's end of it.
struct Link {
    SocketPair pair;
    int peer = pair.peer.get();
    int ours = pair.ours.get();
    Connection connection{std::move(pair.ours)};

    /// What these bytes are answered with.
    std::string ask(std::string_view text) {
        push(peer, text);
        connection.on_readable();
        return pull_text(peer);
    }
};

}  // namespace

TEST_CASE("a handshake is answered, and the connection stays open") {
    Link link;
    CHECK(link.ask(handshake) == accepted);
    CHECK(link.connection.interest() == EPOLLIN);
    CHECK(!link.connection.ended());
    CHECK(!at_end(link.peer));
    CHECK(link.connection.bytes_in() == handshake.size());
    CHECK(link.connection.bytes_out() == accepted.size());
}

TEST_CASE("a handshake may come byte by byte") {
    Link link;
    std::string answer;
    for (const char c : handshake) {
        CHECK(answer.empty());
        answer = link.ask({&c, 1});
    }
    CHECK(answer == accepted);
}

TEST_CASE("frames are discarded, those that come with the handshake too") {
    Link link;
    const std::string frame = to_text(masked_frame(0x81, "Hello"));
    CHECK(link.ask(handshake + frame) == accepted);
    CHECK(link.ask(frame) == "");
    CHECK(link.ask(handshake) == "");
    CHECK(!link.connection.ended());
}

TEST_CASE("a refusal is followed by the end of our stream, and we read on until the peer's") {
    Link link;
    CHECK(link.ask("POST / HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 405 "));
    CHECK(at_end(link.peer));
    CHECK(link.connection.interest() == EPOLLIN);
    CHECK(link.ask(handshake) == "");
    CHECK(!link.connection.ended());
    shutdown(link.peer, SHUT_WR);
    link.connection.on_readable();
    CHECK(link.connection.ended());
}

TEST_CASE("a malformed head is refused before it has come to its end") {
    Link link;
    CHECK(link.ask("GET / HTTP/1.1\nHost: a").starts_with("HTTP/1.1 400 "));
    CHECK(at_end(link.peer));
}

TEST_CASE("an answer waits until the socket takes it") {
    for (const std::string& request :
         {handshake, std::string{"POST / HTTP/1.1\r\nHost: a\r\n\r\n"}}) {
        Link link;
        const std::size_t filled = fill(link.ours);
        push(link.peer, request);
        link.connection.on_readable();
        CHECK(link.connection.interest() == EPOLLOUT);
        link.connection.on_writable();
        CHECK(link.connection.interest() == EPOLLOUT);
        CHECK(!link.connection.ended());

        CHECK(pull(link.peer).size() == filled);
        link.connection.on_writable();
        CHECK(link.connection.interest() == EPOLLIN);
        CHECK(pull_text(link.peer).starts_with("HTTP/1.1 "));
        CHECK(at_end(link.peer) == (request != handshake));
    }
}

TEST_CASE("a peer that ends or is gone ends the connection") {
    Link ends;
    push(ends.peer, "GET / HT");
    shutdown(ends.peer, SHUT_WR);
    ends.connection.on_readable();
    CHECK(!ends.connection.ended());
    ends.connection.on_readable();
    CHECK(ends.connection.ended());

    Link gone;
    push(gone.peer, handshake);
    gone.pair.peer.reset();
    gone.connection.on_readable();
    CHECK(gone.connection.ended());
}
