// Deadlines: one for each of any number of owners, and one timerfd for all of them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "common/unique_fd.hpp"

using Clock = std::chrono::steady_clock;  // CLOCK_MONOTONIC
using TimePoint = Clock::time_point;

/// Keeps the earliest deadline in front, and rings for it: what is not due costs nothing, however
/// many there are. A binary heap: to file one or to take it off is O(log n), and an owner costs 20
/// bytes.
class Timer {
public:
    /// Throws std::system_error.
    Timer();

    /// Readable when a deadline is due.
    int fd() const { return fd_.get(); }

    /// Files an owner's deadline, in place of one that was. Owners are small numbers, such as
    /// descriptors. TimePoint::max() is never due.
    void set(int owner, TimePoint when);

    /// When the owner is due; TimePoint::max(): nothing is filed.
    TimePoint when(int owner) const;

    void remove(int owner);

    /// Takes off the earliest deadline, if it is due, and returns its owner.
    std::optional<int> due(TimePoint now);

    /// Sets the alarm, where a deadline comes before it: to be called before the loop sleeps. An
    /// alarm that is too early does no harm, so what goes or is put off costs no system call.
    void arm();

    /// The alarm has rung.
    void acknowledge();

private:
    struct Entry {
        TimePoint when;
        int owner;
    };

    static constexpr std::uint32_t nowhere = ~0U;

    std::uint32_t place_of(int owner) const;
    void put(std::size_t place, Entry entry);
    void sift(std::size_t place, Entry entry);

    UniqueFd fd_;
    std::vector<Entry> heap_;  // none is later than its children, which are at 2i + 1 and 2i + 2
    std::vector<std::uint32_t> places_;  // in heap_, by owner
    TimePoint armed_ = TimePoint::max();
};
