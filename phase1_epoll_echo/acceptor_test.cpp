#include "acceptor.hpp"

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/resource.h>

#include <string>
#include <vector>

#include "common/error.hpp"

namespace {

UniqueFd connect_to(const std::string& address) {
    sockaddr_in place{};
    place.sin_family = AF_INET;
    place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    place.sin_port =
        htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
    UniqueFd client{check(socket(AF_INET, SOCK_STREAM, 0), "socket")};
    check(connect(client.get(), reinterpret_cast<const sockaddr*>(&place), sizeof place),
          "connect");
    return client;
}

struct Inn {
    Poller poller{};
    Acceptor acceptor{poller, "127.0.0.1", 0};
    std::vector<UniqueFd> guests{};

    UniqueFd connect() { return connect_to(acceptor.addresses()[0]); }

    /// One turn of a loop; returns how many events there were.
    std::size_t turn(int timeout_ms = 0) {
        const auto events = poller.wait(timeout_ms);
        for (const epoll_event& event : events) {
            REQUIRE(acceptor.owns(event.data.fd));
            acceptor.accept_clients(event.data.fd, [&](UniqueFd socket, const sockaddr_storage&) {
                guests.push_back(std::move(socket));
            });
        }
        return events.size();
    }
};

/// While it lives, no descriptor can be opened.
class NoDescriptors {
public:
    NoDescriptors() {
        getrlimit(RLIMIT_NOFILE, &before_);
        const rlimit none{3, before_.rlim_max};
        setrlimit(RLIMIT_NOFILE, &none);
    }
    ~NoDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_{};
};

}  // namespace

TEST_CASE("a turn lets in so many and no more; epoll tells again of who still waits") {
    Inn inn;
    std::vector<UniqueFd> clients;
    for (int i = 0; i < Acceptor::clients_per_turn + 1; ++i) clients.push_back(inn.connect());
    inn.turn(1000);
    CHECK(inn.guests.size() == Acceptor::clients_per_turn);
    inn.turn(1000);
    CHECK(inn.guests.size() == clients.size());
    CHECK(inn.turn() == 0);
}

TEST_CASE("out of descriptors it looks away, until it is told to look again") {
    Inn inn;
    const UniqueFd client = inn.connect();
    {
        const NoDescriptors none;
        inn.turn(1000);
    }
    CHECK(inn.acceptor.is_paused());
    CHECK(inn.guests.empty());
    CHECK(inn.turn() == 0);  // though the client still waits
    inn.acceptor.resume();
    CHECK(inn.turn(1000) == 1);
    CHECK(inn.guests.size() == 1);
}

TEST_CASE("a second later it looks again by itself") {
    Inn inn;
    const UniqueFd client = inn.connect();
    inn.acceptor.pause();
    const auto now = Acceptor::Clock::now();
    inn.acceptor.resume_when_due(now);
    CHECK(inn.turn() == 0);
    inn.acceptor.resume_when_due(now + std::chrono::milliseconds{1100});
    CHECK(inn.turn(1000) == 1);
}

TEST_CASE("once closed, it lets nobody in") {
    Inn inn;
    const std::string address = inn.acceptor.addresses()[0];
    inn.acceptor.close();
    CHECK(inn.acceptor.addresses().empty());
    CHECK_THROWS(connect_to(address));
    inn.acceptor.resume();
    CHECK(inn.turn() == 0);
}
