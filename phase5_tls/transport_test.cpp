#include "transport.hpp"

#include <doctest/doctest.h>

#include <climits>

#include "common/test_sockets.hpp"

namespace {

using Status = IoResult::Status;

/// A transport, and the peer's end of it.
struct Link {
    SocketPair pair;
    int peer = pair.peer.get();
    int ours = pair.ours.get();
    PlainTransport transport{std::move(pair.ours)};
    Bytes buffer = Bytes(100);

    IoResult send(std::string_view text) {
        Bytes bytes = to_bytes(text);
        const iovec slice{bytes.data(), bytes.size()};
        return transport.send({&slice, 1});
    }
};

}  // namespace

// Beside IoResult: doctest's templates would not find it in an unnamed namespace.
static bool operator==(const IoResult& left, const IoResult& right) {
    return left.size == right.size && left.status == right.status;
}

TEST_CASE("a read gives what is there, and epoll tells when there is more") {
    Link link;
    CHECK(link.transport.receive(link.buffer) == IoResult{0, Status::want_read});
    push(link.peer, "hello");
    CHECK(link.transport.receive(link.buffer) == IoResult{5, Status::want_read});
    CHECK(to_text(std::span{link.buffer}.first(5)) == "hello");

    push(link.peer, pattern(150));
    CHECK(link.transport.receive(link.buffer) == IoResult{100, Status::want_read});
    CHECK(link.transport.receive(link.buffer) == IoResult{50, Status::want_read});
}

TEST_CASE("the end of the peer's stream is told, and so is its loss") {
    Link ends;
    push(ends.peer, "bye");
    shutdown(ends.peer, SHUT_WR);
    CHECK(ends.transport.receive(ends.buffer).size == 3);
    CHECK(ends.transport.receive(ends.buffer) == IoResult{0, Status::ended});

    Link gone;
    push(gone.ours, "unread");
    gone.pair.peer.reset();
    CHECK(gone.transport.receive(gone.buffer) == IoResult{0, Status::gone});
    CHECK(gone.send("hello") == IoResult{0, Status::gone});  // and no SIGPIPE
}

TEST_CASE("slices leave in their order, as one") {
    Link link;
    Bytes hello = to_bytes("hello ");
    Bytes world = to_bytes("world");
    const iovec slices[] = {{hello.data(), 6}, {nullptr, 0}, {world.data(), 5}};
    CHECK(link.transport.send(slices).size == 11);
    CHECK(pull_text(link.peer) == "hello world");
    CHECK(link.transport.send({}).size == 0);
}

TEST_CASE("more slices than the kernel takes at once are sent in part") {
    Link link;
    Bytes byte = to_bytes("a");
    const std::vector<iovec> slices(IOV_MAX + 10, iovec{byte.data(), 1});
    CHECK(link.transport.send(slices).size == IOV_MAX);
    CHECK(pull(link.peer).size() == IOV_MAX);
}

TEST_CASE("a full socket wants to be writable") {
    Link link;
    const std::string large(10 << 20, 'a');
    const IoResult part = link.send(large);
    CHECK(part.size > 0);
    CHECK(part.size < large.size());
    CHECK(link.send(large) == IoResult{0, Status::want_write});
    CHECK(!link.transport.has_unsent());
    CHECK(pull(link.peer).size() == part.size);
    CHECK(link.send("again").size == 5);
}

TEST_CASE("our stream can be ended, and the peer's be read on") {
    Link link;
    CHECK(link.transport.ready());
    link.send("bye");
    CHECK(link.transport.shut_down());
    CHECK(pull_text(link.peer) == "bye");
    CHECK(at_end(link.peer));
    push(link.peer, "more");
    CHECK(link.transport.receive(link.buffer).size == 4);
}
