#include "frame.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "close.hpp"
#include "common/wide_registers.hpp"

namespace {

constexpr auto masked_bit = std::byte{0x80};

Opcode checked_opcode(std::byte bits) {
    const auto opcode = static_cast<Opcode>(bits);
    switch (opcode) {
        case Opcode::continuation:
        case Opcode::text:
        case Opcode::binary:
        case Opcode::close:
        case Opcode::ping:
        case Opcode::pong:
            return opcode;
    }
    throw ProtocolError{CloseCode::protocol_error, "unknown opcode"};
}

std::size_t length_size(std::byte second) {
    const auto length = second & std::byte{0x7F};
    return length == std::byte{126} ? 2 : length == std::byte{127} ? 8 : 0;
}

// Task 4.3: a length of 16 or 64 bits, in network byte order. It is minimal, and the top bit of 64
// is zero (RFC 6455 §5.2): one length has one spelling.
std::uint64_t parse_long_length(std::span<const std::byte> bytes) {
    std::uint64_t length = 0;
    for (const std::byte byte : bytes) length = length << 8 | std::to_integer<std::uint64_t>(byte);
    if (length < (bytes.size() == 2 ? 126U : 65536U) || length >> 63 != 0)
        throw ProtocolError{CloseCode::protocol_error, "a length that is not minimal"};
    return length;
}

// Task 4.3: the shortest of the two that holds the length; the most significant byte goes first.
std::size_t encode_long_length(std::span<std::byte> to, std::uint64_t length) {
    const std::size_t more = length <= 0xFFFF ? 2 : 8;
    to[1] = more == 2 ? std::byte{126} : std::byte{127};
    for (std::size_t i = 0; i < more; ++i)
        to[2 + i] = static_cast<std::byte>(length >> 8 * (more - 1 - i));
    return 2 + more;
}

// Task 4.1: control frames are whole and short, so that they can be answered at once, in the middle
// of a message (RFC 6455 §5.5).
void check_control(const FrameHeader& header) {
    if (!header.fin) throw ProtocolError{CloseCode::protocol_error, "a fragmented control frame"};
    if (header.length > 125)
        throw ProtocolError{CloseCode::protocol_error, "a control frame of over 125 bytes"};
}

/// The key twice, from the byte that byte `offset` of the payload meets.
std::uint64_t turned(const MaskingKey& key, std::uint64_t offset) {
    const std::uint64_t once = std::bit_cast<std::uint32_t>(key);
    const std::uint64_t word = once << 32 | once;
    const int bits = static_cast<int>(offset % 4) * 8;
    return std::endian::native == std::endian::little ? std::rotr(word, bits)
                                                      : std::rotl(word, bits);
}

std::uint64_t load_word(const std::byte* from) {
    std::uint64_t word;
    std::memcpy(&word, from, sizeof word);
    return word;
}
void store_word(std::byte* to, std::uint64_t word) {
    std::memcpy(to, &word, sizeof word);
}

constexpr std::size_t block_size = 64;

/// Unmasks all whole blocks at the front; returns how many bytes they are. The loop over a block
/// has a fixed length, so that the compiler makes a few vector instructions of it.
WIDE_REGISTERS std::size_t unmask_blocks(std::span<std::byte> piece, std::uint64_t mask) {
    std::array<std::uint64_t, block_size / 8> repeated;
    repeated.fill(mask);
    const auto block = std::bit_cast<std::array<std::byte, block_size>>(repeated);
    std::byte* at = piece.data();
    std::size_t left = piece.size();
    for (; left >= block_size; left -= block_size, at += block_size)
        for (std::size_t i = 0; i < block_size; ++i) at[i] ^= block[i];
    return piece.size() - left;
}

}  // namespace

std::size_t header_size(std::span<const std::byte> bytes) {
    const bool masked = (bytes[1] & masked_bit) != std::byte{0};
    return 2 + length_size(bytes[1]) + (masked ? 4 : 0);
}

FrameHeader parse_header(std::span<const std::byte> bytes) {
    if ((bytes[0] & std::byte{0x70}) != std::byte{0})
        throw ProtocolError{CloseCode::protocol_error, "reserved bits set, no extension agreed"};
    FrameHeader header;
    header.fin = (bytes[0] & std::byte{0x80}) != std::byte{0};
    header.opcode = checked_opcode(bytes[0] & std::byte{0x0F});
    if ((bytes[1] & masked_bit) == std::byte{0})
        throw ProtocolError{CloseCode::protocol_error, "a client's frame is masked"};
    const std::size_t more = length_size(bytes[1]);
    header.length = more == 0 ? std::to_integer<std::uint64_t>(bytes[1] & std::byte{0x7F})
                              : parse_long_length(bytes.subspan(2, more));
    std::memcpy(header.key.data(), &bytes[2 + more], header.key.size());
    if (is_control(header.opcode)) check_control(header);
    return header;
}

// The same as byte by byte, but in blocks and in words of 64 bits: the key is turned to begin where
// the piece does, and laid out as often as it takes. The last word reaches back into the one before
// it, so it is read ahead of that one's change.
void unmask(std::span<std::byte> piece, const MaskingKey& key, std::uint64_t offset) {
    if (piece.size() < 8) {
        for (std::byte& byte : piece) byte ^= key[offset++ % 4];
        return;
    }
    std::byte* at = piece.data();
    std::byte* const last = at + piece.size() - 8;
    const std::uint64_t last_word = load_word(last) ^ turned(key, offset + piece.size());
    const std::uint64_t mask = turned(key, offset);
    if (piece.size() >= block_size) at += unmask_blocks(piece, mask);
    for (; at < last; at += 8) store_word(at, load_word(at) ^ mask);
    store_word(last, last_word);
}

std::size_t encode_header(std::span<std::byte> to, Opcode opcode, std::size_t length) {
    to[0] = std::byte{0x80} | static_cast<std::byte>(opcode);
    if (length > 125) return encode_long_length(to, length);
    to[1] = static_cast<std::byte>(length);
    return 2;
}

bool HeaderReader::take(std::span<std::byte>& input, FrameHeader& header) {
    if (filled_ == 0 &&
        input.size() >= max_header_size) {  // mostly it is whole, and read where it lies
        const auto bytes = input.first(header_size(input));
        input = input.subspan(bytes.size());
        header = parse_header(bytes);
        return true;
    }
    // Copies what a longest header could have, and takes only what this one has.
    const auto sight = input.first(std::min(bytes_.size() - filled_, input.size()));
    std::ranges::copy(sight, bytes_.begin() + filled_);
    const std::size_t seen = filled_ + sight.size();
    if (seen < 2 || seen < header_size(bytes_)) {
        filled_ = static_cast<std::uint8_t>(seen);
        input = {};
        return false;
    }
    const std::size_t size = header_size(bytes_);
    input = input.subspan(size - filled_);
    filled_ = 0;
    header = parse_header(std::span{bytes_}.first(size));
    return true;
}
