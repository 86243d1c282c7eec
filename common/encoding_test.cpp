#include <doctest/doctest.h>

#include <string>

#include "common/base64.hpp"
#include "common/sha1.hpp"
#include "common/test_pages.hpp"

namespace {

std::string encode(std::string_view text) {
    return base64_encode({reinterpret_cast<const unsigned char*>(text.data()), text.size()});
}

}  // namespace

TEST_CASE("SHA-1 and base64 give the accept value of RFC 6455 §1.3") {
    const Sha1Digest digest = sha1("dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    CHECK(base64_encode(digest) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST_CASE("SHA-1 of the FIPS 180 vectors") {
    CHECK(base64_encode(sha1("abc")) == "qZk+NkcGgWq6PiVxeFDCbJzQ2J0=");
    CHECK(base64_encode(sha1("")) == "2jmj7l5rSw0yVb/vlWAYkK/YBwk=");
}

TEST_CASE("base64 encodes the vectors of RFC 4648 §10") {
    CHECK(encode("") == "");
    CHECK(encode("f") == "Zg==");
    CHECK(encode("fo") == "Zm8=");
    CHECK(encode("foo") == "Zm9v");
    CHECK(encode("foobar") == "Zm9vYmFy");
}

TEST_CASE("a decoded size counts the padding off: 16, 17 and 18 bytes differ") {
    CHECK(base64_decoded_size("AAAAAAAAAAAAAAAAAAAAAA==") == 16u);
    CHECK(base64_decoded_size("AAAAAAAAAAAAAAAAAAAAAAA=") == 17u);
    CHECK(base64_decoded_size("AAAAAAAAAAAAAAAAAAAAAAAA") == 18u);
    CHECK(base64_decoded_size("") == 0u);
    CHECK(base64_decoded_size("AAAAAAAAAAAAAAAAAAAAAB==") == 16u);  // unused bits
    CHECK(base64_decoded_size("AQIDBAUGBwgJCgsMDQ4PEC==") == 16u);  // the key of RFC 6455 §4.1
}

TEST_CASE("no byte behind the text is looked at") {
    GuardedPages pages{64};
    for (std::size_t size = 0; size <= 62; ++size)
        for (const char* end : {"", "=", "=="}) {
            const std::string text = std::string(size, 'A') + end;
            const std::string_view guarded = pages.at_end(std::string_view{text});
            CHECK(base64_decoded_size(guarded) == base64_decoded_size(text));
            CHECK(sha1(guarded) == sha1(text));
        }
}

TEST_CASE("what is not base64 has no size") {
    for (const char* text : {"A", "AA", "AAA", "====", "A===", "AA=A", "AAA\n", "AA A", "A-_A",
                             " AAA", "AAAA==", "A=A=", "=AAA"})
        CHECK_MESSAGE(!base64_decoded_size(text).has_value(), text);
}
