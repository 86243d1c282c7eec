#include "utf8.hpp"

#include <algorithm>
#include <cstring>

#include "common/wide_registers.hpp"

namespace {

// Larger than in frame.cpp: to sum up what the bytes of a block say takes as long as to read 64.
constexpr std::size_t block_size = 256;

/// How many bytes at the front are ASCII, in whole blocks: none of them has its high bit set. The
/// loop over a block has a fixed length, for the same reason as there.
WIDE_REGISTERS std::size_t ascii_blocks(std::span<const std::byte> bytes) {
    std::size_t size = 0;
    for (; bytes.size() - size >= block_size; size += block_size) {
        std::byte all{};
        for (std::size_t i = 0; i < block_size; ++i) all |= bytes[size + i];
        if ((all & std::byte{0x80}) != std::byte{0}) break;
    }
    return size;
}

bool is_ascii_word(const std::byte* bytes) {
    std::uint64_t word;
    std::memcpy(&word, bytes, sizeof word);
    return (word & 0x8080808080808080U) == 0;
}

/// How many bytes at the front are ASCII, in whole blocks and words, or all of them: most text is,
/// and goes by at the speed of memory.
std::size_t ascii_front(std::span<const std::byte> bytes) {
    std::size_t size = bytes.size() >= block_size ? ascii_blocks(bytes) : 0;
    while (bytes.size() - size >= 8 && is_ascii_word(&bytes[size])) size += 8;
    // The last few are the end of a word that reaches back into what is known already.
    const bool few = size > 0 && bytes.size() - size < 8;
    return few && is_ascii_word(&bytes[bytes.size() - 8]) ? bytes.size() : size;
}

}  // namespace

bool Utf8Validator::take(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        if (missing_ == 0) bytes = bytes.subspan(ascii_front(bytes));
        // A few bytes one by one; then there may be whole words of ASCII again.
        const auto few = bytes.first(std::min<std::size_t>(bytes.size(), 16));
        for (const std::byte byte : few) {
            const auto value = std::to_integer<std::uint8_t>(byte);
            if (missing_ == 0 && value < 0x80) continue;
            if (!take_byte(value)) return false;
        }
        bytes = bytes.subspan(few.size());
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
