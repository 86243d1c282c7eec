#include "test_output.hpp"

#include <doctest/doctest.h>

#include "write_queue.hpp"

TEST_CASE("a new output is empty") {
    Output output;
    CHECK(output.empty());
    CHECK(output.slices().empty());
}

TEST_CASE("texts and frames follow one another in their order") {
    Output output;
    output.add_text("HTTP");
    output.add_frame(Opcode::text, to_bytes("Hello"));
    output.add_frame(Opcode::binary, std::span<const std::byte>{});
    output.add_frame(Opcode::close, from_hex("03 e8"));
    CHECK(!output.empty());
    CHECK(to_hex(sent(output)) == "48 54 54 50 81 05 48 65 6c 6c 6f 82 00 88 02 03 e8");
}

TEST_CASE("a frame without a payload is something to send") {
    Output output;
    output.add_frame(Opcode::pong, std::span<const std::byte>{});
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

TEST_CASE("what is short is copied together: one slice, and the payload may change") {
    Output output;
    Bytes payload = pattern(8192);
    const Bytes before = payload;
    output.add_text("HTTP");
    output.add_frame(Opcode::binary, std::span<const std::byte>{payload});
    output.add_frame(Opcode::text, to_bytes("Hello"));
    payload.assign(payload.size(), std::byte{0});
    CHECK(output.slices().size() == 1);
    CHECK(sent(output) ==
          join({to_bytes("HTTP"), server_frame(0x82, before), server_frame(0x81, "Hello")}));
}

TEST_CASE("what is long is pointed at, where it lies") {
    Output output;
    const Bytes payload = pattern(8193);
    output.add_frame(Opcode::binary, std::span<const std::byte>{payload});
    const auto slices = output.slices();
    REQUIRE(slices.size() == 2);
    CHECK(to_hex(to_bytes(slices[0])) == "82 7e 20 01");
    CHECK(slices[1].iov_base == payload.data());
    CHECK(slices[1].iov_len == payload.size());
}

TEST_CASE("a payload that is given away is kept until the output is cleared") {
    Output output;
    Bytes expected;
    for (const std::size_t size : {1U, 9000U, 100'000U, 2U}) {
        output.add_frame(Opcode::binary, pattern(size));
        append(expected, server_frame(0x82, pattern(size)));
    }
    CHECK(sent(output) == expected);
    output.clear();
    CHECK(output.empty());
    CHECK(output.slices().empty());
}

TEST_CASE("a payload that was given away moves on to the queue without a copy, if it comes first") {
    Output output;
    const Bytes lent = pattern(9000);
    output.add_frame(Opcode::binary, std::span<const std::byte>{lent});
    output.add_frame(Opcode::binary, pattern(100'000));
    const auto slices = output.slices();
    REQUIRE(slices.size() == 4);
    for (const std::size_t i : {0U, 1U, 2U}) CHECK(output.kept(slices[i].iov_base) == nullptr);
    auto* payload = output.kept(slices[3].iov_base);
    REQUIRE(payload);
    WriteQueue queue;
    queue.adopt(std::move(*payload), 7);
    CHECK(queue.front().data() == static_cast<std::byte*>(slices[3].iov_base) + 7);
    CHECK(queue.size() == 100'000 - 7);
    queue.adopt(pattern(10), 4);
    CHECK(to_hex(queue.front().last(6)) ==
          to_hex(std::span<const std::byte>{pattern(10)}.subspan(4)));
    CHECK(queue.size() == 100'000 - 7 + 6);
}

TEST_CASE("short and long ones keep their order, and slices may be asked for again and again") {
    Output output;
    const Bytes large = pattern(9000);
    Bytes expected;
    for (std::size_t i = 0; i < 100; ++i) {
        const std::span<const std::byte> payload =
            std::span{large}.first(i % 3 == 0 ? 9000 - i : i);
        output.add_frame(Opcode::binary, payload);
        append(expected, server_frame(0x82, payload));
        REQUIRE(sent(output) == expected);
    }
    CHECK(output.slices().size() <= 2 * 34 + 1);  // the short ones between are gathered
}
