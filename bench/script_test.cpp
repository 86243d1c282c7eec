#include "bench/script.hpp"

#include <doctest/doctest.h>

#include <stdexcept>

#include "common/test_bytes.hpp"

namespace {

/// What an echo server makes of the first message of the script.
Bytes echo_of(std::span<const std::byte> message, std::size_t client_header) {
    Bytes echo{message.begin(), message.begin() + static_cast<std::ptrdiff_t>(client_header) - 4};
    echo[1] &= std::byte{0x7F};
    const auto key = message.subspan(client_header - 4, 4);
    const auto payload = message.subspan(client_header);
    for (std::size_t i = 0; i < payload.size(); ++i) echo.push_back(payload[i] ^ key[i % 4]);
    return echo;
}

}  // namespace

TEST_CASE("messages come around again, and any few of them lie in a row") {
    const Script script{Script::Kind::text, 20, 3};
    const Bytes all = join({script.messages(0, 3)});
    CHECK(all.size() == 3 * 26);
    CHECK(to_hex(script.messages(3, 3)) == to_hex(all));
    CHECK(to_hex(script.messages(2, 2)) ==
          to_hex(join({script.messages(2, 1), script.messages(0, 1)})));
    CHECK(to_hex(script.messages(0, 1)) != to_hex(script.messages(1, 1)));
}

TEST_CASE("an echo matches whole, byte by byte, and cut at every place") {
    for (const auto& [size, header] : {std::pair{20, 6}, {126, 8}, {65536, 14}}) {
        const Script script{Script::Kind::binary, static_cast<std::size_t>(size), 2};
        const Bytes echo = echo_of(script.messages(0, 1), static_cast<std::size_t>(header));
        REQUIRE(echo.size() == script.echo_size());
        CHECK(script.match(0, 0, echo, true) == echo.size());
        for (std::size_t cut = 0; cut < 100 && cut < echo.size(); ++cut) {
            const auto first = std::span{echo}.first(cut);
            CHECK(script.match(0, 0, first, true) == cut);
            CHECK(script.match(0, cut, std::span{echo}.subspan(cut), true) == echo.size() - cut);
        }
    }
}

TEST_CASE("what follows an echo is not part of it") {
    const Script script{Script::Kind::text, 20, 1};
    const Bytes echo = echo_of(script.messages(0, 1), 6);
    CHECK(script.match(0, 0, join({echo, echo}), true) == echo.size());
}

TEST_CASE("a wrong header is seen always, a wrong payload when every byte counts") {
    const Script script{Script::Kind::text, 20, 1};
    Bytes echo = echo_of(script.messages(0, 1), 6);
    echo.back() ^= std::byte{1};
    CHECK(script.match(0, 0, echo, false) == echo.size());
    CHECK_THROWS_AS(script.match(0, 0, echo, true), std::runtime_error);
    echo.front() = std::byte{0x82};
    CHECK_THROWS_AS(script.match(0, 0, echo, false), std::runtime_error);
}

TEST_CASE("without a protocol, what was sent comes back") {
    const Script script{Script::Kind::raw, 20, 2};
    CHECK(script.echo_size() == 26);
    CHECK(script.match(1, 0, script.messages(1, 1), true) == 26);
    CHECK_THROWS_AS(script.match(1, 0, script.messages(0, 1), true), std::runtime_error);
}
