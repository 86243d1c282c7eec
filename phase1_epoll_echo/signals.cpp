#include "signals.hpp"

#include <sys/signalfd.h>

#include <csignal>

#include "common/error.hpp"

Signals::Signals(std::initializer_list<int> numbers) {
    sigset_t set;
    sigemptyset(&set);
    for (const int number : numbers) sigaddset(&set, number);
    // Unblocked, a signal would still run its default action: end the process.
    check(sigprocmask(SIG_BLOCK, &set, nullptr), "sigprocmask");
    fd_ = UniqueFd{check(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC), "signalfd")};
    // send() has MSG_NOSIGNAL, but write() has nothing like it: a log whose reader is gone, or a
    // file of as many bytes as there may be (ulimit -f), is an error and not the end.
    for (const int number : {SIGPIPE, SIGXFSZ}) std::signal(number, SIG_IGN);
}

// Task 1.2: read one signalfd_siginfo; would-block means that there is none.
int Signals::next() {
    signalfd_siginfo info{};
    const ssize_t size = read(fd_.get(), &info, sizeof info);
    if (size < 0 && is_transient(errno)) return 0;
    check(size, "read from signalfd");
    return static_cast<int>(info.ssi_signo);
}
