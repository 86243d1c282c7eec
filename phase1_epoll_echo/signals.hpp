// Signals as something to read.
#pragma once

#include <initializer_list>

#include "common/unique_fd.hpp"

/// While one of these exists, the given signals no longer interrupt anything: they wait in a
/// descriptor, which epoll watches like any other (signalfd(2)). SIGPIPE and SIGXFSZ are ignored
/// from then on: a write that can't be done is an error (EPIPE, EFBIG), and ends nothing.
class Signals {
public:
    /// Throws std::system_error.
    explicit Signals(std::initializer_list<int> numbers);

    int fd() const { return fd_.get(); }

    /// The number of a signal that has come, or 0 when none is left.
    int next();

private:
    UniqueFd fd_;
};
