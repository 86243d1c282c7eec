#include "http.hpp"

#include <doctest/doctest.h>

#include "common/test_bytes.hpp"

namespace {

const std::string good_head =
    "GET /chat?room=1 HTTP/1.1\r\n"
    "Host: example.org:8080\r\n"
    "UPGRADE:websocket\r\n"
    "Connection: \t keep-alive, Upgrade \t\r\n"
    "Empty:\r\n"
    "X-Colon: a:b\r\n"
    "\r\n";

std::size_t take(RequestParser& parser, std::string_view text) {
    return parser.take(to_bytes(text));
}

RequestParser parse(std::string_view head) {
    RequestParser parser;
    take(parser, head);
    return parser;
}

/// The status that a head is refused with; 0 for none.
int refused(std::string_view head) {
    try {
        parse(head);
    } catch (const HttpError& error) {
        return error.status();
    }
    return 0;
}

/// A head with these lines behind its request line and its Host.
std::string with_fields(const std::string& lines) {
    return "GET / HTTP/1.1\r\nHost: a\r\n" + lines + "\r\n";
}

/// What a whole head with these fields is refused with for bringing content, or waiting for a 100;
/// 0 for nothing.
int content_refused(const std::string& lines, const std::string& request_line = "GET / HTTP/1.1") {
    try {
        parse(request_line + "\r\nHost: a\r\n" + lines + "\r\n").request().require_no_content();
    } catch (const HttpError& error) {
        return error.status();
    }
    return 0;
}

/// The response without its Date, which is looked at.
std::string without_date(std::string response) {
    const std::string form = "\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT";
    const auto begin = response.find("\r\nDate: ");
    REQUIRE(begin != std::string::npos);
    CHECK(response.substr(begin + form.size(), 2) == "\r\n");
    CHECK(response.substr(begin + form.size() - 4, 4) == " GMT");
    return response.erase(begin, form.size());
}

void check_good(const RequestParser& parser) {
    REQUIRE(parser.complete());
    const Request& request = parser.request();
    CHECK(request.method == "GET");
    CHECK(request.target == "/chat?room=1");
    CHECK(request.version == "HTTP/1.1");
    REQUIRE(request.fields.size() == 5);
    CHECK(request.fields[0].name == "host");
    CHECK(request.fields[0].value == "example.org:8080");
    CHECK(request.fields[1].name == "upgrade");
    CHECK(request.fields[1].value == "websocket");
    CHECK(request.fields[2].value == "keep-alive, Upgrade");
    CHECK(request.fields[3].value == "");
    CHECK(request.fields[4].value == "a:b");
}

}  // namespace

TEST_CASE("a head that comes whole is a request (RFC 9112 §2.1)") {
    RequestParser parser;
    CHECK(take(parser, good_head) == good_head.size());
    check_good(parser);
}

TEST_CASE("a head may come byte by byte") {
    RequestParser parser;
    for (const char c : good_head) {
        CHECK(!parser.complete());
        CHECK(take(parser, {&c, 1}) == 1);
    }
    check_good(parser);
}

TEST_CASE("a head may be cut anywhere") {
    for (std::size_t cut = 0; cut <= good_head.size(); ++cut) {
        CAPTURE(cut);
        RequestParser parser;
        take(parser, std::string_view{good_head}.substr(0, cut));
        CHECK(parser.complete() == (cut == good_head.size()));
        take(parser, std::string_view{good_head}.substr(cut));
        check_good(parser);
    }
}

TEST_CASE("bytes after the head are left where they are") {
    const std::string_view frame = "\x81\x80\x01\x02\x03\x04";
    RequestParser parser;
    CHECK(take(parser, good_head + std::string{frame}) == good_head.size());
    check_good(parser);
    CHECK(take(parser, frame) == 0);
}

TEST_CASE("empty lines before the request are forgiven (RFC 9112 §2.2)") {
    check_good(parse("\r\n" + good_head));
    check_good(parse("\r\n\r\n" + good_head));
}

TEST_CASE("a request line is a token, a target and a version, parted by single spaces") {
    for (const char* line :
         {"GET", "GET /", "GET /HTTP/1.1", "GET  / HTTP/1.1", "GET /  HTTP/1.1", "GET / / HTTP/1.1",
          " GET / HTTP/1.1", "GET / HTTP/1.1 ", "GET\t/\tHTTP/1.1", "GET /\ta HTTP/1.1",
          "G@T / HTTP/1.1", "GET  HTTP/1.1", " / HTTP/1.1"})
        CHECK_MESSAGE(refused(std::string{line} + "\r\n") == 400, line);
    CHECK(refused("P!#$%&'*+-.^_`|~09az / HTTP/1.1\r\n") == 0);
}

TEST_CASE("a version is HTTP/, a digit, a dot and a digit (RFC 9112 §2.3)") {
    for (const char* version :
         {"http/1.1", "FTP/1.1", "HTTP/1", "HTTP/1.", "HTTP/.1", "HTTP/1.1x", "HTTP/11.1",
          "HTTP/1.10", "HTTP/1,1", "HTTP/1.x", "HTTP/-1.1", "HTTP1.1", "xHTTP/1.1", "HTTP/"})
        CHECK_MESSAGE(refused("GET / " + std::string{version} + "\r\n") == 400, version);
    for (const char* version : {"HTTP/0.9", "HTTP/2.0", "HTTP/3.0", "HTTP/9.9"})
        CHECK_MESSAGE(refused("GET / " + std::string{version} + "\r\n") == 505, version);
    for (const char* version : {"HTTP/1.0", "HTTP/1.1", "HTTP/1.2", "HTTP/1.9"})
        CHECK_MESSAGE(refused("GET / " + std::string{version} + "\r\n") == 0, version);
    CHECK(refused("PRI * HTTP/2.0\r\n") == 505);  // how HTTP/2 begins
}

TEST_CASE("a target has origin form or absolute form (RFC 9112 §3.2)") {
    CHECK(refused("GET http://a:80/chat?x HTTP/1.1\r\n") == 0);
    for (const char* target :
         {"*", "chat", "a:80", "/#top", "/\xC3\xB6", "ftp://a/", "http://", "http://a:x/"})
        CHECK_MESSAGE(refused("GET " + std::string{target} + " HTTP/1.1\r\n") == 400, target);
}

TEST_CASE("a request has exactly one Host, and a valid one (RFC 9112 §3.2)") {
    const auto with_host = [](const std::string& lines, const std::string& version = "1.1") {
        return refused("GET / HTTP/" + version + "\r\n" + lines + "\r\n");
    };
    for (const char* host : {"", "a", "a:80", "a:", "[::1]:80"})
        CHECK_MESSAGE(with_host("Host: " + std::string{host} + "\r\n") == 0, host);
    for (const char* host : {"a b", "a:x", "user@a", "a/b", "[::1", "a,b", "\xC3\xB6"}) {
        CHECK_MESSAGE(with_host("Host: " + std::string{host} + "\r\n") == 400, host);
        CHECK_MESSAGE(with_host("Host: " + std::string{host} + "\r\n", "1.0") == 400, host);
    }
    CHECK(with_host("") == 400);
    CHECK(with_host("", "1.2") == 400);
    CHECK(with_host("", "1.0") == 0);
    for (const char* version : {"1.0", "1.1"})
        CHECK(with_host("Host: a\r\nHost: a\r\n", version) == 400);
    CHECK(refused("POST / HTTP/1.1\r\n\r\n") == 400);
    CHECK(refused("GET http://a/ HTTP/1.1\r\nHost: b c\r\n\r\n") == 400);
}

TEST_CASE("where a request ends is not in doubt (RFC 9112 §6.3)") {
    for (const char* length : {"", "x", "-1", "+1", "0x0", "1 1", "1.0", "0, 0", "0;"})
        CHECK_MESSAGE(
            refused(with_fields("Content-Length: " + std::string{length} + "\r\n")) == 400, length);
    CHECK(refused(with_fields("Content-Length: 1\r\nContent-Length: 2\r\n")) == 400);
    CHECK(refused(with_fields("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n")) == 400);
    CHECK(refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n") == 400);
    CHECK(refused(with_fields("Content-Length: 99999999999999999999\r\n")) == 0);
}

TEST_CASE("a request that may have no content has none, and waits for none") {
    for (const char* lines : {"", "Content-Length: 0\r\n", "Content-Length: 000\r\n"})
        CHECK_MESSAGE(content_refused(lines) == 0, lines);
    for (const char* lines : {"Content-Length: 1\r\n", "Content-Length: 99999999999999999999\r\n",
                              "Content-Length: 010\r\n", "Transfer-Encoding: chunked\r\n",
                              "Transfer-Encoding: identity\r\n", "Transfer-Encoding:\r\n"})
        CHECK_MESSAGE(content_refused(lines) == 400, lines);
    CHECK(content_refused("Expect: 100-continue\r\n") == 417);
    CHECK(content_refused("Expect: the unexpected\r\n") == 417);
    CHECK(content_refused("Expect: 100-continue\r\n", "GET / HTTP/1.0") == 0);  // RFC 9110 §10.1.1
    CHECK(content_refused("Expect: 100-continue\r\nContent-Length: 1\r\n") == 400);
}

TEST_CASE("the method is known from the first space on") {
    CHECK(parse("HEAD / HTTP/1.1\r\nHost").method() == "HEAD");
    CHECK(parse("HEAD /").method() == "HEAD");
    CHECK(parse("\r\nGET /").method() == "GET");
    CHECK(parse("GET / HTTP/1.1\r\nHEAD x").method() == "GET");
    CHECK(parse("HEAD").method() == "");
    CHECK(parse("").method() == "");
}

TEST_CASE("a field is a token, a colon right after it, and a value (RFC 9112 §5)") {
    for (const char* line :
         {"Host", "Host : a", "Host\t: a", ": a", " Host: a", "\tfolded", " folded: a", "Ho st: a",
          "H\xC3\xB6st: a", "Host(: a", "\"Host\": a", "Host;: a", "H/ost: a"})
        CHECK_MESSAGE(refused(with_fields(std::string{line} + "\r\n")) == 400, line);
    const RequestParser parser = parse(with_fields("x-!#$%&'*+-.^_`|~09:\xC3\xB6\r\n"));
    REQUIRE(parser.complete());
    CHECK(parser.request().fields[1].name == "x-!#$%&'*+-.^_`|~09");
    CHECK(parser.request().fields[1].value == "\xC3\xB6");  // obs-text (RFC 9110 §5.5)
}

TEST_CASE("a line ends with CR LF and nothing else (RFC 9112 §2.2)") {
    CHECK(refused("GET / HTTP/1.1\n") == 400);
    CHECK(refused("GET / HTTP/1.1\rHost: a\r\n") == 400);
    CHECK(refused("\n") == 400);
    CHECK(refused("\r\r\n") == 400);
    CHECK(refused(with_fields("Host: a\nX: b\r\n")) == 400);
    CHECK(refused(with_fields("Host: a\rX: b\r\n")) == 400);
    CHECK(refused(with_fields("Host: a\r\r\n")) == 400);
    CHECK(refused("GET / HTTP/1.1\r\nHost: a\r\n\n") == 400);
}

TEST_CASE("control characters are refused, wherever they stand (RFC 9110 §5.5)") {
    for (int c = 0; c < 0x20; ++c) {
        CAPTURE(c);
        const std::string control(1, static_cast<char>(c));
        const int expected = c == '\t' ? 0 : 400;
        CHECK(refused(with_fields("X: a" + control + "b\r\n")) == expected);
        CHECK(refused("GET /" + control + " HTTP/1.1\r\n") == 400);
        CHECK(refused(control + "GET / HTTP/1.1\r\n") == 400);
    }
    CHECK(refused(with_fields("X: \x7F\r\n")) == 400);
}

TEST_CASE("a wrong byte is refused as soon as it comes") {
    RequestParser parser;
    take(parser, "GET / HT");
    CHECK_THROWS_AS(take(parser, std::string_view{"\0", 1}), HttpError);
}

TEST_CASE("a head of 8 KiB is taken, one byte more is refused") {
    const std::string frame = with_fields("X: \r\n");
    const std::string value(RequestParser::max_head - frame.size(), 'v');
    CHECK(parse(with_fields("X: " + value + "\r\n")).complete());
    CHECK(refused(with_fields("X: " + value + "v\r\n")) == 431);

    std::string blank;  // nor do the forgiven empty lines go on for ever
    for (std::size_t i = 0; i < RequestParser::max_head / 2; ++i) blank += "\r\n";
    CHECK(refused(blank) == 0);
    CHECK(refused(blank + "\r") == 431);
}

TEST_CASE("100 fields are taken, one more is refused") {
    std::string lines;
    for (std::size_t i = 1; i < RequestParser::max_fields; ++i) lines += "A:b\r\n";
    CHECK(parse(with_fields(lines)).request().fields.size() == 100);
    CHECK(refused(with_fields(lines + "A:b\r\n")) == 431);
}

TEST_CASE("an overlong request line is refused while it comes in") {
    // What is counted is the line with its CR.
    const std::string frame = "GET  HTTP/1.1\r";
    const std::string target(RequestParser::max_request_line - frame.size(), '/');
    CHECK(parse("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n").complete());
    CHECK(refused("GET " + target + "/ HTTP/1.1\r\n\r\n") == 414);
    CHECK(refused("GET " + std::string(RequestParser::max_request_line, '/')) == 414);
    const std::string value(RequestParser::max_request_line + 1, 'v');
    CHECK(refused(with_fields("X: " + value + "\r\n")) == 0);  // a field has other limits
}

TEST_CASE("a field may come several times, and all its values are found in order") {
    const RequestParser parser = parse(with_fields("A: 1\r\nB: 2\r\na: 3\r\nA:\r\n"));
    using Values = std::vector<std::string_view>;
    CHECK(parser.request().values("a") == Values{"1", "3", ""});
    CHECK(parser.request().values("b") == Values{"2"});
    CHECK(parser.request().values("c").empty());
}

TEST_CASE(
    "a list is searched without case, by whole members, over all its lines (RFC 9110 §5.6.1)") {
    const auto has = [](const std::string& lines) {
        return parse(with_fields(lines)).request().has_token("upgrade", "websocket");
    };
    for (const char* lines :
         {"Upgrade: websocket\r\n", "upgrade:WebSocket\r\n", "Upgrade: h2c, websocket\r\n",
          "Upgrade: websocket ,h2c\r\n", "Upgrade: ,, websocket,\r\n",
          "Upgrade: h2c\r\nUpgrade: websocket\r\n", "Upgrade: a\tb,\twebsocket\t\r\n"})
        CHECK_MESSAGE(has(lines), lines);
    for (const char* lines :
         {"Upgrade: websockets\r\n", "Upgrade: xwebsocket\r\n", "Upgrade: web, socket\r\n",
          "Upgrade: websocket h2c\r\n", "Upgrade: \"websocket\"\r\n", "Upgrade: websocket/13\r\n",
          "Upgrade:\r\n", "Upgrade: ,\r\n", "X-Upgrade: websocket\r\n", "Upgrade: websocke\r\n",
          "Upgrade: web\r\nUpgrade: socket\r\n"})
        CHECK_MESSAGE(!has(lines), lines);
}

TEST_CASE("a refusal is a whole response that says why and that the connection ends") {
    const std::string head =
        "HTTP/1.1 405 Method Not Allowed\r\n"
        "Allow: GET\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        "Content-Length: 3\r\n"
        "Connection: close\r\n"
        "\r\n";
    const HttpError error{405, "no", "Allow: GET\r\n"};
    CHECK(without_date(refusal(error, "POST")) == head + "no\n");
    CHECK(without_date(refusal(error, "")) == head + "no\n");
    CHECK(without_date(refusal(error, "HEAD")) == head);  // RFC 9110 §9.3.2
}

TEST_CASE("a response has a date, but for 101 (RFC 9110 §6.6.1)") {
    CHECK(without_date(response_head(200, "A: b\r\n")) == "HTTP/1.1 200 OK\r\nA: b\r\n\r\n");
    CHECK(response_head(101, "A: b\r\n") == "HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n");
}
