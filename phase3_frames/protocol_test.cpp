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
    const Bytes longest = pattern(125);
    CHECK(peer.ask(masked_frame(0x81)) == "81 00");
    CHECK(peer.ask(masked_frame(0x82)) == "82 00");
    CHECK(peer.send(masked_frame(0x82, longest)) == server_frame(0x82, longest));
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
    const Bytes large = pattern(125);
    check_however_cut(
        join({handshake, masked_frame(0x81, "Hello"), masked_frame(0x81),
              masked_frame(0x82, large, other), masked_frame(0x89, "ping"),
              masked_frame(0x82, large), masked_frame(0x88, "\x0F\xA0 bye")}),
        join({accepted, server_frame(0x81, "Hello"), server_frame(0x81), server_frame(0x82, large),
              server_frame(0x82, large), server_frame(0x88, "\x0F\xA0")}));
}

TEST_CASE("the answer to what is wrong is the same however it is cut") {
    const auto close = [](std::string_view code, std::string_view reason) {
        return server_frame(0x88, std::string{code} + std::string{reason});
    };
    check_however_cut(join({handshake, masked_frame(0x81, "Hello"), from_hex("c1 80 00 00 00 00"),
                            masked_frame(0x81, "not any more")}),
                      join({accepted, server_frame(0x81, "Hello"),
                            close("\x03\xEA", "reserved bits set, no extension agreed")}));
}

TEST_CASE("PING and PONG are ignored, in this phase") {
    OpenPeer peer;
    CHECK(peer.ask(masked_frame(0x89, "ping")) == "");
    CHECK(peer.ask(masked_frame(0x8A, "pong")) == "");
    CHECK(peer.ask(masked_frame(0x81)) == "81 00");
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
    CHECK(fails_with(masked_frame(0x82, pattern(126))) == 1009);
    CHECK(fails_with(masked_frame(0x82, pattern(65536))) == 1009);
    CHECK(fails_with(masked_frame(0x01, "a fragment")) == 1003);
    CHECK(fails_with(masked_frame(0x80, "a continuation")) == 1003);
    CHECK(fails_with(masked_frame(0x00, "both")) == 1003);
}

TEST_CASE("a header alone is enough to fail") {
    CHECK(fails_with(from_hex("82 fe 00 00 00 00")) == 1009);
    CHECK(fails_with(from_hex("01 85 00 00 00 00")) == 1003);
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

TEST_CASE("the server closes with a code and a reason, once") {
    OpenPeer peer;
    CHECK(peer.close(CloseCode::try_again_later, "full") == "88 06 03 f5 66 75 6c 6c");
    CHECK(peer.protocol.close_code() == 1013);
    CHECK(peer.protocol.state() == State::closed);
    CHECK(peer.close(CloseCode::protocol_error, "again") == "");
    CHECK(peer.protocol.close_code() == 1013);
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
