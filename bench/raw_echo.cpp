// The limit: an echo server without any protocol. What a WebSocket server costs beyond this is its
// own doing. One thread, one epoll, one receive buffer for all connections.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <iostream>
#include <memory>
#include <span>
#include <vector>

#include "common/address.hpp"
#include "common/error.hpp"
#include "common/options.hpp"
#include "common/unique_fd.hpp"

namespace {

// Where the kernel copies to matters: an address 16 or 32 bytes after a multiple of 64, as malloc
// may give it, costs up to half as much again on some processors (AMD's, for `rep movsb`).
struct alignas(4096) Buffer : std::array<std::byte, 512 * 1024> {};

void set_option(int fd, int level, int option) {
    const int on = 1;
    check(setsockopt(fd, level, option, &on, sizeof on), "setsockopt");
}

UniqueFd listen_on(std::uint16_t port) {
    UniqueFd fd{check(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket")};
    set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
    check(listen(fd.get(), SOMAXCONN), "listen");
    return fd;
}

struct Connection {
    UniqueFd fd;
    std::vector<std::byte> unsent;  // while there is any, nothing is read
};

class RawEcho {
public:
    explicit RawEcho(std::uint16_t port) : listener_{listen_on(port)} {
        watch(EPOLL_CTL_ADD, listener_.get(), EPOLLIN, nullptr);
        std::cout << "listening on tcp://" << local_address(listener_.get()) << std::endl;
    }

    [[noreturn]] void run() {
        std::array<epoll_event, 1024> events;
        while (true) {
            const int count = epoll_wait(epoll_.get(), events.data(), events.size(), -1);
            if (count < 0 && errno != EINTR) throw_errno("epoll_wait");
            for (int i = 0; i < count; ++i) {
                auto* connection = static_cast<Connection*>(events[std::size_t(i)].data.ptr);
                if (connection == nullptr)
                    accept_all();
                else if (!(connection->unsent.empty() ? echo(*connection) : resume(*connection)))
                    delete connection;
            }
        }
    }

private:
    void watch(int operation, int fd, unsigned interest, Connection* connection) {
        epoll_event event{};
        event.events = interest;
        event.data.ptr = connection;
        check(epoll_ctl(epoll_.get(), operation, fd, &event), "epoll_ctl");
    }

    void accept_all() {
        while (true) {
            UniqueFd fd{accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
            if (!fd) return;
            set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY);
            auto connection = std::make_unique<Connection>(Connection{std::move(fd), {}});
            watch(EPOLL_CTL_ADD, connection->fd.get(), EPOLLIN, connection.get());
            static_cast<void>(connection.release());  // its events find it; its end deletes it
        }
    }

    /// Like send(2), but what the socket does not take counts as 0 bytes; -1 is a failure.
    static ssize_t send_some(const Connection& connection, std::span<const std::byte> bytes) {
        const ssize_t size = send(connection.fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        return size < 0 && is_transient(errno) ? 0 : size;
    }

    /// Returns false when the connection is over; resume() does the same.
    bool echo(Connection& connection) {
        const ssize_t size = recv(connection.fd.get(), buffer_->data(), buffer_->size(), 0);
        if (size < 0) return is_transient(errno);
        if (size == 0) return false;
        const auto received = std::span{*buffer_}.first(static_cast<std::size_t>(size));
        const ssize_t sent = send_some(connection, received);
        if (sent < 0) return false;
        if (sent == size) return true;
        const auto rest = received.subspan(static_cast<std::size_t>(sent));
        connection.unsent.assign(rest.begin(), rest.end());
        watch(EPOLL_CTL_MOD, connection.fd.get(), EPOLLOUT, &connection);
        return true;
    }

    bool resume(Connection& connection) {
        const ssize_t sent = send_some(connection, connection.unsent);
        if (sent < 0) return false;
        connection.unsent.erase(connection.unsent.begin(), connection.unsent.begin() + sent);
        if (!connection.unsent.empty()) return true;
        connection.unsent = {};
        watch(EPOLL_CTL_MOD, connection.fd.get(), EPOLLIN, &connection);
        return true;
    }

    UniqueFd listener_;
    UniqueFd epoll_{check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")};
    const std::unique_ptr<Buffer> buffer_ = std::make_unique<Buffer>();
};

}  // namespace

int main(int argc, char** argv) {
    return run_program("raw_echo", [&] {
        std::uint16_t port = 8080;
        Options options{"raw_echo", "Sends back whatever comes, without a protocol."};
        options.port("--port", "port on 127.0.0.1", port);
        if (options.parse(argc, argv)) RawEcho{port}.run();
    });
}
