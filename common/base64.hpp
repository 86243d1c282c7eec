// Base64 (RFC 4648 §4: the standard alphabet, padded), over libcrypto.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

std::string base64_encode(std::span<const unsigned char> bytes);

/// How many bytes the text stands for, or nothing when it isn't base64: a length that is no
/// multiple of 4, a character outside the alphabet, misplaced padding. Bits of the last character
/// that stand for nothing may be set: a decoder may let that pass (RFC 4648 §3.5), and clients in
/// the field, like the key that RFC 6455 §4.1 prints, need it.
std::optional<std::size_t> base64_decoded_size(std::string_view text);
