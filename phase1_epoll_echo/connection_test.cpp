#include "connection.hpp"

#include <doctest/doctest.h>
#include <sys/epoll.h>

#include "common/test_sockets.hpp"

namespace {

/// A connection, and the peer's end of it.
struct Link {
    SocketPair pair;
    int peer = pair.peer.get();
    int ours = pair.ours.get();
    Connection connection{std::move(pair.ours)};
};

}  // namespace

TEST_CASE("what comes is sent back") {
    Link link;
    CHECK(link.connection.interest() == EPOLLIN);
    push(link.peer, "hello");
    link.connection.on_readable();
    CHECK(pull_text(link.peer) == "hello");
    CHECK(link.connection.interest() == EPOLLIN);
    CHECK(link.connection.bytes_in() == 5);
    CHECK(link.connection.bytes_out() == 5);
}

TEST_CASE("bytes are bytes: zeros and all others come back") {
    Link link;
    const Bytes bytes = pattern(4096);
    push(link.peer, bytes);
    link.connection.on_readable();
    CHECK(pull(link.peer) == bytes);
}

TEST_CASE("nothing there to read is no end") {
    Link link;
    link.connection.on_readable();
    CHECK(!link.connection.ended());
    CHECK(link.connection.interest() == EPOLLIN);
}

TEST_CASE("with a full socket what was read waits for EPOLLOUT, and nothing more is read") {
    Link link;
    const std::size_t filled = fill(link.ours);
    push(link.peer, "hello");
    link.connection.on_readable();
    CHECK(link.connection.interest() == EPOLLOUT);
    link.connection.on_writable();  // still full
    CHECK(!link.connection.ended());
    CHECK(link.connection.interest() == EPOLLOUT);

    CHECK(pull(link.peer).size() == filled);
    link.connection.on_writable();
    CHECK(pull_text(link.peer) == "hello");
    CHECK(link.connection.interest() == EPOLLIN);
}

TEST_CASE("a peer that reads slowly gets everything, in order") {
    Link link;
    shrink(link.ours);
    const Bytes bytes = pattern(300'000);
    Bytes echo;
    std::size_t pushed = 0;
    std::size_t stalls = 0;
    while (echo.size() < bytes.size()) {
        REQUIRE(!link.connection.ended());
        pushed += push(link.peer, std::span{bytes}.subspan(pushed));
        const std::uint64_t before = link.connection.bytes_in() + link.connection.bytes_out();
        if (link.connection.interest() == EPOLLIN)
            link.connection.on_readable();
        else
            link.connection.on_writable();
        if (link.connection.bytes_in() + link.connection.bytes_out() != before) continue;
        ++stalls;
        const Bytes some = pull(link.peer, 1000);
        REQUIRE(!some.empty());
        append(echo, some);
    }
    CHECK(stalls > 10);
    CHECK(echo == bytes);
}

TEST_CASE("the peer's end of stream ends the connection") {
    Link link;
    push(link.peer, "bye");
    shutdown(link.peer, SHUT_WR);
    link.connection.on_readable();
    CHECK(!link.connection.ended());
    CHECK(pull_text(link.peer) == "bye");
    link.connection.on_readable();
    CHECK(link.connection.ended());
}

TEST_CASE("a peer that is gone ends the connection, and no signal ends the server") {
    Link link;
    push(link.peer, "hello");
    link.pair.peer.reset();
    link.connection.on_readable();  // sending it back fails: EPIPE
    CHECK(link.connection.ended());
}

TEST_CASE("a reset ends the connection") {
    Link link;
    push(link.ours, "unread");
    link.pair.peer.reset();
    link.connection.on_readable();
    CHECK(link.connection.ended());
}
