// The base framing protocol (RFC 6455 §5.2): headers, masks and lengths. No state, no sockets.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

enum class Opcode : std::uint8_t {
    continuation = 0x0,
    text = 0x1,
    binary = 0x2,
    close = 0x8,
    ping = 0x9,
    pong = 0xA,
};

/// Close, ping and pong: the high bit of the opcode (RFC 6455 §5.5).
constexpr bool is_control(Opcode opcode) {
    return (static_cast<unsigned>(opcode) & 0x8U) != 0;
}

using MaskingKey = std::array<std::byte, 4>;

struct FrameHeader {
    bool fin = false;
    Opcode opcode = Opcode::continuation;
    MaskingKey key{};
    std::uint64_t length = 0;  // of the payload, in bytes
};

/// A client's longest header: 2 bytes, a 64-bit length and the masking key.
constexpr std::size_t max_header_size = 14;

/// The size of a header, told by its first two bytes.
std::size_t header_size(std::span<const std::byte> bytes);

/// Reads a client's header from its header_size() bytes. Throws ProtocolError: 1002 for reserved
/// bits, an unknown opcode, a frame without a mask, a length that is not minimal or over 63 bits,
/// or a control frame that is fragmented or longer than 125 bytes.
FrameHeader parse_header(std::span<const std::byte> bytes);

/// Takes the mask off a piece of a payload, where it lies. `offset` is the place of the piece in
/// its payload: the mask goes on where the piece before ended (RFC 6455 §5.3).
void unmask(std::span<std::byte> piece, const MaskingKey& key, std::uint64_t offset);

/// A server's longest header: 2 bytes and a 64-bit length.
constexpr std::size_t max_server_header = 10;

/// Writes a server's header: FIN set, not masked, the length in its shortest form. `to` has room
/// for the longest. Returns its size.
std::size_t encode_header(std::span<std::byte> to, Opcode opcode, std::size_t length);

/// Gathers a header that may come in several reads.
class HeaderReader {
public:
    /// Takes bytes off the front of `input`. Returns true once `header` is whole, or false when all
    /// of the input was taken and it is not. Throws as parse_header.
    bool take(std::span<std::byte>& input, FrameHeader& header);

    /// Whether a part of a header is here.
    bool has_begun() const { return filled_ > 0; }

private:
    std::array<std::byte, max_header_size> bytes_{};
    std::uint8_t filled_ = 0;
};
