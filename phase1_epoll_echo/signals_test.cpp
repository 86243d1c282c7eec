#include "signals.hpp"

#include <doctest/doctest.h>
#include <poll.h>

#include <cerrno>
#include <csignal>

#include "common/test_stderr.hpp"

namespace {

bool is_readable(int fd) {
    pollfd entry{fd, POLLIN, 0};
    return poll(&entry, 1, 0) == 1;
}

}  // namespace

TEST_CASE("a signal waits to be read, once, and ends nothing") {
    Signals signals{SIGUSR1, SIGTERM};
    CHECK(!is_readable(signals.fd()));
    CHECK(signals.next() == 0);

    raise(SIGTERM);  // would end the process, were it not blocked
    CHECK(is_readable(signals.fd()));
    CHECK(signals.next() == SIGTERM);
    CHECK(signals.next() == 0);
    CHECK(!is_readable(signals.fd()));
}

TEST_CASE("different signals are told one by one") {
    Signals signals{SIGUSR1, SIGUSR2};
    raise(SIGUSR2);
    raise(SIGUSR1);
    const int first = signals.next();
    const int second = signals.next();
    CHECK(first + second == SIGUSR1 + SIGUSR2);
    CHECK(first != second);
    CHECK(signals.next() == 0);
}

TEST_CASE("a signal can come again") {
    Signals signals{SIGUSR1};
    for (int i = 0; i < 2; ++i) {
        raise(SIGUSR1);
        CHECK(signals.next() == SIGUSR1);
        CHECK(signals.next() == 0);
    }
}

TEST_CASE("a write to a pipe without a reader is an error, and no signal") {
    const Signals signals{SIGUSR1};
    Pipe pipe;
    pipe.reader.reset();
    CHECK(write(pipe.writer.get(), "a", 1) == -1);
    CHECK(errno == EPIPE);
}
