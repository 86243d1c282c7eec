// epoll(7), level-triggered.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "common/unique_fd.hpp"

class Poller {
public:
    Poller();

    /// Waits for `events` (EPOLLIN, EPOLLOUT, or 0: only errors) on a descriptor from now on.
    /// Asking for what is armed already costs no system call. Throws std::system_error.
    void watch(int fd, std::uint32_t events);

    /// To be called when a watched descriptor is closed; close() itself takes it out of epoll.
    void forget(int fd);

    /// Sleeps until something is ready or the timeout is over (milliseconds; -1: none). The events,
    /// whose data.fd is the descriptor, are valid until the next call.
    std::span<const epoll_event> wait(int timeout_ms);

private:
    static constexpr std::uint32_t unwatched = ~0U;

    UniqueFd epoll_;
    std::vector<std::uint32_t> armed_;  // what each descriptor is armed for, by its number
    std::array<epoll_event, 1024> ready_{};
};
