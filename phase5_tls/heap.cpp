#include "heap.hpp"

#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

namespace {

using namespace std::chrono_literals;

constexpr std::size_t mib = 1 << 20;
/// In which less than a MiB comes, until all is given back: bursts that follow one another shall
/// find what they need.
constexpr auto quiet = 5s;

}  // namespace

Heap::Heap(std::size_t max_message)
    : kept_{16 * std::clamp(max_message, 4 * mib, 16 * mib)},
      statm_{open("/proc/self/statm", O_RDONLY | O_CLOEXEC)} {
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
    const bool is_quiet = now >= quiet_since_ + quiet;
    if (is_quiet || unused() > kept_) malloc_trim(0);
    if (is_quiet) used_ = used_then_ = 0;
}

// malloc's own figure for what is free does not tell what of it the kernel has back already.
std::size_t Heap::unused() const {
    std::array<char, 128> text{};  // "size resident …", in pages (proc(5))
    if (pread(statm_.get(), text.data(), text.size() - 1, 0) <= 0) return 0;
    const char* resident = std::strchr(text.data(), ' ');
    if (!resident) return 0;
    const std::size_t bytes =
        std::strtoul(resident, nullptr, 10) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const struct mallinfo2 info = mallinfo2();
    const std::size_t used = info.uordblks + info.hblkhd;
    return bytes - std::min(bytes, used);
}
