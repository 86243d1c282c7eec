// Bytes as the unit tests write them. What is sent lies in a vector of its own size, so that
// AddressSanitizer sees who reads past its end.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

using Bytes = std::vector<std::byte>;

/// "81 05 48" as three bytes; spaces do not matter.
inline Bytes from_hex(std::string_view hex) {
    constexpr std::string_view digits = "0123456789abcdef";
    Bytes bytes;
    std::size_t seen = 0;
    for (const char c : hex) {
        if (c == ' ') continue;
        const auto digit = static_cast<std::byte>(digits.find(c));
        if (seen++ % 2 == 0)
            bytes.push_back(digit << 4);
        else
            bytes.back() |= digit;
    }
    return bytes;
}

/// "81 05 48": what a failed CHECK is to show.
inline std::string to_hex(std::span<const std::byte> bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string hex;
    for (const std::byte byte : bytes) {
        if (!hex.empty()) hex += ' ';
        hex += digits[std::to_integer<std::size_t>(byte >> 4)];
        hex += digits[std::to_integer<std::size_t>(byte & std::byte{15})];
    }
    return hex;
}

inline Bytes to_bytes(std::string_view text) {
    const auto bytes = std::as_bytes(std::span{text});
    return {bytes.begin(), bytes.end()};
}

inline std::string to_text(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline void append(Bytes& bytes, std::span<const std::byte> more) {
    bytes.insert(bytes.end(), more.begin(), more.end());
}

inline Bytes join(std::initializer_list<std::span<const std::byte>> parts) {
    Bytes all;
    for (const auto part : parts) append(all, part);
    return all;
}

/// `size` bytes that do not repeat soon: what is lost, doubled or out of order shows.
inline Bytes pattern(std::size_t size) {
    Bytes bytes(size);
    std::uint32_t state = 1;
    for (std::byte& byte : bytes) {
        state = state * 1664525 + 1013904223;  // Numerical Recipes' generator
        byte = static_cast<std::byte>(state >> 24);
    }
    return bytes;
}

/// A frame as RFC 6455 §5.2 has it: its first byte is given (0x81: text, FIN set), the length takes
/// its shortest form; without a key it is a server's, with one a client's.
inline Bytes make_frame(unsigned first, std::span<const std::byte> payload,
                        std::span<const std::byte> key) {
    Bytes frame{static_cast<std::byte>(first)};
    const std::size_t size = payload.size();
    const unsigned masked = key.empty() ? 0 : 0x80;
    const unsigned more = size <= 125 ? 0 : size <= 65535 ? 2 : 8;
    const std::size_t told = more == 0 ? size : more == 2 ? 126 : 127;
    frame.push_back(static_cast<std::byte>(masked | told));
    for (unsigned i = more; i > 0; --i)
        frame.push_back(static_cast<std::byte>(size >> 8 * (i - 1)));
    frame.insert(frame.end(), key.begin(), key.end());
    for (std::size_t i = 0; i < size; ++i)
        frame.push_back(key.empty() ? payload[i] : payload[i] ^ key[i % 4]);
    return frame;
}

inline Bytes server_frame(unsigned first, std::span<const std::byte> payload = {}) {
    return make_frame(first, payload, {});
}
inline Bytes server_frame(unsigned first, std::string_view payload) {
    return server_frame(first, std::as_bytes(std::span{payload}));
}

/// The masking key of the example in RFC 6455 §5.7.
constexpr std::array<std::byte, 4> example_key{std::byte{0x37}, std::byte{0xFA}, std::byte{0x21},
                                               std::byte{0x3D}};

inline Bytes masked_frame(unsigned first, std::span<const std::byte> payload = {},
                          std::span<const std::byte, 4> key = example_key) {
    return make_frame(first, payload, key);
}
inline Bytes masked_frame(unsigned first, std::string_view payload) {
    return masked_frame(first, std::as_bytes(std::span{payload}));
}
