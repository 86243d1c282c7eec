// A file descriptor that closes itself.
#pragma once

#include <unistd.h>

#include <utility>

/// Owns one descriptor and closes it when it goes out of scope. Move-only: a descriptor closed
/// twice is somebody else's descriptor closed once.
class UniqueFd {
public:
    UniqueFd() = default;
    explicit UniqueFd(int fd) : fd_{fd} {}
    UniqueFd(UniqueFd&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        if (this != &other) reset(std::exchange(other.fd_, -1));
        return *this;
    }
    ~UniqueFd() { reset(); }

    /// The descriptor, or -1 when there is none.
    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }

    void reset(int fd = -1) {
        // close() is not tried again after EINTR: on Linux the descriptor is gone by then
        // (close(2)).
        if (fd_ >= 0) ::close(fd_);
        fd_ = fd;
    }

private:
    int fd_ = -1;
};
