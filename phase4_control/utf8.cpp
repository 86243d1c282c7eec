#include "utf8.hpp"

#include <algorithm>
#include <cstring>

namespace {

/// How many bytes at the front are ASCII, in whole blocks: most text is, and a block of 64 bytes
/// costs no more than a look at each of its eight words.
std::size_t ascii_blocks(std::span<const std::byte> bytes) {
    constexpr std::size_t words = 8;
    std::size_t size = 0;
    while (size + words * 8 <= bytes.size()) {
        std::uint64_t block[words];
        std::memcpy(block, &bytes[size], sizeof block);
        std::uint64_t all = 0;
        for (const std::uint64_t word : block) all |= word;
        if (all & 0x8080808080808080U) break;
        size += sizeof block;
    }
    return size;
}

}  // namespace

bool Utf8Validator::take(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        if (missing_ == 0) bytes = bytes.subspan(ascii_blocks(bytes));
        // Up to a block byte by byte; then there may be whole blocks of ASCII again.
        for (const std::byte byte : bytes.first(std::min<std::size_t>(bytes.size(), 64))) {
            const auto value = std::to_integer<std::uint8_t>(byte);
            if (missing_ == 0 && value < 0x80) continue;
            if (!take_byte(value)) return false;
        }
        bytes = bytes.subspan(std::min<std::size_t>(bytes.size(), 64));
    }
    return true;
}

// Task 4.4: a byte of a character that is not ASCII. The first byte tells how many follow; the
// range of the second keeps out overlong forms, surrogates and what lies above U+10FFFF (RFC 3629
// §4).
bool Utf8Validator::take_byte(std::uint8_t byte) {
    if (missing_ > 0) {
        if (byte < low_ || byte > high_) return false;
        --missing_;
        low_ = 0x80;
        high_ = 0xBF;
        return true;
    }
    if (byte < 0xC2 || byte > 0xF4) return false;
    missing_ = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
    if (byte == 0xE0) low_ = 0xA0;   // below: overlong
    if (byte == 0xED) high_ = 0x9F;  // above: surrogates
    if (byte == 0xF0) low_ = 0x90;   // below: overlong
    if (byte == 0xF4) high_ = 0x8F;  // above: U+110000
    return true;
}
