#include "page.hpp"

#include <doctest/doctest.h>

#include "common/test_bytes.hpp"

namespace {

Request request(const std::string& line, const std::string& fields = "") {
    RequestParser parser;
    parser.take(to_bytes(line + "\r\nHost: a\r\n" + fields + "\r\n"));
    REQUIRE(parser.complete());
    return parser.request();
}

}  // namespace

TEST_CASE("a plain GET of / asks for the page, all else is for the handshake to judge") {
    CHECK(wants_page(request("GET / HTTP/1.1")));
    CHECK(wants_page(request("GET / HTTP/1.1", "Connection: keep-alive\r\n")));
    CHECK(wants_page(request("GET / HTTP/1.1", "Upgrade: h2c\r\n")));
    CHECK(!wants_page(request("GET / HTTP/1.1", "Upgrade: websocket\r\n")));
    CHECK(!wants_page(request("GET / HTTP/1.1", "upgrade: h2c, WebSocket\r\n")));
    CHECK(!wants_page(request("GET /chat HTTP/1.1")));
    CHECK(!wants_page(request("GET /? HTTP/1.1")));
    CHECK(!wants_page(request("POST / HTTP/1.1")));
    CHECK(!wants_page(request("HEAD / HTTP/1.1")));
}

TEST_CASE("the page is a whole response, and its length is right") {
    const std::string response = page_response();
    const auto end = response.find("\r\n\r\n");
    REQUIRE(end != std::string::npos);
    const std::string head = response.substr(0, end + 2);
    const std::string body = response.substr(end + 4);
    CHECK(head.starts_with("HTTP/1.1 200 OK\r\n"));
    CHECK(head.find("\r\nContent-Length: " + std::to_string(body.size()) + "\r\n") !=
          std::string::npos);
    CHECK(head.find("\r\nContent-Type: text/html; charset=utf-8\r\n") != std::string::npos);
    CHECK(head.find("\r\nConnection: close\r\n") != std::string::npos);
    CHECK(body.starts_with("<!DOCTYPE html>"));
    CHECK(body.ends_with("</html>\n"));
}

TEST_CASE("the page loads nothing from elsewhere, and connects back to where it came from") {
    const std::string response = page_response();
    CHECK(response.find("\r\nContent-Security-Policy: default-src 'none';") != std::string::npos);
    CHECK(response.find("new WebSocket(") != std::string::npos);
    CHECK(response.find("location.origin") != std::string::npos);
    CHECK(response.find("src=") == std::string::npos);
    CHECK(response.find("//") == std::string::npos);  // no URL of another server
}
