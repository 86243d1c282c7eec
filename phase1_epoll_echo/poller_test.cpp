#include "poller.hpp"

#include <doctest/doctest.h>

#include <system_error>

#include "common/test_sockets.hpp"

TEST_CASE("a readable descriptor is told again until it is read: level-triggered (epoll(7))") {
    SocketPair pair;
    Poller poller;
    poller.watch(pair.ours.get(), EPOLLIN);
    CHECK(poller.wait(0).empty());

    push(pair.peer.get(), "ab");
    for (int turn = 0; turn < 3; ++turn) {
        const auto events = poller.wait(0);
        REQUIRE(events.size() == 1);
        CHECK(events[0].data.fd == pair.ours.get());
        CHECK(events[0].events == EPOLLIN);
    }
    pull(pair.ours.get(), 1);
    CHECK(poller.wait(0).size() == 1);  // half was read
    pull(pair.ours.get());
    CHECK(poller.wait(0).empty());
}

TEST_CASE("what a descriptor is watched for can be changed") {
    SocketPair pair;
    Poller poller;
    push(pair.peer.get(), "a");
    poller.watch(pair.ours.get(), EPOLLOUT);
    REQUIRE(poller.wait(0).size() == 1);
    CHECK(poller.wait(0)[0].events == EPOLLOUT);

    poller.watch(pair.ours.get(), EPOLLIN | EPOLLOUT);
    REQUIRE(poller.wait(0).size() == 1);
    CHECK(poller.wait(0)[0].events == (EPOLLIN | EPOLLOUT));

    poller.watch(pair.ours.get(), 0);
    CHECK(poller.wait(0).empty());
}

TEST_CASE("a hang-up is told even to who waits for nothing (epoll_ctl(2))") {
    SocketPair pair;
    Poller poller;
    poller.watch(pair.ours.get(), 0);
    pair.peer.reset();
    REQUIRE(poller.wait(0).size() == 1);
    CHECK((poller.wait(0)[0].events & EPOLLHUP) != 0);
}

TEST_CASE("asking for what is armed already makes no system call") {
    SocketPair pair;
    Poller poller;
    const int fd = pair.ours.get();
    poller.watch(fd, EPOLLIN);
    pair.ours.reset();
    CHECK_NOTHROW(poller.watch(fd, EPOLLIN));  // epoll_ctl would have found it closed
    CHECK_THROWS_WITH_AS(poller.watch(fd, EPOLLOUT), "epoll_ctl: Bad file descriptor",
                         std::system_error);
}

TEST_CASE("a descriptor that was closed and forgotten may be watched under its number again") {
    SocketPair first;
    Poller poller;
    const int fd = first.ours.get();
    poller.watch(fd, EPOLLIN);
    first.ours.reset();
    poller.forget(fd);

    SocketPair second;
    REQUIRE(second.ours.get() == fd);  // the lowest free number (open(2))
    poller.watch(fd, EPOLLIN);
    push(second.peer.get(), "a");
    CHECK(poller.wait(0).size() == 1);
}

TEST_CASE("of many descriptors, those that are ready are told") {
    std::vector<SocketPair> pairs(300);
    Poller poller;
    for (const SocketPair& pair : pairs) poller.watch(pair.ours.get(), EPOLLIN);
    push(pairs[7].peer.get(), "a");
    push(pairs[299].peer.get(), "a");
    CHECK(poller.wait(0).size() == 2);

    for (const SocketPair& pair : pairs) push(pair.peer.get(), "a");
    std::size_t told = 0;  // more than fit into one batch: the others come with the next
    for (auto events = poller.wait(0); !events.empty(); events = poller.wait(0)) {
        told += events.size();
        for (const epoll_event& event : events) pull(event.data.fd);
    }
    CHECK(told == 300);
}

TEST_CASE("a wait ends when its time is over") {
    Poller poller;
    CHECK(poller.wait(1).empty());
}
