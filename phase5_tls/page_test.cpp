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

std::string get_page() {
    return page_response(request("GET / HTTP/1.1"));
}

HttpError refused(const Request& request) {
    try {
        page_response(request);
    } catch (const HttpError& error) {
        return error;
    }
    return HttpError{0, ""};
}

}  // namespace

TEST_CASE("a plain request for / is about the page, all else is for the handshake to judge") {
    for (const char* line :
         {"GET / HTTP/1.1", "GET /? HTTP/1.1", "GET /?x=/chat HTTP/1.1", "GET / HTTP/1.0",
          "GET / HTTP/1.2", "HEAD / HTTP/1.1", "POST / HTTP/1.1", "GET http://a HTTP/1.1",
          "GET http://a/ HTTP/1.1", "GET https://a:80/?x HTTP/1.1", "GET http://a?x HTTP/1.1"})
        CHECK_MESSAGE(wants_page(request(line)), line);
    CHECK(wants_page(request("GET / HTTP/1.1", "Connection: keep-alive\r\n")));
    CHECK(wants_page(request("GET / HTTP/1.1", "Upgrade: h2c\r\n")));
    CHECK(!wants_page(request("GET / HTTP/1.1", "Upgrade: websocket\r\n")));
    CHECK(!wants_page(request("GET / HTTP/1.1", "upgrade: h2c, WebSocket\r\n")));
    for (const char* line : {"GET /chat HTTP/1.1", "GET // HTTP/1.1", "GET http://a/chat HTTP/1.1",
                             "GET http://a/chat?/ HTTP/1.1", "GET http://a//?x HTTP/1.1"})
        CHECK_MESSAGE(!wants_page(request(line)), line);
}

TEST_CASE("the page is for GET and for HEAD, which have no content") {
    const std::string page = get_page();
    CHECK(page_response(request("HEAD / HTTP/1.1")) == page.substr(0, page.find("\r\n\r\n") + 4));
    CHECK(refused(request("POST / HTTP/1.1")).status() == 405);
    CHECK(refused(request("OPTIONS / HTTP/1.1")).fields() == "Allow: GET, HEAD\r\n");
    CHECK(refused(request("GET / HTTP/1.1", "Content-Length: 1\r\n")).status() == 400);
    CHECK(refused(request("HEAD / HTTP/1.1", "Transfer-Encoding: x\r\n")).status() == 400);
}

TEST_CASE("the page is a whole response, and its length is right") {
    const std::string response = get_page();
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
    const std::string response = get_page();
    CHECK(response.find("\r\nContent-Security-Policy: default-src 'none';") != std::string::npos);
    CHECK(response.find("unsafe-inline") == std::string::npos);
    for (const char* directive : {"script-src 'sha256-", "style-src 'sha256-", "base-uri 'none'",
                                  "form-action 'none'", "frame-ancestors 'none'"})
        CHECK_MESSAGE(response.find(directive) != std::string::npos, directive);
    CHECK(response.find("new WebSocket(") != std::string::npos);
    CHECK(response.find("location.origin") != std::string::npos);
    CHECK(response.find("src=") == std::string::npos);
    CHECK(response.find("//") == std::string::npos);  // no URL of another server
}
