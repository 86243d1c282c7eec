#include "connection.hpp"

#include <doctest/doctest.h>
#include <sys/epoll.h>

#include "common/test_sockets.hpp"

namespace {

using namespace std::chrono_literals;

const Bytes handshake = to_bytes(
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
const Bytes accepted = to_bytes(
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");

/// A connection, and the peer's end of it.
struct Link {
    explicit Link(const Backpressure& given = {}) { limits.backpressure = given; }

    Limits limits{};
    TimePoint now{1000h};  // made up, and moved by the test
    SocketPair pair{};
    int peer = pair.peer.get();
    int ours = pair.ours.get();
    Connection connection{std::make_unique<PlainTransport>(std::move(pair.ours)), limits, now};
    Bytes buffer = Bytes(64 * 1024);
    Output output{};

    void read() {
        output.clear();
        connection.on_ready(EPOLLIN, now, buffer, output);
    }
    void write() {
        output.clear();
        connection.on_ready(EPOLLOUT, now, buffer, output);
    }
    void close(std::string_view reason) {
        output.clear();
        connection.close(CloseCode::going_away, reason, now, output);
    }
    void read_until_paused() {
        for (int turn = 0; turn < 100 && reads(); ++turn) read();
        REQUIRE(!reads());
    }
    /// Lets time go by, as far as the deadline; returns what the peer is sent then.
    Bytes wait_for_deadline() {
        now = connection.deadline();
        output.clear();
        connection.on_deadline(now, output);
        return pull(peer);
    }
    /// How long it is until the deadline.
    std::chrono::milliseconds left() const {
        REQUIRE(connection.deadline() != TimePoint::max());
        return std::chrono::duration_cast<std::chrono::milliseconds>(connection.deadline() - now);
    }
    bool has_deadline() const { return connection.deadline() != TimePoint::max(); }

    /// What these bytes are answered with.
    Bytes ask(std::span<const std::byte> bytes) {
        CHECK(push(peer, bytes) == bytes.size());
        read();
        return pull(peer);
    }
    bool reads() const { return (connection.interest() & EPOLLIN) != 0; }
    bool writes() const { return (connection.interest() & EPOLLOUT) != 0; }
};

/// A link whose handshake is done.
struct OpenLink : Link {
    explicit OpenLink(const Backpressure& given = {}) : Link{given} {
        shrink(ours);
        push(peer, handshake);
        while (connection.bytes_in() < handshake.size()) read();
        CHECK(pull(peer) == accepted);
    }
};

const Bytes message = pattern(125);
const Bytes frame = masked_frame(0x82, message);
const Bytes echo = server_frame(0x82, message);

using Status = IoResult::Status;

/// A transport that does what the test says.
struct ScriptedTransport : Transport {
    IoResult receive(std::span<std::byte> buffer) override {
        ++reads;
        const std::size_t size = std::min(buffer.size(), input.size());
        std::copy_n(input.begin(), size, buffer.begin());
        input.erase(input.begin(), input.begin() + static_cast<std::ptrdiff_t>(size));
        return {size, read_status};
    }
    IoResult send(std::span<const iovec> slices) override {
        ++writes;
        std::size_t size = 0;
        for (const iovec& slice : slices) size += slice.iov_len;
        return {write_status == Status::done ? size : 0, write_status};
    }
    bool has_unsent() const override { return unsent; }
    bool shut_down() override {
        ++shut_downs;
        return !unsent;
    }
    bool ready() const override { return is_ready; }

    Bytes input{};
    Status read_status = Status::want_read;
    Status write_status = Status::done;
    bool unsent = false;
    bool is_ready = true;
    int reads = 0;
    int writes = 0;
    int shut_downs = 0;
};

/// A connection over such a transport.
struct ScriptedLink {
    Limits limits{};
    TimePoint now{1000h};
    ScriptedTransport* transport = new ScriptedTransport;  // owned by the connection
    Connection connection{std::unique_ptr<Transport>{transport}, limits, now};
    Bytes buffer = Bytes(64 * 1024);
    Output output{};

    void on_ready(std::uint32_t events) {
        output.clear();
        connection.on_ready(events, now, buffer, output);
    }
};

}  // namespace

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
    const Bytes answer = link.ask(to_bytes("POST / HTTP/1.1\r\n\r\n"));
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

TEST_CASE("the handshake has one deadline, that a drip of bytes does not put off") {
    Link link;
    link.limits.timeouts.handshake = 10s;
    CHECK(link.left() == 10s);
    link.now += 6s;
    push(link.peer, std::span{handshake}.first(20));
    link.read();
    CHECK(link.left() == 4s);

    link.output.clear();
    link.connection.on_deadline(link.now, link.output);  // it was not due
    CHECK(pull(link.peer).empty());

    CHECK(to_text(link.wait_for_deadline()).starts_with("HTTP/1.1 408 "));
    CHECK(at_end(link.peer));
    CHECK(!link.connection.ended());
}

TEST_CASE("a handshake that is done has met its deadline") {
    OpenLink link;
    link.limits.timeouts = {.handshake = 10s, .message = 0s, .ping = 0s, .idle = 0s, .close = 0s};
    CHECK(!link.has_deadline());
}

TEST_CASE("a message has one deadline, from its first byte, however it drips") {
    OpenLink link;
    link.limits.timeouts = {.handshake = 10s, .message = 60s, .ping = 0s, .idle = 0s, .close = 5s};
    CHECK(!link.has_deadline());
    for (const auto& piece : {from_hex("01"), from_hex("81 00 00 00 00"), from_hex("61"),
                              masked_frame(0x89), masked_frame(0x00, "more")}) {
        link.ask(piece);
        link.now += 10s;
    }
    CHECK(link.left() == 10s);
    CHECK(link.ask(masked_frame(0x80)) == server_frame(0x81, "amore"));
    CHECK(!link.has_deadline());

    link.ask(masked_frame(0x01, "too slow"));
    CHECK(link.wait_for_deadline() == server_frame(0x88, "\x03\xF0the message took too long"));
    CHECK(at_end(link.peer));
    CHECK(link.left() == 5s);
}

TEST_CASE("a message that begins where another one ends has time of its own") {
    OpenLink link;
    link.limits.timeouts = {.handshake = 10s, .message = 60s, .ping = 0s, .idle = 0s, .close = 5s};
    link.ask(masked_frame(0x01, "first"));
    link.now += 50s;
    link.ask(join({masked_frame(0x80), masked_frame(0x01, "second")}));
    CHECK(link.left() == 60s);
    link.now += 20s;
    link.ask(join({masked_frame(0x80), masked_frame(0x81, "whole"), from_hex("81")}));
    CHECK(link.left() == 60s);
}

TEST_CASE("while reading is paused, the deadline of a message stands still") {
    OpenLink link{{.max_buffered = 1000}};
    link.limits.timeouts = {.handshake = 10s, .message = 60s, .ping = 0s, .idle = 0s, .close = 5s};
    link.ask(masked_frame(0x01, "begun"));
    link.now += 20s;
    fill(link.ours);
    for (int i = 0; i < 5; ++i) push(link.peer, masked_frame(0x89, message));
    link.read_until_paused();
    CHECK(!link.has_deadline());
    link.now += 1000s;
    pull(link.peer);
    link.write();
    REQUIRE(link.reads());
    CHECK(link.left() == 40s);
}

TEST_CASE("after the last word, a peer that still fetches what waits is given more time") {
    OpenLink link;
    link.limits.timeouts = {.handshake = 10s, .message = 0s, .ping = 0s, .idle = 0s, .close = 5s};
    fill(link.ours);
    push(link.peer, masked_frame(0x88));
    link.read();
    CHECK(link.left() == 5s);
    link.now += 4s;
    CHECK(link.left() == 1s);
    pull(link.peer);
    link.write();
    CHECK(link.left() == 5s);
}

TEST_CASE("after quiet comes a PING, after more of it the end (1001)") {
    OpenLink link;
    link.limits.timeouts = {.handshake = 10s, .message = 0s, .ping = 30s, .idle = 20s, .close = 5s};
    CHECK(link.left() == 30s);
    CHECK(to_hex(link.wait_for_deadline()) == "89 00");
    CHECK(link.left() == 20s);
    CHECK(link.wait_for_deadline() == server_frame(0x88, "\x03\xE9no sign of life"));
    CHECK(link.connection.ended());
}

TEST_CASE("the time after the PING is counted from the PING, also where it is the shorter one") {
    OpenLink link;
    link.limits.timeouts = {.handshake = 10s, .message = 0s, .ping = 20s, .idle = 60s, .close = 5s};
    link.wait_for_deadline();
    CHECK(link.left() == 60s);
}

TEST_CASE("any byte is a sign of life, and puts the PING off") {
    OpenLink link;
    link.limits.timeouts = {.handshake = 10s, .message = 0s, .ping = 30s, .idle = 20s, .close = 5s};
    link.now += 10s;
    link.ask(from_hex("81"));
    CHECK(link.left() == 30s);
    CHECK(to_hex(link.wait_for_deadline()) == "89 00");
    link.now += 19s;
    link.ask(from_hex("80"));  // no PONG, but somebody is there
    CHECK(link.left() == 30s);
    CHECK(to_hex(link.wait_for_deadline()) == "89 00");
}

TEST_CASE("an alarm for a deadline that was put off does nothing") {
    OpenLink link;
    link.limits.timeouts = {.handshake = 10s, .message = 0s, .ping = 30s, .idle = 20s, .close = 5s};
    link.now += 10s;
    link.ask(frame);
    link.now += 20s;  // 30 seconds after the start
    link.output.clear();
    link.connection.on_deadline(link.now, link.output);
    CHECK(pull(link.peer).empty());
    CHECK(link.left() == 10s);
}

TEST_CASE("each timeout can be turned off") {
    Link connecting;
    connecting.limits.timeouts.handshake = 0s;
    CHECK(!connecting.has_deadline());

    OpenLink without_ping;
    without_ping.limits.timeouts = {.message = 0s, .ping = 0s, .idle = 20s};
    CHECK(without_ping.left() == 20s);
    CHECK(without_ping.wait_for_deadline() == server_frame(0x88, "\x03\xE9no sign of life"));
    CHECK(without_ping.connection.ended());

    OpenLink without_idle;
    without_idle.limits.timeouts = {.message = 0s, .ping = 30s, .idle = 0s};
    for (int i = 0; i < 3; ++i) {  // it is never given up, so it is asked again and again
        CHECK(without_idle.left() == 30s);
        CHECK(to_hex(without_idle.wait_for_deadline()) == "89 00");
    }

    OpenLink without_close;
    without_close.limits.timeouts.close = 0s;
    without_close.ask(masked_frame(0x88));
    CHECK(!without_close.has_deadline());
}

TEST_CASE("when all is said, the peer has a time to end its stream, whatever it sends") {
    OpenLink link;
    link.limits.timeouts.close = 5s;
    link.ask(masked_frame(0x88));
    CHECK(link.left() == 5s);
    link.now += 3s;
    link.ask(frame);
    CHECK(link.left() == 2s);
    link.wait_for_deadline();
    CHECK(link.connection.ended());
}

TEST_CASE("while reading is paused, what the peer takes is a sign of life") {
    OpenLink link{{.max_buffered = 1000}};
    link.limits.timeouts = {.handshake = 10s, .message = 0s, .ping = 30s, .idle = 20s, .close = 5s};
    fill(link.ours);
    for (int i = 0; i < 6; ++i) push(link.peer, frame);
    link.read_until_paused();
    link.now += 10s;
    link.write();  // still full
    CHECK(link.left() == 20s);
    pull(link.peer);
    link.write();
    CHECK(link.left() == 30s);
}

TEST_CASE("a peer that reads nothing and says nothing is given up") {
    OpenLink link{{.max_buffered = 1000}};
    link.limits.timeouts = {.handshake = 10s, .message = 0s, .ping = 30s, .idle = 20s, .close = 5s};
    fill(link.ours);
    for (int i = 0; i < 6; ++i) push(link.peer, frame);
    link.read_until_paused();
    for (int i = 0; i < 2; ++i) {  // no pull(): its socket stays full
        link.now = link.connection.deadline();
        link.output.clear();
        link.connection.on_deadline(link.now, link.output);
    }
    CHECK(link.connection.ended());
}

TEST_CASE("a read that wants to write waits for EPOLLOUT, and is tried again then") {
    ScriptedLink link;
    CHECK(link.connection.interest() == EPOLLIN);
    link.transport->read_status = Status::want_write;
    link.on_ready(EPOLLIN);
    CHECK(link.transport->reads == 1);
    CHECK(link.connection.interest() == EPOLLOUT);
    link.on_ready(EPOLLIN);  // not what it needs
    CHECK(link.transport->reads == 1);
    link.transport->read_status = Status::want_read;
    link.on_ready(EPOLLOUT);
    CHECK(link.transport->reads == 2);
    CHECK(link.connection.interest() == EPOLLIN);
}

TEST_CASE("a write that wants to read waits for EPOLLIN, and does not keep reading from going on") {
    ScriptedLink link;
    link.transport->input = handshake;
    link.transport->write_status = Status::want_read;
    link.on_ready(EPOLLIN);
    CHECK(link.connection.interest() == EPOLLIN);
    const int before = link.transport->writes;
    link.on_ready(EPOLLOUT);
    CHECK(link.transport->writes == before);
    link.transport->write_status = Status::done;
    link.on_ready(EPOLLIN);
    CHECK(link.transport->writes > before);
    CHECK(link.transport->reads == 2);
    CHECK(link.connection.bytes_out() == accepted.size());
}

TEST_CASE("what the transport has read already is asked for without epoll") {
    ScriptedLink link;
    CHECK(!link.connection.has_more());
    link.transport->input = handshake;
    link.transport->read_status = Status::done;
    link.on_ready(EPOLLIN);
    CHECK(link.connection.has_more());
    link.transport->read_status = Status::want_read;
    link.on_ready(0);
    CHECK(link.transport->reads == 2);
    CHECK(!link.connection.has_more());
    link.on_ready(0);
    CHECK(link.transport->reads == 2);
}

TEST_CASE("one turn reads at most once, and at most half of the cap") {
    ScriptedLink link;
    link.limits.backpressure.max_buffered = 1000;
    link.transport->input = pattern(5000);
    link.transport->read_status = Status::done;
    link.on_ready(EPOLLIN);
    CHECK(link.transport->reads == 1);
    CHECK(link.connection.bytes_in() == 500);
}

TEST_CASE("what the transport has taken and not sent waits for EPOLLOUT") {
    ScriptedLink link;
    link.transport->unsent = true;
    CHECK(link.connection.interest() == (EPOLLIN | EPOLLOUT));
    const int before = link.transport->writes;
    link.on_ready(EPOLLOUT);
    CHECK(link.transport->writes == before + 1);
    link.transport->unsent = false;
    CHECK(link.connection.interest() == EPOLLIN);
}

TEST_CASE("our stream ends when the transport can end it") {
    ScriptedLink link;
    link.transport->input = handshake;
    link.on_ready(EPOLLIN);
    link.transport->input = masked_frame(0x88);
    link.transport->unsent = true;
    link.on_ready(EPOLLIN);
    CHECK(link.transport->shut_downs == 1);
    link.transport->read_status = Status::ended;
    link.on_ready(EPOLLIN);
    CHECK(!link.connection.ended());  // the answer is not out yet
    link.transport->unsent = false;
    link.on_ready(EPOLLOUT);
    CHECK(link.connection.ended());
}

TEST_CASE("a transport that is broken is shut down, and the peer's end is awaited") {
    ScriptedLink link;
    link.transport->input = handshake;
    link.transport->write_status = Status::want_write;
    link.on_ready(EPOLLIN);  // an answer waits, and can't be sent any more
    link.transport->read_status = Status::broken;
    link.transport->write_status = Status::broken;
    link.on_ready(EPOLLIN);
    CHECK(link.transport->shut_downs == 1);
    CHECK(!link.connection.ended());
    CHECK(link.connection.interest() == EPOLLIN);
    CHECK(link.connection.deadline() == link.now + link.limits.timeouts.close);
    link.transport->read_status = Status::ended;
    link.on_ready(EPOLLIN);
    CHECK(link.connection.ended());
}

TEST_CASE("a handshake of TLS that takes too long ends without a word") {
    ScriptedLink link;
    link.transport->is_ready = false;
    link.now = link.connection.deadline();
    link.output.clear();
    link.connection.on_deadline(link.now, link.output);
    CHECK(link.connection.ended());
    CHECK(link.output.empty());
}

TEST_CASE(
    "a connection that has ended says nothing more, whatever else happens in the same batch") {
    ScriptedLink link;
    link.transport->input = handshake;
    link.on_ready(EPOLLIN);
    link.transport->read_status = Status::ended;
    link.on_ready(EPOLLIN);
    REQUIRE(link.connection.ended());
    const int writes = link.transport->writes;
    link.now = link.connection.deadline();
    link.connection.on_deadline(link.now, link.output);
    link.connection.close(CloseCode::going_away, "the server is stopping", link.now, link.output);
    const int reads = link.transport->reads;
    link.transport->input = frame;
    link.on_ready(EPOLLIN | EPOLLOUT);
    CHECK(link.transport->reads == reads);
    CHECK(link.transport->writes == writes);
    CHECK(link.connection.protocol().close_code() == 0);
}
