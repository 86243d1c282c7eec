#include "common/address.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>

#include <cstdint>
#include <system_error>

#include "common/error.hpp"
#include "common/unique_fd.hpp"

namespace {

sockaddr_storage ip4(const char* address, std::uint16_t port) {
    sockaddr_storage storage{};
    auto& place = reinterpret_cast<sockaddr_in&>(storage);
    place.sin_family = AF_INET;
    place.sin_port = htons(port);
    CHECK(inet_pton(AF_INET, address, &place.sin_addr) == 1);
    return storage;
}

sockaddr_storage ip6(const char* address, std::uint16_t port) {
    sockaddr_storage storage{};
    auto& place = reinterpret_cast<sockaddr_in6&>(storage);
    place.sin6_family = AF_INET6;
    place.sin6_port = htons(port);
    CHECK(inet_pton(AF_INET6, address, &place.sin6_addr) == 1);
    return storage;
}

}  // namespace

TEST_CASE("an IPv4 address is written with its port") {
    CHECK(to_string(ip4("127.0.0.1", 8080)) == "127.0.0.1:8080");
    CHECK(to_string(ip4("255.255.255.255", 65535)) == "255.255.255.255:65535");
}

TEST_CASE("an IPv6 address stands in brackets, as in a URL (RFC 3986 §3.2.2)") {
    CHECK(to_string(ip6("::1", 8080)) == "[::1]:8080");
    CHECK(to_string(ip6("2001:db8:1111:2222:3333:4444:5555:6666", 1)) ==
          "[2001:db8:1111:2222:3333:4444:5555:6666]:1");
}

TEST_CASE("a socket knows where it was bound") {
    const UniqueFd socket{check(::socket(AF_INET, SOCK_STREAM, 0), "socket")};
    const sockaddr_storage any_port = ip4("127.0.0.1", 0);
    check(bind(socket.get(), reinterpret_cast<const sockaddr*>(&any_port), sizeof(sockaddr_in)),
          "bind");
    const std::string address = local_address(socket.get());
    CHECK(address.starts_with("127.0.0.1:"));
    CHECK(address != "127.0.0.1:0");
}

TEST_CASE("what is no socket has no address") {
    CHECK_THROWS_WITH_AS(local_address(-1), "getsockname: Bad file descriptor", std::system_error);
}
