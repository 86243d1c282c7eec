#include "frame.hpp"

#include <doctest/doctest.h>

#include <optional>

#include "close.hpp"
#include "common/test_bytes.hpp"
#include "common/test_pages.hpp"

namespace {

FrameHeader parse(std::string_view hex) {
    return parse_header(from_hex(hex));
}

std::optional<FrameHeader> take(HeaderReader& reader, std::span<std::byte>& input) {
    FrameHeader header;
    return reader.take(input, header) ? std::optional{header} : std::nullopt;
}

/// The code that a header is refused with; 0 for none.
unsigned refused(std::string_view hex) {
    try {
        parse(hex);
    } catch (const ProtocolError& error) {
        return static_cast<unsigned>(error.code());
    }
    return 0;
}

/// A header of one byte after the other, and the rest zeros.
std::string header_of(unsigned first, unsigned second) {
    const Bytes bytes{static_cast<std::byte>(first), static_cast<std::byte>(second)};
    return to_hex(bytes) + " 00 00 00 00 00 00 00 00 00 00 00 00";
}

std::size_t header_size_of(unsigned second) {
    return header_size(Bytes{std::byte{0x81}, static_cast<std::byte>(second)});
}

std::string encoded(Opcode opcode, std::size_t length) {
    std::array<std::byte, max_server_header> header;
    return to_hex(std::span{header}.first(encode_header(header, opcode, length)));
}

}  // namespace

TEST_CASE("the masked text of RFC 6455 §5.7 is read") {
    Bytes frame = from_hex("81 85 37 fa 21 3d 7f 9f 4d 51 58");
    REQUIRE(header_size(frame) == 6);
    const FrameHeader header = parse_header(std::span{frame}.first(6));
    CHECK(header.fin);
    CHECK(header.opcode == Opcode::text);
    CHECK(header.length == 5);
    const auto payload = std::span{frame}.subspan(6);
    unmask(payload, header.key, 0);
    CHECK(to_text(payload) == "Hello");
}

TEST_CASE("the unmasked frames of RFC 6455 §5.7 are written") {
    CHECK(encoded(Opcode::text, 5) == "81 05");
    CHECK(encoded(Opcode::ping, 5) == "89 05");
    CHECK(encoded(Opcode::pong, 5) == "8a 05");
    CHECK(encoded(Opcode::binary, 0) == "82 00");
    CHECK(encoded(Opcode::close, 125) == "88 7d");
}

TEST_CASE("FIN, the opcodes and the length are told (RFC 6455 §5.2)") {
    CHECK(!parse("01 80 00 00 00 00").fin);
    CHECK(parse("81 80 00 00 00 00").fin);
    CHECK(parse("00 80 00 00 00 00").opcode == Opcode::continuation);
    CHECK(parse("82 80 00 00 00 00").opcode == Opcode::binary);
    CHECK(parse("88 80 00 00 00 00").opcode == Opcode::close);
    CHECK(parse("89 80 00 00 00 00").opcode == Opcode::ping);
    CHECK(parse("8a 80 00 00 00 00").opcode == Opcode::pong);
    CHECK(parse("81 80 00 00 00 00").length == 0);
    CHECK(parse("81 fd 00 00 00 00").length == 125);
    CHECK(to_hex(parse("81 80 01 02 03 04").key) == "01 02 03 04");
}

TEST_CASE("the opcodes that have the high bit are controls (RFC 6455 §5.5)") {
    CHECK(is_control(Opcode::close));
    CHECK(is_control(Opcode::ping));
    CHECK(is_control(Opcode::pong));
    CHECK(!is_control(Opcode::continuation));
    CHECK(!is_control(Opcode::text));
    CHECK(!is_control(Opcode::binary));
}

TEST_CASE("of all first bytes, those with reserved bits or an unknown opcode are refused") {
    for (unsigned first = 0; first < 256; ++first) {
        CAPTURE(first);
        const unsigned opcode = first & 0x0F;
        const bool known = opcode <= 2 || (opcode >= 8 && opcode <= 10);
        const bool reserved = (first & 0x70) != 0;
        CHECK(refused(header_of(first, 0x80)) == (known && !reserved ? 0 : 1002));
    }
}

TEST_CASE("a frame without a mask is refused (RFC 6455 §5.1)") {
    for (unsigned second = 0; second < 128; ++second) {
        CAPTURE(second);
        CHECK(refused(header_of(0x81, second)) == 1002);
    }
}

TEST_CASE("a payload over 125 bytes is too big for this phase") {
    CHECK(refused("81 fd 00 00 00 00") == 0);
    CHECK(refused("81 fe 00 00 00 00") == 1009);
    CHECK(refused("81 ff 00 00 00 00") == 1009);
}

TEST_CASE("the first two bytes tell the size of a header") {
    CHECK(header_size_of(0x80) == 6);
    CHECK(header_size_of(0xFD) == 6);
    CHECK(header_size_of(0x00) == 2);
    CHECK(header_size_of(0x7D) == 2);
}

TEST_CASE("a piece is unmasked by its place in the payload (RFC 6455 §5.3)") {
    const MaskingKey key{std::byte{1}, std::byte{2}, std::byte{4}, std::byte{8}};
    const Bytes sent = pattern(200);
    bool same = true;
    for (std::uint64_t offset = 0; offset < 8; ++offset)
        for (std::size_t size = 0; size <= sent.size(); ++size) {
            Bytes piece{sent.begin(), sent.begin() + static_cast<std::ptrdiff_t>(size)};
            unmask(piece, key, offset);
            for (std::size_t i = 0; i < size; ++i)
                same = same && piece[i] == (sent[i] ^ key[(i + offset) % 4]);
        }
    CHECK(same);
}

TEST_CASE("unmasking touches the piece, and not a byte beside it") {
    const MaskingKey key{std::byte{1}, std::byte{2}, std::byte{4}, std::byte{8}};
    const Bytes sent = pattern(200);
    GuardedPages pages{sent.size()};
    for (std::uint64_t offset = 0; offset < 4; ++offset)
        for (std::size_t size = 0; size <= sent.size(); ++size) {
            unmask(pages.at_end(std::span{sent}.first(size)), key, offset);
            unmask(pages.at_front(std::span{sent}.first(size)), key, offset);
        }
}

TEST_CASE("a header may be cut anywhere, and what follows it is left") {
    const Bytes tail = pattern(20);
    const auto check_cuts = [&](std::string_view hex, std::uint64_t length) {
        const Bytes bytes = join({from_hex(hex), from_hex("01 02 03 04"), tail});
        const std::size_t size = bytes.size() - tail.size();
        for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
            CAPTURE(cut);
            Bytes first{bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(cut)};
            Bytes second{bytes.begin() + static_cast<std::ptrdiff_t>(cut), bytes.end()};
            HeaderReader reader;
            std::span<std::byte> input{first};
            auto header = take(reader, input);
            CHECK(header.has_value() == (cut >= size));
            if (!header) {
                CHECK(input.empty());
                input = second;
                header = take(reader, input);
                CHECK(to_hex(input) == to_hex(tail));
            } else {
                CHECK(input.size() == cut - size);
            }
            REQUIRE(header.has_value());
            CHECK(header->opcode == Opcode::binary);
            CHECK(header->length == length);
            CHECK(to_hex(header->key) == "01 02 03 04");
        }
    };
    check_cuts("82 83", 3);
}

TEST_CASE("a header may come byte by byte, and the next one after it") {
    HeaderReader reader;
    for (const char* hex : {"82 83 01 02 03 04", "81 80 05 06 07 08"}) {
        Bytes bytes = from_hex(hex);
        std::optional<FrameHeader> header;
        for (std::byte& byte : bytes) {
            CHECK(!header.has_value());
            std::span<std::byte> input{&byte, 1};
            header = take(reader, input);
            CHECK(input.empty());
        }
        REQUIRE(header.has_value());
        CHECK(to_hex(header->key) == to_hex(std::span{bytes}.last(4)));
    }
}
