#include "common/test_pages.hpp"

#include <doctest/doctest.h>

#include "common/test_bytes.hpp"
#include "common/unique_fd.hpp"

namespace {

/// Whether a byte may be read: asked of the kernel, which says EFAULT where we would be ended.
bool is_readable(const std::byte* byte) {
    int fds[2];
    check(pipe(fds), "pipe");
    const UniqueFd reader{fds[0]};
    const UniqueFd writer{fds[1]};
    return write(writer.get(), byte, 1) == 1;
}

}  // namespace

TEST_CASE("guarded input ends, or begins, where nothing may be read") {
    for (const std::size_t size : {std::size_t{1}, std::size_t{125}, std::size_t{4096}}) {
        GuardedPages pages{4096};
        const Bytes bytes = pattern(size);
        const auto last = pages.at_end(bytes);
        CHECK(to_hex(last) == to_hex(bytes));
        CHECK(is_readable(&last.back()));
        CHECK_FALSE(is_readable(&last.back() + 1));
        const auto first = pages.at_front(bytes);
        CHECK(to_hex(first) == to_hex(bytes));
        CHECK(is_readable(&first.front()));
        CHECK_FALSE(is_readable(&first.front() - 1));
    }
}
