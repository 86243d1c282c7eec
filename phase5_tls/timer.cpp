#include "timer.hpp"

#include <sys/timerfd.h>

#include "common/error.hpp"

Timer::Timer()
    : fd_{check(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), "timerfd_create")} {}

void Timer::set(int owner, TimePoint when) {
    const auto index = static_cast<std::size_t>(owner);
    if (index >= places_.size()) places_.resize(index + 1, nowhere);
    if (places_[index] == nowhere) {
        heap_.push_back({});
        places_[index] = static_cast<std::uint32_t>(heap_.size() - 1);
    }
    sift(places_[index], {when, owner});
}

TimePoint Timer::when(int owner) const {
    const std::uint32_t place = place_of(owner);
    return place == nowhere ? TimePoint::max() : heap_[place].when;
}

// The last takes the place that is free now, and goes from there to where it belongs.
void Timer::remove(int owner) {
    const std::uint32_t place = place_of(owner);
    if (place == nowhere) return;
    places_[static_cast<std::size_t>(owner)] = nowhere;
    const Entry last = heap_.back();
    heap_.pop_back();
    if (place < heap_.size()) sift(place, last);
}

std::optional<int> Timer::due(TimePoint now) {
    if (heap_.empty() || heap_[0].when > now) return std::nullopt;
    const int owner = heap_[0].owner;
    remove(owner);
    return owner;
}

std::uint32_t Timer::place_of(int owner) const {
    const auto index = static_cast<std::size_t>(owner);
    return index < places_.size() ? places_[index] : nowhere;
}

void Timer::put(std::size_t place, Entry entry) {
    heap_[place] = entry;
    places_[static_cast<std::size_t>(entry.owner)] = static_cast<std::uint32_t>(place);
}

// Up past all that is later, or else down past all that is earlier.
void Timer::sift(std::size_t place, Entry entry) {
    for (; place > 0 && entry.when < heap_[(place - 1) / 2].when; place = (place - 1) / 2)
        put(place, heap_[(place - 1) / 2]);
    for (std::size_t child = 2 * place + 1; child < heap_.size(); child = 2 * place + 1) {
        if (child + 1 < heap_.size() && heap_[child + 1].when < heap_[child].when) ++child;
        if (entry.when <= heap_[child].when) break;
        put(place, heap_[child]);
        place = child;
    }
    put(place, entry);
}

// Task 5.1: an absolute time; in the past it rings at once (timerfd_create(2)).
void Timer::arm() {
    if (heap_.empty() || heap_[0].when >= armed_) return;
    armed_ = heap_[0].when;
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
