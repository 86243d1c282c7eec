#include "test_link.hpp"

TEST_CASE("a message that is far longer than what the socket takes comes back whole") {
    OpenLink link;
    const Bytes large = pattern(300'000);
    const Bytes conversation = masked_frame(0x82, large);
    const Bytes expected = join({server_frame(0x82, large), echo});
    Bytes got;
    std::size_t pushed = 0;
    while (link.connection.bytes_in() < handshake.size() + conversation.size()) {
        pushed += push(link.peer, std::span{conversation}.subspan(pushed));
        link.read();
    }
    CHECK(link.writes());
    push(link.peer, frame);
    link.read();
    for (int turn = 0; turn < 10'000 && link.writes(); ++turn) {
        append(got, pull(link.peer, 10'000));
        link.write();
    }
    CHECK(join({got, pull(link.peer)}) == expected);
}

TEST_CASE("frames that come together, short and long, leave together and in order") {
    Link link;
    CHECK(link.ask(handshake) == accepted);
    const Bytes large = pattern(3000);
    CHECK(link.ask(join({frame, masked_frame(0x82, large), frame, masked_frame(0x89, "ping"),
                         masked_frame(0x82, large)})) ==
          join({echo, server_frame(0x82, large), echo, server_frame(0x8A, "ping"),
                server_frame(0x82, large)}));
}

TEST_CASE("the server closes: its CLOSE goes out, and the end of its stream after the peer's") {
    OpenLink link;
    link.close("bye");
    CHECK(pull(link.peer) == server_frame(0x88,
                                          "\x03\xE9"
                                          "bye"));
    CHECK(!at_end(link.peer));
    CHECK(link.reads());
    CHECK(!link.connection.ended());
    CHECK(link.ask(masked_frame(0x88, "\x03\xE9")).empty());
    CHECK(at_end(link.peer));
    shutdown(link.peer, SHUT_WR);
    link.read();
    CHECK(link.connection.ended());
}

TEST_CASE("the server closes behind what waits") {
    OpenLink link;
    const std::size_t filled = fill(link.ours);
    push(link.peer, frame);
    link.read();
    link.close("");
    CHECK(pull(link.peer).size() == filled);
    link.write();
    CHECK(pull(link.peer) == join({echo, server_frame(0x88, "\x03\xE9")}));
    CHECK(!link.connection.ended());
}

TEST_CASE("a connection that is not open yet is closed without a word") {
    Link link;
    push(link.peer, std::span{handshake}.first(20));
    link.read();
    link.close("bye");
    CHECK(link.connection.ended());
    CHECK(pull(link.peer).empty());
}
