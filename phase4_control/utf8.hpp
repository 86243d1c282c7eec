// UTF-8 (RFC 3629), checked as it arrives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

/// Says at the first byte that cannot be right that it isn't, however the text is cut.
class Utf8Validator {
public:
    /// The next bytes of the text. Returns false when one of them is wrong, and is of no use then.
    bool take(std::span<const std::byte> bytes);

    /// Whether the text could end here: not within a character.
    bool complete() const { return missing_ == 0; }

private:
    bool take_byte(std::uint8_t byte);

    std::uint8_t missing_ = 0;  // continuation bytes of the character that is coming in
    std::uint8_t low_ = 0x80;   // the range that the next one of them must lie in
    std::uint8_t high_ = 0xBF;
};
