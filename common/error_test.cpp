#include "common/error.hpp"

#include <doctest/doctest.h>

#include <system_error>

#include "common/options.hpp"
#include "common/test_stderr.hpp"

namespace {

/// What a program prints on stderr, and how it ends.
struct Outcome {
    int status;
    std::string complaint;
};

Outcome run(const std::function<void()>& body) {
    const Pipe pipe;
    const StderrIs own{pipe.writer.get()};
    const int status = run_program("phase1", body);
    return {status, read_all(pipe.reader.get())};
}

}  // namespace

TEST_CASE("a failed call is told by its name and its reason") {
    CHECK_THROWS_WITH_AS(check(close(-1), "close"), "close: Bad file descriptor",
                         std::system_error);
}

TEST_CASE("a call that succeeds gives its result back") {
    CHECK(check(0, "call") == 0);
    CHECK(check(7L, "call") == 7L);
}

TEST_CASE("a call that is merely not its time is told from one that has failed") {
    CHECK(is_transient(EAGAIN));
    CHECK(is_transient(EWOULDBLOCK));
    CHECK(is_transient(EINTR));
    CHECK(!is_transient(EPIPE));
    CHECK(!is_transient(ECONNRESET));
    CHECK(!is_transient(0));
}

TEST_CASE("a program that comes to its end exits with 0 and says nothing") {
    const Outcome outcome = run([] {});
    CHECK(outcome.status == 0);
    CHECK(outcome.complaint == "");
}

TEST_CASE("a program that fails exits with 1 and one line") {
    const Outcome outcome = run([] { throw std::runtime_error{"cannot listen on [::1]:80: no"}; });
    CHECK(outcome.status == 1);
    CHECK(outcome.complaint == "phase1: cannot listen on [::1]:80: no\n");
}

TEST_CASE("a program that is called wrongly exits with 2 and one line") {
    const Outcome outcome = run([] { throw UsageError{"unknown flag --bogus"}; });
    CHECK(outcome.status == 2);
    CHECK(outcome.complaint == "phase1: unknown flag --bogus\n");
}

TEST_CASE("a standard descriptor that is closed is not handed out to anything else") {
    const StderrIs none{-1};
    int opened = -1;
    run_program("phase1", [&] {
        opened = dup(STDOUT_FILENO);
        close(opened);
    });
    CHECK(opened > STDERR_FILENO);
}
