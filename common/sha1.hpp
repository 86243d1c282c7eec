// SHA-1, as the opening handshake wants it (RFC 6455 §1.3). It proves nothing about who is there;
// it only shows that the server read the request as a WebSocket handshake.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

using Sha1Digest = std::array<unsigned char, 20>;

/// Throws std::runtime_error when libcrypto has no SHA-1 to offer.
Sha1Digest sha1(std::string_view text);
