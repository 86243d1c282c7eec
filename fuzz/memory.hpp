// Counts the memory that the program holds, by AddressSanitizer's hooks.
#pragma once

#include <sanitizer/allocator_interface.h>

#include <algorithm>
#include <cstddef>

/// From its making on: what was allocated and not freed, and the most of it at any one time. There
/// is one at a time.
class MemoryCount {
public:
    MemoryCount() {
        static const int installed = __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
        static_cast<void>(installed);
        live_ = most_ = 0;
        counting_ = true;
    }
    MemoryCount(const MemoryCount&) = delete;
    MemoryCount& operator=(const MemoryCount&) = delete;
    ~MemoryCount() { counting_ = false; }

    std::size_t live() const { return static_cast<std::size_t>(std::max(live_, 0L)); }
    std::size_t most() const { return static_cast<std::size_t>(most_); }

private:
    static void on_malloc(const volatile void*, std::size_t size) {
        if (!counting_) return;
        live_ += static_cast<long>(size);
        most_ = std::max(most_, live_);
    }
    static void on_free(const volatile void* address) {
        if (!counting_ || !address) return;
        live_ -= static_cast<long>(__sanitizer_get_allocated_size(const_cast<void*>(address)));
    }

    // libFuzzer has a thread of its own, which is not counted.
    static inline thread_local bool counting_ = false;
    static inline thread_local long live_ = 0;
    static inline thread_local long most_ = 0;
};
