// Another stderr for the length of a test.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <string>

#include "common/error.hpp"
#include "common/unique_fd.hpp"

/// While one of these exists, `fd` is stderr; -1: there is none.
class StderrIs {
public:
    explicit StderrIs(int fd) : before_{check(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3), "fcntl")} {
        if (fd < 0)
            ::close(STDERR_FILENO);
        else
            check(dup2(fd, STDERR_FILENO), "dup2");
    }
    StderrIs(const StderrIs&) = delete;
    StderrIs& operator=(const StderrIs&) = delete;
    ~StderrIs() { dup2(before_.get(), STDERR_FILENO); }

private:
    UniqueFd before_;
};

struct Pipe {
    UniqueFd reader;
    UniqueFd writer;

    Pipe() {
        int fds[2];
        check(pipe2(fds, O_CLOEXEC), "pipe2");
        reader.reset(fds[0]);
        writer.reset(fds[1]);
    }
};

/// All that can be read now, without waiting.
inline std::string read_all(int fd) {
    std::string text;
    std::array<char, 4096> buffer{};
    fcntl(fd, F_SETFL, O_NONBLOCK);
    for (ssize_t size = 0; (size = read(fd, buffer.data(), buffer.size())) > 0;)
        text.append(buffer.data(), static_cast<std::size_t>(size));
    return text;
}
