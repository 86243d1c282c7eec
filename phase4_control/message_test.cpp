#include "message.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "close.hpp"
#include "common/test_bytes.hpp"

namespace {

FrameHeader header_of(bool fin, Opcode opcode, std::uint64_t length) {
    return {.fin = fin, .opcode = opcode, .key = {}, .length = length};
}

/// A frame that comes in one piece; returns whether the message is over.
bool add(Message& message, bool fin, Opcode opcode, std::string_view payload) {
    const FrameHeader header = header_of(fin, opcode, payload.size());
    message.begin_frame(header);
    message.check(to_bytes(payload));
    message.append(to_bytes(payload));
    return message.end_frame(header);
}

/// The code that a step is refused with; 0 for none.
template <typename Step>
unsigned refused(Step step) {
    try {
        step();
    } catch (const ProtocolError& error) {
        return static_cast<unsigned>(error.code());
    }
    return 0;
}

constexpr bool more = false;  // FIN is not set
constexpr bool last = true;

}  // namespace

TEST_CASE("a message in one frame is single") {
    Message message{100};
    CHECK(message.is_single());
    CHECK(add(message, last, Opcode::binary, "abc"));
    CHECK(message.is_single());
    CHECK(message.opcode() == Opcode::binary);
    CHECK(to_text(message.take_payload()) == "abc");
}

TEST_CASE("fragments are put together, empty ones too (RFC 6455 §5.4)") {
    Message message{100};
    CHECK(!add(message, more, Opcode::text, ""));
    CHECK(!message.is_single());
    CHECK(!add(message, more, Opcode::continuation, "Hel"));
    CHECK(!add(message, more, Opcode::continuation, ""));
    CHECK(message.opcode() == Opcode::text);
    CHECK(add(message, last, Opcode::continuation, "lo"));
    CHECK(message.is_single());
    CHECK(message.opcode() == Opcode::text);
    CHECK(to_text(message.take_payload()) == "Hello");

    CHECK(!add(message, more, Opcode::binary, "next"));  // nothing is left of the one before
    CHECK(add(message, last, Opcode::continuation, ""));
    CHECK(message.opcode() == Opcode::binary);
    CHECK(to_text(message.take_payload()) == "next");
}

TEST_CASE("a continuation needs a message that is open, any other frame needs none") {
    for (const bool fin : {more, last}) {
        Message nothing{100};
        CHECK(refused([&] { add(nothing, fin, Opcode::continuation, "a"); }) == 1002);

        for (const Opcode opcode : {Opcode::text, Opcode::binary}) {
            Message open{100};
            add(open, more, Opcode::text, "a");
            CHECK(refused([&] { add(open, fin, opcode, "b"); }) == 1002);
        }
        Message over{100};
        add(over, more, Opcode::text, "a");
        add(over, last, Opcode::continuation, "b");
        over.take_payload();
        CHECK(refused([&] { add(over, fin, Opcode::continuation, "c"); }) == 1002);
    }
}

TEST_CASE("a message of just the limit is taken, one byte more is refused with its header") {
    const auto begin = [](Message& message, Opcode opcode, std::uint64_t length) {
        return refused([&] { message.begin_frame(header_of(last, opcode, length)); });
    };
    Message exact{100};
    CHECK(begin(exact, Opcode::binary, 100) == 0);
    Message over{100};
    CHECK(begin(over, Opcode::binary, 101) == 1009);

    for (const std::uint64_t length : {std::uint64_t{41}, std::uint64_t{0x7FFFFFFFFFFFFFFF},
                                       ~std::uint64_t{0} - 59, ~std::uint64_t{0}}) {
        CAPTURE(length);
        Message message{100};
        add(message, more, Opcode::binary, std::string(60, 'a'));
        CHECK(begin(message, Opcode::continuation, length) == 1009);  // a sum would overflow
    }
    Message fragments{100};
    add(fragments, more, Opcode::binary, std::string(60, 'a'));
    CHECK(begin(fragments, Opcode::continuation, 40) == 0);
}

TEST_CASE("the limit holds for each message anew") {
    Message message{10};
    for (int i = 0; i < 3; ++i) {
        CHECK(!add(message, more, Opcode::binary, "12345"));
        CHECK(add(message, last, Opcode::continuation, "67890"));
        CHECK(message.take_payload().size() == 10);
    }
}

TEST_CASE("the fragments of a message are counted, empty ones too, and bounded") {
    for (const std::size_t max_size :
         {std::size_t{100}, std::size_t{16 * 1024}, std::size_t{16 * 3000}}) {
        CAPTURE(max_size);
        const std::size_t most = std::max<std::size_t>(1024, max_size / 16);
        Message message{max_size};
        for (int round = 0; round < 2; ++round) {  // each message has a count of its own
            add(message, more, Opcode::binary, "");
            for (std::size_t i = 1; i < most - 1; ++i)
                REQUIRE(!add(message, more, Opcode::continuation, ""));
            CHECK(add(message, last, Opcode::continuation, ""));
        }
        add(message, more, Opcode::binary, "");
        for (std::size_t i = 1; i < most; ++i) add(message, more, Opcode::continuation, "");
        CHECK(refused([&] { add(message, last, Opcode::continuation, ""); }) == 1008);
    }
}

TEST_CASE("text is UTF-8 over the borders of its fragments, binary is anything (RFC 6455 §5.6)") {
    Message message{100};
    CHECK(!add(message, more, Opcode::text, "\xF0\x9F"));
    CHECK(!add(message, more, Opcode::continuation, ""));
    CHECK(add(message, last, Opcode::continuation, "\x99\x82"));
    CHECK(to_text(message.take_payload()) == "🙂");

    CHECK(add(message, last, Opcode::binary, "\xFF\xC3"));
    message.take_payload();
    CHECK(!add(message, more, Opcode::binary, "\xFF"));
    CHECK(add(message, last, Opcode::continuation, "\xC3"));
}

TEST_CASE("text that is wrong is refused with the piece that it shows in") {
    Message message{100};
    add(message, more, Opcode::text, "a\xED");
    message.begin_frame(header_of(last, Opcode::continuation, 50));
    CHECK(refused([&] { message.check(from_hex("a0")); }) == 1007);

    Message single{100};
    single.begin_frame(header_of(last, Opcode::text, 50));
    CHECK(refused([&] { single.check(from_hex("61 ff")); }) == 1007);
}

TEST_CASE("text must not end within a character, but its fragments may") {
    Message fragments{100};
    CHECK(!add(fragments, more, Opcode::text, "\xC3"));
    CHECK(refused([&] { add(fragments, last, Opcode::continuation, ""); }) == 1007);
    Message single{100};
    CHECK(refused([&] { add(single, last, Opcode::text, "\xC3"); }) == 1007);
}

TEST_CASE("what one message was does not matter to the next") {
    Message message{100};
    add(message, more, Opcode::binary, "\xC3");
    add(message, last, Opcode::continuation, "");
    message.take_payload();
    CHECK(add(message, last, Opcode::text, "a"));
    message.take_payload();
    add(message, more, Opcode::text, "a");
    CHECK(add(message, last, Opcode::continuation, "b"));
}

TEST_CASE("a header alone is not worth memory") {
    Message message{1 << 20};
    message.begin_frame(header_of(last, Opcode::binary, 1 << 20));
    CHECK(message.take_payload().capacity() == 0);

    message.begin_frame(header_of(last, Opcode::binary, 1 << 20));
    message.append(Bytes(100));
    CHECK(message.take_payload().capacity() <= 1600);
}

TEST_CASE("memory grows in few steps, or many small pieces would be copied over and over") {
    constexpr std::size_t size = 16 * 1024;
    const Bytes piece = pattern(16);
    for (const bool fragmented : {false, true}) {
        CAPTURE(fragmented);
        std::set<std::size_t> capacities;
        for (std::size_t pieces = 1; pieces <= size / 16; ++pieces) {
            Message message{size};
            if (!fragmented) message.begin_frame(header_of(last, Opcode::binary, size));
            for (std::size_t i = 0; i < pieces; ++i) {
                const Opcode opcode = i == 0 ? Opcode::binary : Opcode::continuation;
                if (fragmented) message.begin_frame(header_of(more, opcode, 16));
                message.append(piece);
            }
            capacities.insert(message.take_payload().capacity());
        }
        CHECK(capacities.size() <= 12);
        CHECK(*capacities.rbegin() <= size);
        // Of a frame, little has come before there is room for all.
        if (!fragmented)
            CHECK(std::ranges::all_of(capacities,
                                      [](auto room) { return room == size || room <= size / 16; }));
    }
}
