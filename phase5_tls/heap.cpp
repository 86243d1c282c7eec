#include "heap.hpp"

#include <malloc.h>

#include <algorithm>

namespace {

using namespace std::chrono_literals;

constexpr std::size_t mib = 1 << 20;

}  // namespace

Heap::Heap(std::size_t max_message) : kept_{16 * std::clamp(max_message, 4 * mib, 16 * mib)} {
    mallopt(M_MMAP_THRESHOLD, static_cast<int>(32 * mib));
    mallopt(M_TRIM_THRESHOLD, static_cast<int>(kept_));
}

void Heap::tidy(TimePoint now) {
    if (!is_pending() || now < looked_at_ + 5ms) return;
    looked_at_ = now;
    if (used_ >= used_then_ + little) {
        used_then_ = used_;
        quiet_since_ = now;
    }
    if (now >= quiet_since_ + 1s || mallinfo2().fordblks > kept_) release();
}

void Heap::release() {
    malloc_trim(0);
    used_ = used_then_ = 0;
}
