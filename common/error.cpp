#include "common/error.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <exception>
#include <system_error>

#include "common/log.hpp"
#include "common/options.hpp"

namespace {

// A standard descriptor that is closed would be the next one to be handed out, and the log would go
// to a client. /dev/null takes its place.
void keep_standard_descriptors() {
    for (int fd = 0; fd <= STDERR_FILENO; ++fd)
        if (fcntl(fd, F_GETFD) < 0) open("/dev/null", O_RDWR);  // the lowest that is free (open(2))
}

}  // namespace

void throw_errno(const std::string& what) {
    throw std::system_error(errno, std::generic_category(), what);
}

int run_program(const char* name, const std::function<void()>& body) {
    keep_standard_descriptors();
    try {
        body();
        return 0;
    } catch (const UsageError& error) {
        log_line(name, ": ", error.what());
        return 2;
    } catch (const std::exception& error) {
        log_line(name, ": ", error.what());
        return 1;
    }
}
