// Deadlines: any number of them, one timerfd.
#pragma once

#include <chrono>
#include <map>
#include <optional>

#include "common/unique_fd.hpp"

using Clock = std::chrono::steady_clock;  // CLOCK_MONOTONIC
using TimePoint = Clock::time_point;

/// Keeps deadlines in order, and rings for the earliest: what is not due costs nothing, however
/// many there are. Filing one takes O(log n).
class Timer {
public:
    /// A filed deadline: when, and whose.
    using Entry = std::multimap<TimePoint, int>::iterator;

    /// Throws std::system_error.
    Timer();

    /// Readable when an entry is due.
    int fd() const { return fd_.get(); }

    /// TimePoint::max() is never due.
    Entry add(TimePoint when, int owner) { return entries_.emplace(when, owner); }
    void move(Entry& entry, TimePoint when);
    void remove(Entry entry) { entries_.erase(entry); }

    /// The owner of the earliest entry, if it is due; to be moved or removed before the next call.
    std::optional<int> due(TimePoint now) const;

    /// Sets the alarm, where an entry comes before it: to be called before the loop sleeps. An
    /// alarm that is too early does no harm, so entries that go or move back cost no system call.
    void arm();

    /// The alarm has rung.
    void acknowledge();

private:
    UniqueFd fd_;
    std::multimap<TimePoint, int> entries_;
    TimePoint armed_ = TimePoint::max();
};
