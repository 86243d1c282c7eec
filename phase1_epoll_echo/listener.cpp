#include "listener.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "common/address.hpp"
#include "common/error.hpp"

namespace {

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

Addresses resolve(const std::string& host, std::uint16_t port) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE;
    addrinfo* found = nullptr;
    const int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
    if (error == EAI_SYSTEM) throw_errno("getaddrinfo");
    if (error != 0) throw std::runtime_error{gai_strerror(error)};
    return {found, &freeaddrinfo};
}

// Task 1.1: socket, bind and listen; non-blocking from birth, so that no later call can wait.
UniqueFd bind_and_listen(const addrinfo& address) {
    UniqueFd listener{
        check(socket(address.ai_family, address.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
              "socket")};
    // A server that is started again at once meets its old connections in TIME_WAIT; without this,
    // bind fails with EADDRINUSE (socket(7)).
    const int on = 1;
    check(setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "setsockopt");
    check(bind(listener.get(), address.ai_addr, address.ai_addrlen), "bind");
    check(listen(listener.get(), SOMAXCONN), "listen");
    return listener;
}

void set_port(sockaddr* address, std::uint16_t port) {
    if (address->sa_family == AF_INET6)
        reinterpret_cast<sockaddr_in6*>(address)->sin6_port = htons(port);
    else
        reinterpret_cast<sockaddr_in*>(address)->sin_port = htons(port);
}

/// /etc/hosts may list an address twice.
bool is_bound(const std::vector<UniqueFd>& listeners, const addrinfo& address) {
    sockaddr_storage wanted{};
    std::memcpy(&wanted, address.ai_addr, address.ai_addrlen);
    return std::ranges::any_of(listeners, [&](const UniqueFd& listener) {
        return local_address(listener.get()) == to_string(wanted);
    });
}

/// An address of a kind that this machine does not have: "localhost" is ::1 too, without IPv6.
bool is_missing(const std::error_code& error) {
    return error.value() == EADDRNOTAVAIL || error.value() == EAFNOSUPPORT;
}

std::vector<UniqueFd> listen_on_all(const addrinfo* address, std::uint16_t port) {
    std::vector<UniqueFd> listeners;
    for (; address; address = address->ai_next) {
        set_port(address->ai_addr, port);
        if (is_bound(listeners, *address)) continue;
        try {
            listeners.push_back(bind_and_listen(*address));
            if (port == 0) port = local_port(listeners[0].get());  // the same for the others
        } catch (const std::system_error& error) {
            const bool is_only = listeners.empty() && !address->ai_next;
            if (is_only || !is_missing(error.code())) throw;
        }
    }
    return listeners;
}

}  // namespace

std::vector<UniqueFd> open_listeners(const std::string& host, std::uint16_t port) {
    const bool ip6 = host.find(':') != std::string::npos;
    const std::string place = (ip6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
    try {
        return listen_on_all(resolve(host, port).get(), port);
    } catch (const std::system_error& error) {
        throw std::runtime_error{"cannot listen on " + place + ": " + error.code().message()};
    } catch (const std::runtime_error& error) {
        throw std::runtime_error{"cannot listen on " + place + ": " + error.what()};
    }
}
