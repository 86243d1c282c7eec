#include "common/test_bytes.hpp"

#include <doctest/doctest.h>

TEST_CASE("the helpers of the tests write the frames of RFC 6455 §5.7") {
    CHECK(to_hex(server_frame(0x81, "Hello")) == "81 05 48 65 6c 6c 6f");
    CHECK(to_hex(masked_frame(0x81, "Hello")) == "81 85 37 fa 21 3d 7f 9f 4d 51 58");
    const Bytes large = pattern(65536);
    const std::span medium = std::span{large}.first(256);
    CHECK(to_hex(server_frame(0x82, medium)).starts_with("82 7e 01 00 "));
    CHECK(to_hex(server_frame(0x82, large)).starts_with("82 7f 00 00 00 00 00 01 00 00 "));
}

TEST_CASE("hexadecimal is read as it is written") {
    CHECK(to_hex(from_hex("00 ff81 7e")) == "00 ff 81 7e");
    CHECK(from_hex("").empty());
    CHECK(to_text(from_hex("48 69")) == "Hi");
}
