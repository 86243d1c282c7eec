#include "close.hpp"

#include <doctest/doctest.h>

#include <set>

#include "common/test_bytes.hpp"

namespace {

Bytes payload_of(unsigned code, std::string_view reason = "") {
    const Bytes bytes{static_cast<std::byte>(code >> 8), static_cast<std::byte>(code)};
    return join({bytes, to_bytes(reason)});
}

/// The code that a payload is refused with; 0 for none.
unsigned refused(const Bytes& payload) {
    try {
        parse_close(payload);
    } catch (const ProtocolError& error) {
        return static_cast<unsigned>(error.code());
    }
    return 0;
}

}  // namespace

TEST_CASE("an empty CLOSE has no code (RFC 6455 §5.5.1)") {
    CHECK(parse_close({}) == 0);
}

TEST_CASE("half a code is refused") {
    CHECK(refused(from_hex("03")) == 1002);
}

TEST_CASE("of all codes, those that may be sent are taken (RFC 6455 §7.4, and its registry)") {
    const std::set<unsigned> registered{1000, 1001, 1002, 1003, 1007, 1008,
                                        1009, 1010, 1011, 1012, 1013, 1014};
    for (unsigned code = 0; code <= 5000; ++code) {
        CAPTURE(code);
        const bool allowed = registered.contains(code) || (code >= 3000 && code <= 4999);
        CHECK(refused(payload_of(code)) == (allowed ? 0 : 1002));
        if (allowed) CHECK(parse_close(payload_of(code)) == code);
    }
    CHECK(refused(payload_of(65535)) == 1002);
}

TEST_CASE("the reason is UTF-8, from its first byte to its last (RFC 6455 §7.1.6)") {
    CHECK(parse_close(payload_of(1000, "adiós")) == 1000);
    CHECK(parse_close(payload_of(4000, std::string(123, 'r'))) == 4000);
    CHECK(refused(payload_of(1000, "\xFF")) == 1007);
    CHECK(refused(payload_of(1000, "bye\xED\xA0\x80")) == 1007);
    CHECK(refused(payload_of(1000, "bye\xC3")) == 1007);  // cut within a character
}

TEST_CASE("of a wrong code and a wrong reason, the code is told") {
    CHECK(refused(payload_of(1005, "\xFF")) == 1002);
}
