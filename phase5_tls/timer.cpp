#include "timer.hpp"

#include <sys/timerfd.h>

#include <cstdint>

#include "common/error.hpp"

Timer::Timer()
    : fd_{check(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), "timerfd_create")} {}

void Timer::move(Entry& entry, TimePoint when) {
    auto node = entries_.extract(entry);
    node.key() = when;
    entry = entries_.insert(std::move(node));
}

std::optional<int> Timer::due(TimePoint now) const {
    if (entries_.empty() || entries_.begin()->first > now) return std::nullopt;
    return entries_.begin()->second;
}

// Task 5.1: an absolute time; in the past it rings at once (timerfd_create(2)).
void Timer::arm() {
    if (entries_.empty() || entries_.begin()->first >= armed_) return;
    armed_ = entries_.begin()->first;
    const auto since_boot = std::chrono::nanoseconds{armed_.time_since_epoch()};
    const auto seconds = std::chrono::floor<std::chrono::seconds>(since_boot);
    itimerspec alarm{};
    alarm.it_value.tv_sec = seconds.count();
    alarm.it_value.tv_nsec = (since_boot - seconds).count();
    check(timerfd_settime(fd_.get(), TFD_TIMER_ABSTIME, &alarm, nullptr), "timerfd_settime");
}

void Timer::acknowledge() {
    std::uint64_t rings = 0;
    if (read(fd_.get(), &rings, sizeof rings) < 0 && !is_transient(errno))
        throw_errno("read from timerfd");
    armed_ = TimePoint::max();
}
