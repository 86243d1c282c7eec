#include "timer.hpp"

#include <doctest/doctest.h>
#include <poll.h>

#include <algorithm>
#include <map>
#include <random>

namespace {

using namespace std::chrono_literals;

const TimePoint start{1000h};  // a made-up time, for what does not ring

/// Whether the alarm rings within the time that is given.
bool rings(const Timer& timer, std::chrono::milliseconds within) {
    pollfd entry{timer.fd(), POLLIN, 0};
    return poll(&entry, 1, static_cast<int>(within.count())) == 1;
}

}  // namespace

TEST_CASE("what is due comes in the order of its time, and once") {
    Timer timer;
    CHECK(!timer.due(start));
    timer.set(2, start + 2s);
    timer.set(1, start + 1s);
    timer.set(3, start + 3s);

    CHECK(!timer.due(start));
    CHECK(!timer.due(start + 1s - 1ns));
    CHECK(timer.due(start + 1s) == 1);
    CHECK(!timer.due(start + 1s));
    CHECK(timer.due(start + 5s) == 2);
    CHECK(timer.due(start + 5s) == 3);
    CHECK(!timer.due(start + 5s));
}

TEST_CASE("an owner has one deadline: the one that was set last") {
    Timer timer;
    CHECK(timer.when(1) == TimePoint::max());
    timer.set(1, start + 1s);
    timer.set(2, start + 2s);
    timer.set(1, start + 3s);
    CHECK(timer.when(1) == start + 3s);
    CHECK(timer.due(start + 3s) == 2);
    timer.set(1, start);
    CHECK(timer.due(start) == 1);
    CHECK(!timer.due(start + 10h));
    CHECK(timer.when(1) == TimePoint::max());
}

TEST_CASE("what is removed is not due; an owner without a deadline may be removed") {
    Timer timer;
    timer.set(1, start);
    timer.set(2, start + 1s);
    timer.remove(1);
    timer.remove(1);
    timer.remove(1000);
    CHECK(timer.when(1) == TimePoint::max());
    CHECK(timer.due(start + 1s) == 2);
    CHECK(!timer.due(start + 1s));
}

TEST_CASE("several may be due at the same time") {
    Timer timer;
    timer.set(1, start);
    timer.set(2, start);
    const int first = timer.due(start).value();
    const int second = timer.due(start).value();
    CHECK(first + second == 3);
    CHECK(!timer.due(start));
}

TEST_CASE("whatever is done, the earliest is what a map would say") {
    std::mt19937 random{6455};
    Timer timer;
    std::map<int, TimePoint> model;
    const auto is_earlier = [](const auto& left, const auto& right) {
        return left.second < right.second;
    };
    for (int step = 0; step < 20'000; ++step) {
        const int owner = static_cast<int>(random() % 50);
        if (random() % 3 == 0) {
            timer.remove(owner);
            model.erase(owner);
        } else {
            model[owner] = start + std::chrono::seconds{random() % 1000};
            timer.set(owner, model[owner]);
        }
        REQUIRE(timer.when(owner) == (model.contains(owner) ? model[owner] : TimePoint::max()));
        if (model.empty() || random() % 4 != 0) continue;
        const auto earliest = std::min_element(model.begin(), model.end(), is_earlier)->second;
        REQUIRE(!timer.due(earliest - 1ns));
        const auto due = timer.due(earliest);
        REQUIRE(due);
        REQUIRE(model.at(*due) == earliest);
        model.erase(*due);
    }
}

TEST_CASE("TimePoint::max() is never due") {
    Timer timer;
    timer.set(1, TimePoint::max());
    timer.arm();
    CHECK(!timer.due(start + 10'000h));
    CHECK(!rings(timer, 0ms));
}

TEST_CASE("the alarm rings when the earliest is due, and not before") {
    Timer timer;
    timer.set(1, Clock::now() + 1h);
    timer.arm();
    CHECK(!rings(timer, 0ms));

    const TimePoint due = Clock::now() + 20ms;
    timer.set(2, due);
    timer.arm();
    CHECK(rings(timer, 10s));
    CHECK(Clock::now() >= due);
    CHECK(timer.due(Clock::now()) == 2);
}

TEST_CASE("what is due already rings at once") {
    Timer timer;
    timer.set(1, Clock::now() - 1s);
    timer.arm();
    CHECK(rings(timer, 10s));
}

TEST_CASE("an alarm that has rung is silent until the next is due") {
    Timer timer;
    timer.set(1, Clock::now());
    timer.arm();
    CHECK(rings(timer, 10s));
    timer.set(1, Clock::now() + 1h);
    timer.acknowledge();
    timer.arm();
    CHECK(!rings(timer, 0ms));
    timer.acknowledge();  // that nothing rang does no harm

    timer.set(1, Clock::now());
    timer.arm();
    CHECK(rings(timer, 10s));
}

TEST_CASE("a deadline that goes leaves an alarm that is too early, and the next is not missed") {
    Timer timer;
    timer.set(1, Clock::now() + 10ms);
    timer.set(2, Clock::now() + 30ms);
    timer.arm();
    timer.remove(1);
    CHECK(rings(timer, 10s));
    timer.acknowledge();
    timer.arm();
    CHECK(rings(timer, 10s));
    CHECK(timer.due(Clock::now()) == 2);
}
