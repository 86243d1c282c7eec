#include "common/address.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <array>

#include "common/error.hpp"

namespace {

sockaddr_storage bound_address(int fd) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    check(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
    return address;
}

}  // namespace

std::string to_string(const sockaddr_storage& address) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (address.ss_family == AF_INET6) {
        const auto& ip6 = reinterpret_cast<const sockaddr_in6&>(address);
        inet_ntop(AF_INET6, &ip6.sin6_addr, text.data(), text.size());
        return "[" + std::string{text.data()} + "]:" + std::to_string(ntohs(ip6.sin6_port));
    }
    const auto& ip4 = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &ip4.sin_addr, text.data(), text.size());
    return std::string{text.data()} + ":" + std::to_string(ntohs(ip4.sin_port));
}

std::string local_address(int fd) {
    return to_string(bound_address(fd));
}

std::uint16_t local_port(int fd) {
    const sockaddr_storage address = bound_address(fd);
    return ntohs(address.ss_family == AF_INET6
                     ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                     : reinterpret_cast<const sockaddr_in&>(address).sin_port);
}
