#include "common/log.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdio>
#include <span>

#include "common/unique_fd.hpp"

namespace {

bool has_room() {
    pollfd entry{STDERR_FILENO, POLLOUT, 0};
    return poll(&entry, 1, 0) == 1 && entry.revents == POLLOUT;
}

// O_NONBLOCK belongs to the open file description, which stderr shares with others, such as the
// shell (open(2)). So a pipe or a terminal is opened again for the line. Where that is not allowed,
// because it is another user's, it is asked for room: for PIPE_BUF bytes, if it is a pipe.
ssize_t write_to_device(std::span<const iovec> parts) {
    const UniqueFd own{
        open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)};  // proc(5)
    if (!own && !has_room()) return -1;
    return writev(own ? own.get() : STDERR_FILENO, parts.data(), static_cast<int>(parts.size()));
}

// How many bytes were taken; -1: none.
ssize_t write_now(std::span<const iovec> parts) {
    struct stat file {};
    if (fstat(STDERR_FILENO, &file) < 0) return -1;
    if (S_ISFIFO(file.st_mode) || S_ISCHR(file.st_mode)) return write_to_device(parts);
    if (!S_ISSOCK(file.st_mode))  // a file: it has room, or fails at once
        return writev(STDERR_FILENO, parts.data(), static_cast<int>(parts.size()));
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(parts.data());
    message.msg_iovlen = parts.size();
    return sendmsg(STDERR_FILENO, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

iovec slice(std::string_view text) {
    return {const_cast<char*>(text.data()), text.size()};  // iovec has no const
}

}  // namespace

void write_line(std::string_view text) noexcept {
    static std::size_t dropped = 0;  // since the last line that was written
    static bool torn = false;        // of the last one that was not, a part was
    std::array<char, 64> notice{};
    if (dropped > 0)
        std::snprintf(notice.data(), notice.size(), "%s(log lines dropped: %zu)\n",
                      torn ? "\n" : "", dropped);
    const std::array parts{slice(notice.data()), slice(text), slice("\n")};
    std::size_t size = 0;
    for (const iovec& part : parts) size += part.iov_len;
    const ssize_t written = write_now(parts);
    if (written > 0) torn = static_cast<std::size_t>(written) < size;
    dropped = written > 0 && !torn ? 0 : dropped + 1;
}
