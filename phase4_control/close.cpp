#include "close.hpp"

#include "utf8.hpp"

namespace {

// What may appear in a CLOSE: 1004 is reserved, 1005, 1006 and 1015 only stand for what happened
// without one, 1016–2999 are nobody's yet (RFC 6455 §7.4.1, §7.4.2, and the registry of §11.7).
bool may_be_sent(unsigned code) {
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

}  // namespace

// Task 4.1: nothing, or two bytes of code in network byte order and a reason (RFC 6455 §5.5.1).
std::uint16_t parse_close(std::span<const std::byte> payload) {
    if (payload.empty()) return 0;
    if (payload.size() == 1) throw ProtocolError{CloseCode::protocol_error, "half a close code"};
    const unsigned code =
        std::to_integer<unsigned>(payload[0]) << 8 | std::to_integer<unsigned>(payload[1]);
    if (!may_be_sent(code)) throw ProtocolError{CloseCode::protocol_error, "not a close code"};
    Utf8Validator reason;
    if (!reason.take(payload.subspan(2)) || !reason.complete())
        throw ProtocolError{CloseCode::invalid_payload, "the reason is not UTF-8"};
    return static_cast<std::uint16_t>(code);
}
