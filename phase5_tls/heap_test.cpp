#include "heap.hpp"

#include <doctest/doctest.h>
#include <malloc.h>

#include <cstddef>
#include <memory>
#include <vector>

namespace {

using namespace std::chrono_literals;

constexpr std::size_t mib = 1 << 20;

/// Pages of freed memory that malloc still holds (mallinfo(3)) can't be told from those that it has
/// given back; the process's own size can.
std::size_t resident() {
    std::size_t pages = 0;
    std::size_t size = 0;
    std::FILE* file = std::fopen("/proc/self/statm", "r");
    CHECK(std::fscanf(file, "%zu %zu", &size, &pages) == 2);
    std::fclose(file);
    return pages * 4096;
}

/// Leaves so many MiB behind, with something that is still in use above them.
std::unique_ptr<std::vector<std::byte>> burst(std::size_t count) {
    std::vector<std::vector<std::byte>> messages;
    for (std::size_t i = 0; i < count; ++i) messages.emplace_back(mib, std::byte{1});
    return std::make_unique<std::vector<std::byte>>(2 * mib);
}

bool counts_memory() {
#if defined(__SANITIZE_ADDRESS__)
    return false;  // its own malloc
#else
    return true;
#endif
}

}  // namespace

TEST_CASE("what a burst leaves goes back to the kernel, at once what is more than is kept") {
    if (!counts_memory()) return;
    Heap heap{mib};  // keeps 64 MiB
    const TimePoint now{1h};
    const std::size_t before = resident();
    const auto in_use = burst(200);
    CHECK(resident() > before + 150 * mib);
    heap.on_bytes(200 * mib);
    heap.tidy(now);
    CHECK(resident() < before + 20 * mib);
    CHECK(heap.is_pending());  // more may be freed yet
}

TEST_CASE("… and the rest after five seconds in which little came") {
    if (!counts_memory()) return;
    Heap heap{mib};
    TimePoint now{1h};
    const std::size_t before = resident();
    const auto in_use = burst(40);
    for (int i = 0; i < 5; ++i, now += 4s) {
        heap.on_bytes(2 * mib);
        heap.tidy(now);
    }
    CHECK(heap.is_pending());
    CHECK(resident() > before + 30 * mib);
    now += 1s;
    heap.tidy(now);
    CHECK(resident() < before + 10 * mib);
    CHECK(!heap.is_pending());
}

TEST_CASE("where little has come there is nothing to do") {
    Heap heap{mib};
    CHECK(!heap.is_pending());
    heap.on_bytes(mib - 1);
    CHECK(!heap.is_pending());
    heap.on_bytes(1);
    CHECK(heap.is_pending());
}
