#include "timer.hpp"

#include <doctest/doctest.h>
#include <poll.h>

namespace {

using namespace std::chrono_literals;

const TimePoint start{1000h};  // a made-up time, for what does not ring

/// Whether the alarm rings within the time that is given.
bool rings(const Timer& timer, std::chrono::milliseconds within) {
    pollfd entry{timer.fd(), POLLIN, 0};
    return poll(&entry, 1, static_cast<int>(within.count())) == 1;
}

}  // namespace

TEST_CASE("what is due comes in the order of its time") {
    Timer timer;
    CHECK(!timer.due(start));
    timer.add(start + 2s, 2);
    auto first = timer.add(start + 1s, 1);
    timer.add(start + 3s, 3);

    CHECK(!timer.due(start));
    CHECK(!timer.due(start + 1s - 1ns));
    CHECK(timer.due(start + 1s) == 1);
    CHECK(timer.due(start + 5s) == 1);
    timer.remove(first);
    CHECK(!timer.due(start + 1s));
    CHECK(timer.due(start + 5s) == 2);
}

TEST_CASE("an entry that is moved comes at its new time") {
    Timer timer;
    auto entry = timer.add(start + 1s, 1);
    timer.add(start + 2s, 2);
    timer.move(entry, start + 3s);
    CHECK(entry->first == start + 3s);
    CHECK(timer.due(start + 3s) == 2);
    timer.move(entry, start);
    CHECK(timer.due(start) == 1);
    timer.remove(entry);
    CHECK(!timer.due(start + 1s));
}

TEST_CASE("several may be due at the same time") {
    Timer timer;
    auto one = timer.add(start, 1);
    auto two = timer.add(start, 2);
    CHECK(timer.due(start) == 1);
    timer.move(one, start);  // to the end of those
    CHECK(timer.due(start) == 2);
    timer.remove(two);
    CHECK(timer.due(start) == 1);
}

TEST_CASE("an entry without a time is never due") {
    Timer timer;
    timer.add(TimePoint::max(), 1);
    timer.arm();
    CHECK(!timer.due(start + 10'000h));
    CHECK(!rings(timer, 0ms));
}

TEST_CASE("the alarm rings when the earliest is due, and not before") {
    Timer timer;
    timer.add(Clock::now() + 1h, 1);
    timer.arm();
    CHECK(!rings(timer, 0ms));

    const TimePoint due = Clock::now() + 20ms;
    timer.add(due, 2);
    timer.arm();
    CHECK(rings(timer, 10s));
    CHECK(Clock::now() >= due);
    CHECK(timer.due(Clock::now()) == 2);
}

TEST_CASE("what is due already rings at once") {
    Timer timer;
    timer.add(Clock::now() - 1s, 1);
    timer.arm();
    CHECK(rings(timer, 10s));
}

TEST_CASE("an alarm that has rung is silent until the next is due") {
    Timer timer;
    auto entry = timer.add(Clock::now(), 1);
    timer.arm();
    CHECK(rings(timer, 10s));
    timer.move(entry, Clock::now() + 1h);
    timer.acknowledge();
    timer.arm();
    CHECK(!rings(timer, 0ms));
    timer.acknowledge();  // that nothing rang does no harm

    timer.move(entry, Clock::now());
    timer.arm();
    CHECK(rings(timer, 10s));
}

TEST_CASE("an entry that goes leaves an alarm that is too early, and the next is not missed") {
    Timer timer;
    auto gone = timer.add(Clock::now() + 10ms, 1);
    const TimePoint due = Clock::now() + 30ms;
    timer.add(due, 2);
    timer.arm();
    timer.remove(gone);
    CHECK(rings(timer, 10s));
    timer.acknowledge();
    timer.arm();
    CHECK(rings(timer, 10s));
    CHECK(timer.due(Clock::now()) == 2);
}
