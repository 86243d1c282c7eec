#include "test_output.hpp"

#include <doctest/doctest.h>

TEST_CASE("a new output is empty") {
    Output output;
    CHECK(output.empty());
    CHECK(sent(output).empty());
}

TEST_CASE("texts and frames follow one another in their order") {
    Output output;
    output.add_text("HTTP");
    output.add_frame(Opcode::text, to_bytes("Hello"));
    output.add_frame(Opcode::binary, {});
    output.add_frame(Opcode::close, from_hex("03 e8"));
    CHECK(!output.empty());
    CHECK(to_hex(sent(output)) == "48 54 54 50 81 05 48 65 6c 6c 6f 82 00 88 02 03 e8");
}

TEST_CASE("a frame without a payload is something to send") {
    Output output;
    output.add_frame(Opcode::pong, {});
    CHECK(!output.empty());
    CHECK(to_hex(sent(output)) == "8a 00");
}

TEST_CASE("a cleared output may be used again") {
    Output output;
    output.add_text("first");
    output.clear();
    CHECK(output.empty());
    output.add_text("second");
    CHECK(to_text(sent(output)) == "second");
}
