#include "test_peer.hpp"

TEST_CASE("a handshake opens the connection") {
    Peer peer;
    CHECK(peer.protocol.state() == State::connecting);
    CHECK(peer.send(handshake) == accepted);
    CHECK(peer.protocol.state() == State::open);
    CHECK(peer.protocol.close_code() == 0);
}

TEST_CASE("the masked text of RFC 6455 §5.7 comes back unmasked") {
    OpenPeer peer;
    CHECK(peer.ask(from_hex("81 85 37 fa 21 3d 7f 9f 4d 51 58")) == "81 05 48 65 6c 6c 6f");
}

TEST_CASE("text and binary, empty and full, come back as what they were") {
    OpenPeer peer;
    CHECK(peer.ask(masked_frame(0x81)) == "81 00");
    CHECK(peer.ask(masked_frame(0x82)) == "82 00");
    for (const std::size_t size : {125U, 126U, 65535U, 65536U, 100'000U}) {
        const Bytes payload = pattern(size);
        CHECK(peer.send(masked_frame(0x82, payload)) == server_frame(0x82, payload));
    }
}

TEST_CASE("bytes that come with the handshake belong to the first frame") {
    Peer peer;
    CHECK(peer.send(join({handshake, masked_frame(0x81, "Hello")})) ==
          join({accepted, server_frame(0x81, "Hello")}));
}

TEST_CASE("frames that come together are answered in their order") {
    OpenPeer peer;
    CHECK(peer.send(
              join({masked_frame(0x81, "one"), masked_frame(0x82, "two"), masked_frame(0x81)})) ==
          join({server_frame(0x81, "one"), server_frame(0x82, "two"), server_frame(0x81)}));
}

TEST_CASE("the answers are the same however a conversation is cut") {
    const MaskingKey other{std::byte{1}, std::byte{2}, std::byte{4}, std::byte{8}};
    const Bytes large = pattern(300);
    check_however_cut(
        join({handshake, masked_frame(0x81, "Hello"), masked_frame(0x81),
              masked_frame(0x82, large, other), masked_frame(0x89, "ping"),
              masked_frame(0x01, "frag\xC3"), masked_frame(0x89, "in between"),
              masked_frame(0x00, "\xA9"), masked_frame(0x8A, "pong"), masked_frame(0x00),
              masked_frame(0x80, to_bytes("ment"), other), masked_frame(0x89),
              masked_frame(0x82, large), masked_frame(0x88, "\x0F\xA0 bye")}),
        join({accepted, server_frame(0x81, "Hello"), server_frame(0x81), server_frame(0x82, large),
              server_frame(0x8A, "ping"), server_frame(0x8A, "in between"),
              server_frame(0x81, "frag\xC3\xA9ment"), server_frame(0x8A), server_frame(0x82, large),
              server_frame(0x88, "\x0F\xA0")}));
}

TEST_CASE("the answer to what is wrong is the same however it is cut") {
    const auto close = [](std::string_view code, std::string_view reason) {
        return server_frame(0x88, std::string{code} + std::string{reason});
    };
    check_however_cut(join({handshake, masked_frame(0x81, "Hello"), from_hex("c1 80 00 00 00 00"),
                            masked_frame(0x81, "not any more")}),
                      join({accepted, server_frame(0x81, "Hello"),
                            close("\x03\xEA", "reserved bits set, no extension agreed")}));
    check_however_cut(
        join({handshake, masked_frame(0x01, "Hell\xED"), masked_frame(0x89, "ping"),
              masked_frame(0x80, "\xA0\x80"), masked_frame(0x81, "not any more")}),
        join({accepted, server_frame(0x8A, "ping"), close("\x03\xEF", "the text is not UTF-8")}));
    check_however_cut(
        join({handshake, masked_frame(0x88, "\x03\xED"), masked_frame(0x81, "not any more")}),
        join({accepted, close("\x03\xEA", "not a close code")}));
}

TEST_CASE("a PING is answered with its payload, a PONG is ignored (RFC 6455 §5.5.2, §5.5.3)") {
    OpenPeer peer;
    const Bytes longest = pattern(125);
    CHECK(peer.ask(masked_frame(0x89)) == "8a 00");
    CHECK(peer.send(masked_frame(0x89, longest)) == server_frame(0x8A, longest));
    CHECK(peer.ask(masked_frame(0x8A, "pong")) == "");
    CHECK(peer.ask(masked_frame(0x81)) == "81 00");
}

TEST_CASE("fragments come back as one message (RFC 6455 §5.7)") {
    OpenPeer peer;
    CHECK(peer.ask(masked_frame(0x01, "Hel")) == "");
    CHECK(peer.ask(masked_frame(0x80, "lo")) == "81 05 48 65 6c 6c 6f");
    CHECK(peer.ask(join({masked_frame(0x02), masked_frame(0x00), masked_frame(0x80)})) == "82 00");
}

TEST_CASE("controls between fragments are answered at once (RFC 6455 §5.4)") {
    OpenPeer peer;
    CHECK(peer.ask(masked_frame(0x01, "Hel")) == "");
    CHECK(peer.send(masked_frame(0x89, "ping")) == server_frame(0x8A, "ping"));
    CHECK(peer.ask(masked_frame(0x8A)) == "");
    CHECK(peer.send(masked_frame(0x80, "lo")) == server_frame(0x81, "Hello"));
    CHECK(peer.ask(masked_frame(0x01, "never ended")) == "");
    CHECK(peer.ask(masked_frame(0x88)) == "88 00");
}

TEST_CASE("a message may be as long as the limit, in one frame or in many") {
    OpenPeer peer;
    const Bytes most = pattern(max_message);
    CHECK(peer.send(masked_frame(0x82, most)) == server_frame(0x82, most));
    const std::span whole{most};
    CHECK(peer.send(join({masked_frame(0x02, whole.first(70'000)),
                          masked_frame(0x80, whole.subspan(70'000))})) == server_frame(0x82, most));
    CHECK(peer.send(join({masked_frame(0x02, whole), masked_frame(0x80)})) ==
          server_frame(0x82, most));

    CHECK(fails_with(masked_frame(0x82, pattern(max_message + 1))) == 1009);
    CHECK(fails_with(join({masked_frame(0x02, whole), masked_frame(0x80, "1")})) == 1009);
    CHECK(fails_with(join({masked_frame(0x02, whole), masked_frame(0x00, "1")})) == 1009);
}

TEST_CASE("a CLOSE is answered with its own code, and nothing after it (RFC 6455 §5.5.1)") {
    OpenPeer peer;
    CHECK(peer.ask(join({masked_frame(0x88, "\x03\xE9 going"), masked_frame(0x81, "more")})) ==
          "88 02 03 e9");
    CHECK(peer.protocol.state() == State::closed);
    CHECK(peer.protocol.close_code() == 1001);
    CHECK(peer.ask(masked_frame(0x81, "more")) == "");
    CHECK(peer.close(CloseCode::try_again_later, "") == "");
}

TEST_CASE("an empty CLOSE is answered with an empty one") {
    OpenPeer peer;
    CHECK(peer.ask(masked_frame(0x88)) == "88 00");
    CHECK(peer.protocol.state() == State::closed);
    CHECK(peer.protocol.close_code() == 0);
}

TEST_CASE("what breaks a rule ends the connection with its code") {
    CHECK(fails_with(masked_frame(0x81, "fine")) == 0);
    CHECK(fails_with(server_frame(0x81, "unmasked")) == 1002);
    CHECK(fails_with(masked_frame(0xC1, "RSV1")) == 1002);
    CHECK(fails_with(masked_frame(0x83, "opcode 3")) == 1002);
    CHECK(fails_with(masked_frame(0x8B, "opcode 11")) == 1002);
    CHECK(fails_with(masked_frame(0x88, "1")) == 1002);
    CHECK(fails_with(masked_frame(0x88, "\x03\xED reserved")) == 1002);
    CHECK(fails_with(masked_frame(0x88, "\x03\xE8\xFF")) == 1007);
    CHECK(fails_with(masked_frame(0x88, pattern(126))) == 1002);
    CHECK(fails_with(masked_frame(0x89, pattern(126))) == 1002);
    CHECK(fails_with(masked_frame(0x09, "a fragmented ping")) == 1002);
    CHECK(fails_with(masked_frame(0x80, "a continuation of nothing")) == 1002);
    CHECK(fails_with(join({masked_frame(0x01, "open"), masked_frame(0x81, "another")})) == 1002);
    CHECK(fails_with(masked_frame(0x81, "not UTF-8: \xFF")) == 1007);
    CHECK(fails_with(masked_frame(0x81, "ends within: \xC3")) == 1007);
    CHECK(fails_with(masked_frame(0x82, "binary is anything: \xFF")) == 0);
    CHECK(fails_with(masked_frame(0x82, pattern(max_message + 1))) == 1009);
}

TEST_CASE("endless empty fragments end the connection: most is max(1024, limit / 16)") {
    const std::size_t most = max_message / 16;
    Bytes fragments = masked_frame(0x02);
    for (std::size_t i = 1; i < most; ++i) append(fragments, from_hex("00 80 00000000"));
    CHECK(fails_with(fragments) == 0);
    CHECK(fails_with(join({fragments, from_hex("00 80 00000000")})) == 1008);
}

TEST_CASE("a header alone is enough to fail") {
    CHECK(fails_with(from_hex("82 ff 00 00 00 00 00 01 86 a0 00 00 00 00")) == 0);  // 100'000
    CHECK(fails_with(from_hex("82 ff 00 00 00 00 00 01 86 a1 00 00 00 00")) == 1009);
    CHECK(fails_with(from_hex("82 ff 7f ff ff ff ff ff ff ff 00 00 00 00")) == 1009);
    CHECK(fails_with(from_hex("82 ff ff ff ff ff ff ff ff ff 00 00 00 00")) == 1002);
    CHECK(fails_with(from_hex("82 fe 00 05 00 00 00 00")) == 1002);
    CHECK(fails_with(join({masked_frame(0x02, "1"),
                           from_hex("80 ff 7f ff ff ff ff ff ff ff 00 00 00 00")})) == 1009);
}

TEST_CASE("text fails at the first byte that cannot be right, not at the end of its frame") {
    CHECK(fails_with(from_hex("81 fe 10 00 00 00 00 00 61 62 63 ff")) == 1007);
    CHECK(fails_with(from_hex("81 fe 10 00 00 00 00 00 61 62 63 ed a0")) == 1007);
    CHECK(fails_with(from_hex("81 fe 10 00 00 00 00 00 61 62 63 ed")) == 0);
}

TEST_CASE("a refused handshake is answered with HTTP, and nothing after it") {
    Peer peer;
    const std::string answer =
        to_text(peer.send(join({to_bytes("GET / HTTP/1.1\r\n\r\n"), masked_frame(0x81)})));
    CHECK(answer.starts_with("HTTP/1.1 400 "));
    CHECK(answer.ends_with("\r\n\r\nexactly one Host header is required (got 0)\n"));
    CHECK(peer.protocol.state() == State::closed);
    CHECK(peer.protocol.close_code() == 0);
    CHECK(peer.ask(handshake) == "");
}

TEST_CASE("the server closes with a code and a reason, once, and awaits the peer's CLOSE") {
    OpenPeer peer;
    CHECK(peer.close(CloseCode::going_away, "bye") == "88 05 03 e9 62 79 65");
    CHECK(peer.protocol.close_code() == 1001);
    CHECK(peer.protocol.state() == State::closing);
    CHECK(peer.close(CloseCode::protocol_error, "again") == "");
    CHECK(peer.ask(masked_frame(0x88, "\x03\xE8 bye")) == "");
    CHECK(peer.protocol.state() == State::closed);
    CHECK(peer.protocol.close_code() == 1001);
    CHECK(peer.ask(masked_frame(0x81, "more")) == "");
}

TEST_CASE("after our CLOSE nothing is sent, though what comes is still read (RFC 6455 §5.5.1)") {
    OpenPeer peer;
    peer.ask(masked_frame(0x01, "begun "));
    peer.close(CloseCode::going_away, "");
    CHECK(peer.ask(masked_frame(0x89, "ping")) == "");
    CHECK(peer.ask(masked_frame(0x80, "before")) == "");
    CHECK(peer.ask(masked_frame(0x81, "whole")) == "");
    const Bytes most = join({masked_frame(0x02, pattern(max_message)), masked_frame(0x80)});
    CHECK(peer.ask(join({most, most})) == "");  // neither is kept: they would be too long together
    CHECK(peer.protocol.state() == State::closing);
    CHECK(peer.ask(masked_frame(0x88)) == "");
    CHECK(peer.protocol.state() == State::closed);
}

TEST_CASE("a rule broken after our CLOSE ends the connection without another one") {
    OpenPeer peer;
    peer.close(CloseCode::going_away, "");
    CHECK(peer.ask(server_frame(0x81, "unmasked")) == "");
    CHECK(peer.protocol.state() == State::closed);
    CHECK(peer.protocol.close_code() == 1001);
}

TEST_CASE("a connection that fails does not wait for the peer's CLOSE (RFC 6455 §7.1.7)") {
    OpenPeer peer;
    peer.output.clear();
    peer.protocol.fail(CloseCode::try_again_later, "full", peer.output);
    CHECK(to_hex(sent(peer.output)) == "88 06 03 f5 66 75 6c 6c");
    CHECK(peer.protocol.state() == State::closed);
}

TEST_CASE("a reason is cut to what a control frame takes (RFC 6455 §5.5)") {
    OpenPeer peer;
    CHECK(peer.close(CloseCode::try_again_later, std::string(200, 'r')) ==
          to_hex(server_frame(0x88, "\x03\xF5" + std::string(123, 'r'))));
}

TEST_CASE("before the handshake there is no CLOSE to send") {
    Peer peer;
    CHECK(peer.close(CloseCode::try_again_later, "full") == "");
    CHECK(peer.protocol.state() == State::closed);
    CHECK(peer.protocol.close_code() == 0);
    CHECK(peer.ask(handshake) == "");
}
