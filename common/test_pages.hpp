// Input that lies beside memory which may not be touched: who reads or writes one byte too far is
// ended by the kernel, in any build, and in code that no sanitizer looks into.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string_view>

#include "common/error.hpp"

/// Some pages with an unreadable one on both sides.
class GuardedPages {
public:
    /// For inputs of at most this many bytes. Throws std::system_error.
    explicit GuardedPages(std::size_t capacity)
        : page_{static_cast<std::size_t>(sysconf(_SC_PAGESIZE))},
          size_{(capacity + page_ - 1) / page_ * page_} {
        void* all = mmap(nullptr, size_ + 2 * page_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (all == MAP_FAILED) throw_errno("mmap");
        begin_ = static_cast<std::byte*>(all) + page_;
        check(mprotect(begin_, size_, PROT_READ | PROT_WRITE), "mprotect");
    }
    GuardedPages(const GuardedPages&) = delete;
    GuardedPages& operator=(const GuardedPages&) = delete;
    ~GuardedPages() { munmap(begin_ - page_, size_ + 2 * page_); }

    /// A copy that ends where the unreadable page begins; valid until the next one is made.
    std::span<std::byte> at_end(std::span<const std::byte> bytes) {
        return copy(bytes, begin_ + (size_ - bytes.size()));
    }
    /// A copy that begins where the unreadable page ends; valid until the next one is made.
    std::span<std::byte> at_front(std::span<const std::byte> bytes) { return copy(bytes, begin_); }

    std::string_view at_end(std::string_view text) {
        const auto bytes = at_end(std::as_bytes(std::span{text}));
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }

private:
    std::span<std::byte> copy(std::span<const std::byte> bytes, std::byte* to) const {
        std::ranges::copy(bytes, to);
        return {to, bytes.size()};
    }

    std::size_t page_;
    std::size_t size_;  // of what may be used, in whole pages
    std::byte* begin_ = nullptr;
};
