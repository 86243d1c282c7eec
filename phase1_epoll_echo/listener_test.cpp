#include "listener.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <stdexcept>
#include <utility>
#include <vector>

#include "common/address.hpp"
#include "common/error.hpp"

namespace {

UniqueFd open_listener(const std::string& host, std::uint16_t port) {
    return std::move(open_listeners(host, port)[0]);
}

std::uint16_t port_of(const UniqueFd& listener) {
    return local_port(listener.get());
}

std::string complaint(const std::string& host, std::uint16_t port) {
    try {
        open_listener(host, port);
    } catch (const std::runtime_error& error) {
        return error.what();
    }
    return "none";
}

UniqueFd connect_to(const UniqueFd& listener) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    auto* const place = reinterpret_cast<sockaddr*>(&address);
    check(getsockname(listener.get(), place, &size), "getsockname");
    UniqueFd client{check(socket(address.ss_family, SOCK_STREAM, 0), "socket")};
    check(connect(client.get(), place, size), "connect");
    return client;
}

/// Whether this machine has IPv6; many a container has not.
bool has_ipv6() {
    sockaddr_in6 loopback{};
    loopback.sin6_family = AF_INET6;
    loopback.sin6_addr = in6addr_loopback;
    const UniqueFd probe{socket(AF_INET6, SOCK_STREAM, 0)};
    return bind(probe.get(), reinterpret_cast<sockaddr*>(&loopback), sizeof loopback) == 0;
}

}  // namespace

TEST_CASE("port 0 takes a free port, and clients get there") {
    const UniqueFd listener = open_listener("127.0.0.1", 0);
    CHECK(port_of(listener) != 0);
    const UniqueFd client = connect_to(listener);
    const UniqueFd accepted{accept(listener.get(), nullptr, nullptr)};
    CHECK(accepted.get() >= 0);
}

TEST_CASE("accept never waits, and no program that is started inherits the socket") {
    const UniqueFd listener = open_listener("127.0.0.1", 0);
    CHECK(accept(listener.get(), nullptr, nullptr) == -1);
    CHECK(errno == EAGAIN);
    CHECK((fcntl(listener.get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("IPv6 is an address too, and is told in brackets") {
    if (!has_ipv6()) {
        MESSAGE("skipped: this machine has no IPv6");
        return;
    }
    const UniqueFd listener = open_listener("::1", 0);
    CHECK(local_address(listener.get()).starts_with("[::1]:"));
    const std::uint16_t port = port_of(listener);
    CHECK(complaint("::1", port) ==
          "cannot listen on [::1]:" + std::to_string(port) + ": Address already in use");
}

TEST_CASE("a name that is several addresses is listened on at all of them, on one port") {
    const auto listeners = open_listeners("localhost", 0);
    REQUIRE(!listeners.empty());
    std::vector<std::string> addresses;
    for (const UniqueFd& listener : listeners) {
        CHECK(port_of(listener) == port_of(listeners[0]));
        addresses.push_back(local_address(listener.get()));
    }
    std::ranges::sort(addresses);
    CHECK(std::ranges::adjacent_find(addresses) == addresses.end());
    CHECK(std::ranges::any_of(
        addresses, [](const std::string& address) { return address.starts_with("127.0.0.1:"); }));
}

TEST_CASE("a port that is taken is told with its address") {
    const UniqueFd listener = open_listener("127.0.0.1", 0);
    const std::uint16_t port = port_of(listener);
    CHECK(complaint("127.0.0.1", port) ==
          "cannot listen on 127.0.0.1:" + std::to_string(port) + ": Address already in use");
}

TEST_CASE("a server that is started again gets its port, though old connections linger") {
    UniqueFd listener = open_listener("127.0.0.1", 0);
    const std::uint16_t port = port_of(listener);
    UniqueFd client = connect_to(listener);
    UniqueFd accepted{check(accept(listener.get(), nullptr, nullptr), "accept")};
    accepted.reset();  // the side that ends first keeps the port in TIME_WAIT
    client.reset();
    listener.reset();
    CHECK(complaint("127.0.0.1", port) == "none");
}

TEST_CASE("an address that is not ours, or none at all, is told") {
    CHECK(complaint("192.0.2.1", 0) ==  // kept for documentation (RFC 5737)
          "cannot listen on 192.0.2.1:0: Cannot assign requested address");
    CHECK(complaint("300.1.2.3.", 80).starts_with("cannot listen on 300.1.2.3.:80: "));
    CHECK(complaint("no such host", 80).starts_with("cannot listen on no such host:80: "));
}
