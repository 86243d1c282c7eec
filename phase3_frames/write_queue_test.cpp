#include "write_queue.hpp"

#include <doctest/doctest.h>

#include <random>

#include "common/test_bytes.hpp"
#include "common/test_memory.hpp"

TEST_CASE("a new queue is empty") {
    WriteQueue queue;
    CHECK(queue.empty());
    CHECK(queue.size() == 0);
    CHECK(queue.front().empty());
    queue.consume(0);
    queue.append({});
    CHECK(queue.empty());
}

TEST_CASE("bytes leave in the order in which they came") {
    WriteQueue queue;
    queue.append(to_bytes("abc"));
    queue.append(to_bytes("def"));
    CHECK(to_text(queue.front()) == "abcdef");
    queue.consume(2);
    CHECK(to_text(queue.front()) == "cdef");
    CHECK(queue.size() == 4);
    queue.append(to_bytes("g"));
    CHECK(to_text(queue.front()) == "cdefg");
    queue.consume(5);
    CHECK(queue.empty());
    queue.append(to_bytes("h"));
    CHECK(to_text(queue.front()) == "h");
}

TEST_CASE("whatever is done, the queue holds what a string would") {
    std::mt19937 random{6455};
    WriteQueue queue;
    std::string model;
    const std::string source = to_text(pattern(300));
    for (int step = 0; step < 20'000; ++step) {
        if (random() % 2 == 0) {
            const std::string more = source.substr(random() % 200, random() % 100);
            queue.append(to_bytes(more));
            model += more;
        } else {
            const std::size_t count = random() % 4 == 0 ? model.size() : random() % 100;
            queue.consume(std::min(count, model.size()));
            model.erase(0, count);
        }
        REQUIRE(queue.size() == model.size());
        REQUIRE(queue.empty() == model.empty());
        REQUIRE(to_text(queue.front()) == model);
    }
}

TEST_CASE("a queue that never gets empty does not grow with what has gone through it") {
    WriteQueue queue;
    const Bytes piece = pattern(1000);
    queue.append(piece);
    const std::byte* lowest = queue.front().data();
    const std::byte* highest = lowest;
    std::size_t moves = 0;
    for (int i = 0; i < 100'000; ++i) {
        queue.append(piece);
        queue.consume(piece.size());
        const std::byte* const place = queue.front().data();
        const bool near = place >= lowest - 4096 && place <= lowest + 4096;
        if (!near) {  // moved to other memory
            ++moves;
            lowest = highest = place;
        }
        lowest = std::min(lowest, place);
        highest = std::max(highest, place);
    }
    CHECK(queue.size() == piece.size());
    CHECK(moves <= 4);
    CHECK(highest - lowest <= 4096);
}

TEST_CASE("an empty queue keeps no memory") {
    WriteQueue queue;
    const std::size_t before = allocated();
    queue.append(Bytes(1 << 20));
    CHECK(allocated() > before + (1 << 20) - 1);
    queue.consume(1 << 20);
    CHECK(allocated() < before + 1000);
}
