#include "common/uri.hpp"

#include <doctest/doctest.h>

#include <string>

#include "common/test_pages.hpp"

TEST_CASE("a host is a name, an IPv4 address, or an address in brackets (RFC 3986 §3.2.2)") {
    for (const char* text :
         {"a", "example.org", "EXAMPLE.org.", "under_score", "127.0.0.1", "256.1.1.1",
          "xn--grn-lla", "a!$&'()*+;=b-._~", "%41", "caf%C3%a9", "[::1]", "[::]", "[2001:db8::1:2]",
          "[::ffff:127.0.0.1]", "[1:2:3:4:5:6:7:8]", "[v1.a]", "[vF0.fe80::a+en1]"}) {
        CHECK_MESSAGE(is_host_and_port(text), text);
        CHECK_MESSAGE(is_host_and_port(std::string{text} + ":80"), text);
    }
    for (const char* text :
         {"",       "a b",         "user@host", "x/path",     "a?b",        "a#b",   "<script>",
          "a,b",    "a\\b",        "\"a\"",     "a|b",        "{a}",        "a^",    "a`",
          "%",      "%4",          "%4g",       "%%41",       "g\xC3\xBC",  "a\tb",  "[::1",
          "::1]",   "[]",          "[a]",       "[::1]]",     "[[::1]",     "[::g]", "[::1]a",
          "a[::1]", "[127.0.0.1]", "[1:2]",     "[::1%25lo]", "[v.a]",      "[v1.]", "[v1]",
          "[vg.a]", "[v1.a/]",     "[v1.[]",    "::1",        "2001:db8::1"}) {
        CHECK_MESSAGE(!is_host_and_port(text), text);
        CHECK_MESSAGE(!is_host_and_port(std::string{text} + ":80"), text);
    }
}

TEST_CASE("a port has digits only, perhaps none, and is no more than 65535 (RFC 3986 §3.2.3)") {
    for (const char* text : {"a:", "a:0", "a:1", "a:65535", "a:00080", "[::1]:", "[::1]:443"})
        CHECK_MESSAGE(is_host_and_port(text), text);
    for (const char* text : {"a:x", "a:-1", "a:+1", "a: 1", "a:1 ", "a:65536", "a:99999999",
                             "a::", "a:1:2", "a:0x1", "[::1]:x", "[::1]80", ":", ":80", "a:80/"})
        CHECK_MESSAGE(!is_host_and_port(text), text);
}

TEST_CASE("a target has origin form or absolute form (RFC 9112 §3.2)") {
    for (const char* text :
         {"/", "//", "/chat", "/chat?room=1&name=a%20b", "/?", "/?a?/", "/a:b@c", "/%zz",
          "/?a={b}|[c]\"\\^`", "http://a", "http://a/", "http://a:8080/chat?x", "http://a?x",
          "HTTPS://[::1]/", "ws://a/", "wss://a", "http://a/http://b"})
        CHECK_MESSAGE(is_request_target(text), text);
    for (const char* text : {"",
                             "*",
                             "a",
                             "chat",
                             "?x",
                             "a:80",
                             "http:",
                             "http:/a",
                             "http://",
                             "http:///a",
                             "http://:80/",
                             "http://u@a/",
                             "http://a b/",
                             "http://a:x/",
                             "ftp://a/",
                             "://a/",
                             "/#",
                             "/chat#top",
                             "http://a#b",
                             "/a b",
                             "/a\tb",
                             "/\x01",
                             "/\x7F",
                             "/\xC3\xB6",
                             "http://a\\b/",
                             "http//a/",
                             "xhttp://a/"})
        CHECK_MESSAGE(!is_request_target(text), text);
}

TEST_CASE("no byte behind the text is looked at") {
    GuardedPages pages{64};
    for (const char* text :
         {"", "a", "%", "%4", "[", "[::1", "[v1.", "a:", "a:8", "http://", "/"}) {
        const std::string_view guarded = pages.at_end(std::string_view{text});
        CHECK(is_host_and_port(guarded) == is_host_and_port(text));
        CHECK(is_request_target(guarded) == is_request_target(text));
    }
}
