#include "test_link.hpp"

namespace {

using namespace std::chrono_literals;

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

void read_until_paused(Link& link) {
    for (int turn = 0; turn < 100 && link.reads(); ++turn) link.read();
    REQUIRE(!link.reads());
}

}  // namespace

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
    read_until_paused(link);
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
    read_until_paused(link);
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
    read_until_paused(link);
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
