#include "frame.hpp"

#include <algorithm>

#include "close.hpp"

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

}  // namespace

// Two bytes, and four more when the mask bit is set.
std::size_t header_size(std::span<const std::byte> bytes) {
    return (bytes[1] & masked_bit) != std::byte{0} ? 6 : 2;
}

// Task 3.1: FIN, RSV and opcode; mask bit and length; masking key (RFC 6455 §5.2).
FrameHeader parse_header(std::span<const std::byte> bytes) {
    if ((bytes[0] & std::byte{0x70}) != std::byte{0})
        throw ProtocolError{CloseCode::protocol_error, "reserved bits set, no extension agreed"};
    FrameHeader header;
    header.fin = (bytes[0] & std::byte{0x80}) != std::byte{0};
    header.opcode = checked_opcode(bytes[0] & std::byte{0x0F});
    if ((bytes[1] & masked_bit) == std::byte{0})
        throw ProtocolError{CloseCode::protocol_error, "a client's frame is masked"};
    header.length = std::to_integer<std::uint64_t>(bytes[1] & std::byte{0x7F});
    if (header.length > 125)
        throw ProtocolError{CloseCode::message_too_big, "this server takes at most 125 bytes"};
    std::ranges::copy(bytes.subspan(2, 4), header.key.begin());
    return header;
}

// Task 3.1: byte i of the payload was sent XORed with byte i mod 4 of the key (RFC 6455 §5.3).
void unmask(std::span<std::byte> piece, const MaskingKey& key, std::uint64_t offset) {
    for (std::size_t i = 0; i < piece.size(); ++i) piece[i] ^= key[(offset + i) % 4];
}

// Task 3.1: a server never masks (RFC 6455 §5.1).
std::size_t encode_header(std::span<std::byte> to, Opcode opcode, std::size_t length) {
    to[0] = std::byte{0x80} | static_cast<std::byte>(opcode);
    to[1] = static_cast<std::byte>(length);
    return 2;
}

bool HeaderReader::take(std::span<std::byte>& input, FrameHeader& header) {
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
