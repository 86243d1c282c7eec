#include "common/log.hpp"

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/resource.h>
#include <termios.h>

#include <csignal>
#include <cstdlib>

#include "common/test_sockets.hpp"
#include "common/test_stderr.hpp"

namespace {

/// Writes through another description of the same file until it takes no more.
void fill_device(const std::string& path) {
    const UniqueFd fd{check(open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY), "open")};
    for (const std::size_t size : {4096U, 1U})
        while (write(fd.get(), std::string(size, '.').data(), size) > 0)
            ;
}

std::string path_of(int fd) {
    return "/proc/self/fd/" + std::to_string(fd);
}

/// A terminal: what its reader is shown, and the program's side of it.
struct Terminal {
    UniqueFd screen{check(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), "posix_openpt")};
    UniqueFd program;

    Terminal() {
        check(grantpt(screen.get()), "grantpt");
        check(unlockpt(screen.get()), "unlockpt");
        program.reset(check(open(ptsname(screen.get()), O_RDWR | O_NOCTTY | O_CLOEXEC), "open"));
    }

    /// What comes until nothing more does: the kernel moves it in the background.
    std::string shown() const {
        std::string text;
        pollfd entry{screen.get(), POLLIN, 0};
        while (poll(&entry, 1, 50) == 1) text += read_all(screen.get());
        return text;
    }
};

/// As root, any file can be opened again; not so where no descriptor is left.
struct NoDescriptors {
    rlimit before{};

    NoDescriptors() {
        check(getrlimit(RLIMIT_NOFILE, &before), "getrlimit");
        const UniqueFd lowest{check(dup(STDOUT_FILENO), "dup")};
        const rlimit none{static_cast<rlim_t>(lowest.get()), before.rlim_max};
        check(setrlimit(RLIMIT_NOFILE, &none), "setrlimit");
    }
    ~NoDescriptors() { setrlimit(RLIMIT_NOFILE, &before); }
};

}  // namespace

TEST_CASE("a line is made of its parts") {
    const Pipe pipe;
    const StderrIs own{pipe.writer.get()};
    log_line("127.0.0.1:4000", " ended: ", 17U, " bytes in, after ", 0.25, " s");
    CHECK(read_all(pipe.reader.get()) == "127.0.0.1:4000 ended: 17 bytes in, after 0.25 s\n");
}

TEST_CASE("a line stays one line, whatever is quoted in it") {
    const Pipe pipe;
    const StderrIs own{pipe.writer.get()};
    log_line("--port takes a number, not '", "8080\n\r\t\x1b[2J\x7f", "', gr\u00fc\u00dfe");
    CHECK(read_all(pipe.reader.get()) ==
          "--port takes a number, not '8080????[2J?', gr\u00fc\u00dfe\n");
}

TEST_CASE("a line that is too long is cut") {
    const Pipe pipe;
    const StderrIs own{pipe.writer.get()};
    log_line(std::string(10'000, 'a'), "b");
    log_line("c");
    CHECK(read_all(pipe.reader.get()) == std::string(max_log_line, 'a') + "\nc\n");
}

TEST_CASE("a pipe that nobody reads: lines are dropped, and counted for the next one") {
    const Pipe pipe;
    const StderrIs own{pipe.writer.get()};
    fill_device(path_of(pipe.writer.get()));
    log_line("one");
    log_line("two");
    read_all(pipe.reader.get());
    log_line("three");
    log_line("four");
    CHECK(read_all(pipe.reader.get()) == "(log lines dropped: 2)\nthree\nfour\n");
}

TEST_CASE("whoever shares stderr does not get a descriptor that no longer waits") {
    const Pipe pipe;
    const StderrIs own{pipe.writer.get()};
    log_line("a line");
    CHECK((fcntl(pipe.writer.get(), F_GETFL) & O_NONBLOCK) == 0);
}

TEST_CASE("a full pipe that can't be opened again is not waited for either") {
    const Pipe pipe;
    const StderrIs own{pipe.writer.get()};
    const NoDescriptors none;
    log_line("one");
    CHECK(read_all(pipe.reader.get()) == "one\n");
    fcntl(pipe.writer.get(), F_SETFL, O_NONBLOCK);
    while (write(pipe.writer.get(), "....", 4) > 0)
        ;
    fcntl(pipe.writer.get(), F_SETFL, 0);
    log_line("two");
    read_all(pipe.reader.get());
    log_line("three");
    CHECK(read_all(pipe.reader.get()) == "(log lines dropped: 1)\nthree\n");
}

TEST_CASE("a pipe whose reader is gone takes nothing, and ends nothing") {
    std::signal(SIGPIPE, SIG_IGN);  // as Signals does
    const Pipe next;
    {
        Pipe pipe;
        const StderrIs own{pipe.writer.get()};
        pipe.reader.reset();
        log_line("nobody hears this");
    }
    const StderrIs own{next.writer.get()};
    log_line("this is heard");
    CHECK(read_all(next.reader.get()) == "(log lines dropped: 1)\nthis is heard\n");
}

TEST_CASE("a terminal that was stopped, with Ctrl-S") {
    const Terminal terminal;
    const StderrIs own{terminal.program.get()};
    check(tcflow(terminal.program.get(), TCOOFF), "tcflow");
    log_line("one");
    check(tcflow(terminal.program.get(), TCOON), "tcflow");
    log_line("two");
    CHECK(terminal.shown() == "(log lines dropped: 1)\r\ntwo\r\n");
}

TEST_CASE("a terminal that nobody reads: a line that was cut short is ended") {
    const Terminal terminal;
    const StderrIs own{terminal.program.get()};
    const std::string line(3000, 'a');
    for (int i = 0; i < 100; ++i) log_line(line);  // more than it holds
    std::string shown = terminal.shown();
    std::size_t whole = 0;
    while (shown.starts_with(line + "\r\n")) {
        shown.erase(0, line.size() + 2);
        ++whole;
    }
    CHECK(whole > 0);
    CHECK(whole < 100);
    log_line("after that");
    shown += terminal.shown();
    CHECK(shown.find_first_not_of("a\r\n") == shown.find('('));
    CHECK(shown.ends_with("\r\n(log lines dropped: " + std::to_string(100 - whole) +
                          ")\r\nafter that\r\n"));
}

TEST_CASE("a terminal that is closed") {
    {
        Terminal terminal;
        const StderrIs own{terminal.program.get()};
        terminal.screen.reset();
        log_line("nobody sees this");
    }
    const Pipe pipe;
    const StderrIs own{pipe.writer.get()};
    log_line("after that");
    CHECK(read_all(pipe.reader.get()) == "(log lines dropped: 1)\nafter that\n");
}

TEST_CASE("a socket that nobody reads, as a log daemon's") {
    SocketPair sockets;
    fcntl(sockets.ours.get(), F_SETFL, 0);  // it would wait
    const StderrIs own{sockets.ours.get()};
    log_line("one");
    CHECK(pull_text(sockets.peer.get()) == "one\n");
    fcntl(sockets.ours.get(), F_SETFL, O_NONBLOCK);
    fill(sockets.ours.get());
    fcntl(sockets.ours.get(), F_SETFL, 0);
    log_line("two");
    pull(sockets.peer.get());
    log_line("three");
    CHECK(pull_text(sockets.peer.get()) == "(log lines dropped: 1)\nthree\n");
}

TEST_CASE("a full disk, and no stderr at all") {
    const Pipe pipe;
    {
        const UniqueFd full{check(open("/dev/full", O_WRONLY | O_CLOEXEC), "open")};
        const StderrIs own{full.get()};
        log_line("no space left");
    }
    {
        const StderrIs own{-1};
        log_line("nowhere");
    }
    const StderrIs own{pipe.writer.get()};
    log_line("after that");
    CHECK(read_all(pipe.reader.get()) == "(log lines dropped: 2)\nafter that\n");
}

TEST_CASE("a file is written where it ends, though it was not opened for appending") {
    std::string name = "/tmp/log_test.XXXXXX";
    const UniqueFd file{check(mkstemp(name.data()), "mkstemp")};
    const StderrIs own{file.get()};
    CHECK(write(file.get(), "before\n", 7) == 7);
    log_line("a line");
    CHECK(write(file.get(), "after\n", 6) == 6);
    check(lseek(file.get(), 0, SEEK_SET), "lseek");
    CHECK(read_all(file.get()) == "before\na line\nafter\n");
    unlink(name.c_str());
}
