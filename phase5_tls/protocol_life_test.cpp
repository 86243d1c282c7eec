#include "test_peer.hpp"

TEST_CASE("a plain GET of / gets the page, and the connection ends") {
    Peer peer;
    const std::string answer = to_text(
        peer.send(join({to_bytes("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), masked_frame(0x81)})));
    CHECK(answer.starts_with("HTTP/1.1 200 OK\r\n"));
    CHECK(answer.ends_with("</html>\n"));
    CHECK(peer.protocol.state() == State::closed);
    CHECK(peer.ask(handshake) == "");
}

TEST_CASE("a page of a foreign origin is refused") {
    const std::vector<std::string> ours{"https://example.org"};
    Protocol protocol{max_message, ours};
    Bytes head = to_bytes("Origin: https://evil.example\r\n\r\n");
    head = join({std::span{handshake}.first(handshake.size() - 2), head});
    Output output;
    protocol.receive(head, output);
    CHECK(to_text(sent(output)).starts_with("HTTP/1.1 403 "));
    CHECK(protocol.state() == State::closed);
}

TEST_CASE("the server can ask for a sign of life, where the connection is open") {
    Peer peer;
    const auto ping = [&peer] {
        peer.output.clear();
        peer.protocol.ping(peer.output);
        return to_hex(sent(peer.output));
    };
    CHECK(ping() == "");
    peer.send(handshake);
    CHECK(ping() == "89 00");
    CHECK(peer.ask(masked_frame(0x8A)) == "");
    peer.close(CloseCode::going_away, "");
    CHECK(ping() == "");
}

TEST_CASE("a head that does not come to its end is refused (RFC 9110 §15.5.9)") {
    Peer peer;
    peer.send(std::span{handshake}.first(20));
    peer.output.clear();
    peer.protocol.refuse_slow_head(peer.output);
    CHECK(to_text(sent(peer.output)).starts_with("HTTP/1.1 408 "));
    CHECK(peer.protocol.state() == State::closed);
    CHECK(peer.send(std::span{handshake}.subspan(20)).empty());
}

TEST_CASE("a connection that is abandoned says nothing more") {
    OpenPeer peer;
    peer.protocol.abandon();
    CHECK(peer.protocol.state() == State::closed);
    CHECK(peer.ask(masked_frame(0x81)) == "");
    CHECK(peer.close(CloseCode::going_away, "") == "");
}

TEST_CASE("from the first byte of a message to its last one is being received") {
    Peer peer;
    peer.send(std::span{handshake}.first(20));
    CHECK(!peer.protocol.is_receiving());
    peer.send(std::span{handshake}.subspan(20));
    CHECK(!peer.protocol.is_receiving());

    const Bytes message = join({masked_frame(0x01, "frag"), masked_frame(0x89, "ping"),
                                masked_frame(0x00), masked_frame(0x80, "ment")});
    for (std::size_t i = 0; i < message.size(); ++i) {
        CHECK(peer.protocol.is_receiving() == (i > 0));
        CHECK(peer.protocol.received_count() == 0);
        peer.send({&message[i], 1});
    }
    CHECK(!peer.protocol.is_receiving());
    CHECK(peer.protocol.received_count() == 1);
}

TEST_CASE("messages are counted, and control frames outside of one") {
    OpenPeer peer;
    peer.send(join({masked_frame(0x81, "one"), masked_frame(0x89), masked_frame(0x02, "three")}));
    CHECK(peer.protocol.received_count() == 2);
    CHECK(peer.protocol.is_receiving());
    peer.send(join({masked_frame(0x80), masked_frame(0x81, "four")}));
    CHECK(peer.protocol.received_count() == 4);
    CHECK(!peer.protocol.is_receiving());
}
