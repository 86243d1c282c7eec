#include "handshake.hpp"

#include <doctest/doctest.h>

#include "common/test_bytes.hpp"

namespace {

/// The example of RFC 6455 §1.3, with its lines by name, so that each can be changed.
struct Handshake {
    std::string request_line = "GET /chat HTTP/1.1\r\n";
    std::string host = "Host: server.example.com\r\n";
    std::string upgrade = "Upgrade: websocket\r\n";
    std::string connection = "Connection: Upgrade\r\n";
    std::string key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    std::string version = "Sec-WebSocket-Version: 13\r\n";
    std::string more{};

    Request request() const {
        RequestParser parser;
        parser.take(
            to_bytes(request_line + host + upgrade + connection + key + version + more + "\r\n"));
        REQUIRE(parser.complete());
        return parser.request();
    }
    std::string answer() const { return answer_handshake(request()); }

    /// What it is refused with; fails the test when it is not.
    HttpError refused() const {
        try {
            answer();
        } catch (const HttpError& error) {
            return error;
        }
        FAIL("the handshake was accepted");
        return HttpError{0, ""};
    }
};

const std::string how_to_upgrade =
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n";

}  // namespace

TEST_CASE("the example of RFC 6455 §1.3 gets its answer") {
    CHECK(accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    CHECK(Handshake{}.answer() ==
          "HTTP/1.1 101 Switching Protocols\r\n"
          "Upgrade: websocket\r\n"
          "Connection: Upgrade\r\n"
          "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
          "\r\n");
}

TEST_CASE("the key is hashed as it was sent, case and all") {
    CHECK(accept_key("DGhlIHNhbXBsZSBub25jZQ==") != accept_key("dGhlIHNhbXBsZSBub25jZQ=="));
}

TEST_CASE("no subprotocol and no extension is named, whatever is offered (RFC 6455 §4.2.2)") {
    const Handshake offers{.more =
                               "Sec-WebSocket-Protocol: chat, superchat\r\n"
                               "Sec-WebSocket-Extensions: permessage-deflate\r\n"};
    CHECK(offers.answer() == Handshake{}.answer());
}

TEST_CASE("Upgrade and Connection are lists and have no case (RFC 6455 §4.2.1 items 3 and 4)") {
    const std::string answer = Handshake{}.answer();
    CHECK(Handshake{.upgrade = "UPGRADE: WebSocket\r\n"}.answer() == answer);
    CHECK(Handshake{.upgrade = "Upgrade: h2c, websocket\r\n"}.answer() == answer);
    CHECK(Handshake{.connection = "connection: keep-alive, upgrade\r\n"}.answer() == answer);
    CHECK(Handshake{.connection = "Connection: keep-alive\r\nConnection: UPGRADE\r\n"}.answer() ==
          answer);
}

TEST_CASE("who does not ask for this protocol is told how to (RFC 9110 §15.5.22)") {
    for (const Handshake& handshake :
         {Handshake{.upgrade = ""}, Handshake{.upgrade = "Upgrade: h2c\r\n"},
          Handshake{.upgrade = "Upgrade: websockets\r\n"}, Handshake{.connection = ""},
          Handshake{.connection = "Connection: close\r\n"},
          Handshake{.connection = "Connection: no-upgrade\r\n"}}) {
        const HttpError error = handshake.refused();
        CAPTURE(handshake.upgrade);
        CAPTURE(handshake.connection);
        CHECK(error.status() == 426);
        CHECK(error.fields() == how_to_upgrade);
    }
}

TEST_CASE("the version is 13, or the answer names it (RFC 6455 §4.4)") {
    for (const char* version :
         {"", "Sec-WebSocket-Version: 8\r\n", "Sec-WebSocket-Version: 013\r\n",
          "Sec-WebSocket-Version: 13, 8\r\n", "Sec-WebSocket-Version: \r\n",
          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13\r\n",
          "Sec-WebSocket-Version: 130\r\n"}) {
        CAPTURE(version);
        const HttpError error = Handshake{.version = version}.refused();
        CHECK(error.status() == 426);
        CHECK(error.fields() == how_to_upgrade);
    }
}

TEST_CASE("there is one key, of 16 bytes (RFC 6455 §4.2.1 item 5)") {
    const std::string sample = Handshake{}.key;
    for (const std::string& key :
         {std::string{}, sample + sample, std::string{"Sec-WebSocket-Key: \r\n"},
          std::string{"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA\r\n"},
          std::string{"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA=\r\n"},
          std::string{"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAAA\r\n"},
          std::string{"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA\r\n"},
          std::string{"Sec-WebSocket-Key: A*AAAAAAAAAAAAAAAAAAAA==\r\n"},
          std::string{"Sec-WebSocket-Key: AAAAAAAAAAA AAAAAAAAAA==\r\n"}})
        CHECK_MESSAGE(Handshake{.key = key}.refused().status() == 400, key);
}

TEST_CASE("bits of a key that stand for nothing may be set: the text is what is hashed") {
    CHECK(Handshake{.key = "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEC==\r\n"}.answer().ends_with(
        "\r\nSec-WebSocket-Accept: " + accept_key("AQIDBAUGBwgJCgsMDQ4PEC==") + "\r\n\r\n"));
}

TEST_CASE("another method is refused with the one that is allowed (RFC 9110 §15.5.6)") {
    for (const char* method : {"POST", "HEAD", "get", "GETS", "CONNECT"}) {
        CAPTURE(method);
        const std::string line = std::string{method} + " /chat HTTP/1.1\r\n";
        const HttpError error = Handshake{.request_line = line}.refused();
        CHECK(error.status() == 405);
        CHECK(error.fields() == "Allow: GET\r\n");
    }
}

TEST_CASE("the request is HTTP/1.1 or higher (RFC 6455 §4.2.1 item 1)") {
    CHECK(Handshake{.request_line = "GET / HTTP/1.0\r\n"}.refused().status() == 400);
    CHECK(Handshake{.request_line = "GET / HTTP/1.2\r\n"}.answer() == Handshake{}.answer());
}

TEST_CASE("a handshake has no content, which would be taken for a frame") {
    CHECK(Handshake{.more = "Content-Length: 5\r\n"}.refused().status() == 400);
    CHECK(Handshake{.more = "Transfer-Encoding: chunked\r\n"}.refused().status() == 400);
    CHECK(Handshake{.more = "Expect: 100-continue\r\n"}.refused().status() == 417);
    CHECK(Handshake{.more = "Content-Length: 0\r\n"}.answer() == Handshake{}.answer());
}
