#include "key_log.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "common/error.hpp"
#include "common/log.hpp"

namespace {

std::string path() {
    const char* name = secure_getenv("SSLKEYLOGFILE");
    return name ? name : "";
}

int file() {
    static const UniqueFd one = open_key_log(path());
    return one.get();
}

/// One call for the line: whoever else appends to this file, a browser perhaps, writes whole lines,
/// too.
void write_key(const SSL*, const char* line) {
    static bool failed = false;
    const std::size_t size = std::strlen(line);
    char newline = '\n';
    const std::array<iovec, 2> parts{iovec{const_cast<char*>(line), size}, iovec{&newline, 1}};
    const ssize_t written = writev(file(), parts.data(), parts.size());
    if (written == static_cast<ssize_t>(size + 1) || failed) return;
    failed = true;
    log_line("SSLKEYLOGFILE: keys are missing: ",
             written < 0 ? std::strerror(errno) : "a line was cut short");
}

}  // namespace

void log_keys(SSL_CTX* context) {
    if (path().empty()) return;
    file();
    SSL_CTX_set_keylog_callback(context, write_key);
}

// A file that others can read is refused, not changed: who has opened it already would read on.
UniqueFd open_key_log(const std::string& path) {
    // O_NONBLOCK: a FIFO without a reader must not stop us here; with one, it is no file either.
    constexpr int flags = O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    UniqueFd opened{open(path.c_str(), flags, S_IRUSR | S_IWUSR)};
    if (!opened) throw_errno("cannot open SSLKEYLOGFILE " + path);
    struct stat info {};
    check(fstat(opened.get(), &info), "fstat");
    if (!S_ISREG(info.st_mode))
        throw std::runtime_error{"cannot use SSLKEYLOGFILE " + path + ": not a regular file"};
    if (info.st_uid != geteuid() || (info.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        throw std::runtime_error{"cannot use SSLKEYLOGFILE " + path +
                                 ": others can read it (chmod 600)"};
    return opened;
}
