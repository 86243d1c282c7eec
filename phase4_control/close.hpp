// Why a WebSocket connection is closed (RFC 6455 §7.4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>

/// RFC 6455 §7.4.1 and the registry of §11.7: the codes that this server sends.
enum class CloseCode : std::uint16_t {
    normal = 1000,
    going_away = 1001,
    protocol_error = 1002,
    unsupported_data = 1003,
    invalid_payload = 1007,
    policy_violation = 1008,
    message_too_big = 1009,
    try_again_later = 1013,
};

/// The peer broke a rule: caught in one place, which sends a CLOSE with this code and what() as its
/// reason. At most 123 bytes of reason fit into a control frame.
class ProtocolError : public std::runtime_error {
public:
    ProtocolError(CloseCode code, const std::string& why) : std::runtime_error{why}, code_{code} {}

    CloseCode code() const { return code_; }

private:
    CloseCode code_;
};

/// The code in the payload of a peer's CLOSE, or 0 when the payload is empty. Throws ProtocolError:
/// 1002 for one byte or for a code that may not be sent; 1007 for a reason that is not UTF-8.
std::uint16_t parse_close(std::span<const std::byte> payload);
