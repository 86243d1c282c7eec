#include "test_link.hpp"

TEST_CASE("frames are answered, and counted") {
    Link link;
    CHECK(link.ask(handshake) == accepted);
    CHECK(link.ask(join({frame, frame})) == join({echo, echo}));
    CHECK(link.connection.interest() == EPOLLIN);
    CHECK(link.connection.bytes_in() == handshake.size() + 2 * frame.size());
    CHECK(link.connection.bytes_out() == accepted.size() + 2 * echo.size());
}

TEST_CASE("nothing there to read is no end") {
    OpenLink link;
    link.read();
    CHECK(!link.connection.ended());
    CHECK(link.connection.interest() == EPOLLIN);
}

TEST_CASE("output that waits is sent before what comes after it, and reading goes on") {
    OpenLink link;
    const std::size_t filled = fill(link.ours);
    push(link.peer, frame);
    link.read();
    CHECK(link.connection.interest() == (EPOLLIN | EPOLLOUT));
    CHECK(pull(link.peer).size() == filled);

    CHECK(link.ask(masked_frame(0x81, "second")).empty());  // may not overtake
    link.write();
    CHECK(pull(link.peer) == join({echo, server_frame(0x81, "second")}));
    CHECK(link.connection.interest() == EPOLLIN);
}

TEST_CASE("above half of the cap reading stops, until all that waits has gone") {
    OpenLink link{{.max_buffered = 1000}};
    const std::size_t filled = fill(link.ours);
    for (int i = 0; i < 3; ++i) {
        push(link.peer, frame);
        link.read();
        CHECK(link.reads());
    }
    push(link.peer, join({frame, frame}));
    link.read();  // now four or five of them wait: over 500 bytes
    CHECK(link.connection.interest() == EPOLLOUT);
    link.write();
    CHECK(link.connection.interest() == EPOLLOUT);

    CHECK(pull(link.peer).size() == filled);
    link.write();
    CHECK(link.connection.interest() == EPOLLIN);
    link.read();  // what was left in the socket meanwhile, if anything
    CHECK(pull(link.peer) == join({echo, echo, echo, echo, echo}));
}

TEST_CASE("a slow reader gets everything in order, and never more than the cap waits for it") {
    OpenLink link{{.max_buffered = 2000}};
    Bytes conversation;
    Bytes expected;
    for (int i = 0; i < 2000; ++i) {
        const Bytes number = to_bytes(std::to_string(100'000 + i) + std::string(99, '.'));
        append(conversation, masked_frame(0x81, number));
        append(expected, server_frame(0x81, number));
    }
    Bytes got;
    std::size_t pushed = 0;
    std::size_t pauses = 0;
    std::size_t most_waiting = 0;
    const auto in_before = link.connection.bytes_in();
    const auto out_before = link.connection.bytes_out();
    while (got.size() < expected.size()) {
        REQUIRE(!link.connection.ended());
        pushed += push(link.peer, std::span{conversation}.subspan(pushed));
        while (link.reads() && link.connection.bytes_in() - in_before < pushed) {
            link.read();
            // Of what came in, the answers to whole frames are made: four bytes shorter each.
            const auto in = link.connection.bytes_in() - in_before;
            const auto made = in - in / 111 * 4;
            most_waiting =
                std::max(most_waiting, made - (link.connection.bytes_out() - out_before));
        }
        if (!link.reads()) ++pauses;
        const Bytes some = pull(link.peer, 1500);
        append(got, some);
        if (link.writes()) link.write();
    }
    CHECK(got == expected);
    CHECK(pauses > 10);
    CHECK(most_waiting > 1000);
    CHECK(most_waiting <= 2000 + 111);
}

TEST_CASE("when full, drop: a peer that does not read is given up past the cap, not before") {
    OpenLink link{{.max_buffered = 1000, .drop = true}};
    fill(link.ours);
    for (int i = 0; i < 7; ++i) {  // 7 × 127 bytes
        push(link.peer, frame);
        link.read();
        CHECK(link.reads());
        CHECK(!link.connection.ended());
    }
    push(link.peer, frame);
    link.read();
    CHECK(link.connection.ended());
}

TEST_CASE("when full, drop: a peer that has just begun to read is told 1013") {
    OpenLink link{{.max_buffered = 1000, .drop = true}};
    fill(link.ours);
    for (int i = 0; i < 7; ++i) {
        push(link.peer, frame);
        link.read();
    }
    pull(link.peer);
    push(link.peer, frame);
    link.read();
    CHECK(!link.connection.ended());
    if (link.writes()) link.write();
    const Bytes last = server_frame(0x88, "\x03\xF5too much waits to be sent");
    const Bytes answers = pull(link.peer);
    CHECK(answers == join({echo, echo, echo, echo, echo, echo, echo, echo, last}));
    CHECK(at_end(link.peer));
    CHECK(link.connection.protocol().close_code() == 1013);
}

TEST_CASE("the peer's end of stream ends the connection, once it has its answers") {
    OpenLink link;
    const std::size_t filled = fill(link.ours);
    push(link.peer, frame);
    shutdown(link.peer, SHUT_WR);
    link.read();
    link.read();
    CHECK(!link.connection.ended());
    CHECK(link.connection.interest() == EPOLLOUT);
    CHECK(pull(link.peer).size() == filled);
    link.write();
    CHECK(link.connection.ended());
    CHECK(pull(link.peer) == echo);
}

TEST_CASE("a peer that ends with nothing to wait for ends the connection at once") {
    OpenLink link;
    shutdown(link.peer, SHUT_WR);
    link.read();
    CHECK(link.connection.ended());
}

TEST_CASE("after the CLOSE our stream ends, and the peer's is awaited (RFC 6455 §7.1.1)") {
    OpenLink link;
    CHECK(link.ask(masked_frame(0x88, "\x03\xE8")) == server_frame(0x88, "\x03\xE8"));
    CHECK(at_end(link.peer));
    CHECK(link.connection.interest() == EPOLLIN);
    CHECK(link.ask(frame).empty());
    CHECK(!link.connection.ended());
    shutdown(link.peer, SHUT_WR);
    link.read();
    CHECK(link.connection.ended());
}

TEST_CASE("our stream does not end before what waits has gone") {
    OpenLink link;
    const std::size_t filled = fill(link.ours);
    push(link.peer, join({frame, server_frame(0x81, "unmasked")}));
    link.read();
    CHECK(link.connection.protocol().state() == Protocol::State::closed);
    CHECK(link.writes());
    CHECK(pull(link.peer).size() == filled);
    CHECK(!at_end(link.peer));
    link.write();
    const Bytes answers = pull(link.peer);
    CHECK(answers == join({echo, server_frame(0x88,
                                              "\x03\xEA"
                                              "a client's frame is masked")}));
    CHECK(at_end(link.peer));
}

TEST_CASE("a refused handshake is answered before our stream ends") {
    Link link;
    const Bytes answer = link.ask(to_bytes("POST / HTTP/1.1\r\nHost: a\r\n\r\n"));
    CHECK(to_text(answer).starts_with("HTTP/1.1 405 "));
    CHECK(at_end(link.peer));
    CHECK(link.reads());
    CHECK(!link.connection.ended());
}

TEST_CASE("a peer that is gone ends the connection") {
    OpenLink sending;
    push(sending.peer, frame);
    sending.pair.peer.reset();
    sending.read();  // answering fails: EPIPE
    CHECK(sending.connection.ended());

    OpenLink reading;
    push(reading.ours, "unread");
    reading.pair.peer.reset();
    reading.read();  // ECONNRESET
    CHECK(reading.connection.ended());
}
