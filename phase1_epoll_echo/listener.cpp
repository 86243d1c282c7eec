#include "listener.hpp"

#include <netdb.h>
#include <sys/socket.h>

#include <memory>
#include <stdexcept>

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

}  // namespace

UniqueFd open_listener(const std::string& host, std::uint16_t port) {
    const bool ip6 = host.find(':') != std::string::npos;
    const std::string place = (ip6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
    try {
        return bind_and_listen(*resolve(host, port));
    } catch (const std::system_error& error) {
        throw std::runtime_error{"cannot listen on " + place + ": " + error.code().message()};
    } catch (const std::runtime_error& error) {
        throw std::runtime_error{"cannot listen on " + place + ": " + error.what()};
    }
}
