// What malloc keeps of the memory that was freed, and when the kernel gets it back.
#pragma once

#include <cstddef>

#include "common/unique_fd.hpp"
#include "timer.hpp"

/// Left to itself, malloc keeps what a burst of long messages has left for as long as anything
/// that is still in use lies behind it. And a GiB that is given back at once takes the kernel 0.2
/// s, in which nobody is served. So this looks often, while bytes come, and gives back a little.
class Heap {
public:
    /// What a few messages of this size need is kept, 64 to 256 MiB: without it, each would take
    /// its memory from the kernel and give it back (mallopt(3)).
    explicit Heap(std::size_t max_message);

    /// So many bytes have come in, and may have been freed since.
    void on_bytes(std::size_t count) { used_ += count; }

    /// A connection has ended, and freed a handful of small things.
    void on_end() { used_ += 4096; }

    /// To be called in each turn.
    void tidy(TimePoint now);

    /// Whether tidy() is due although nothing happens: some seconds after the last burst.
    bool is_pending() const { return used_ >= little; }

private:
    static constexpr std::size_t little = 1 << 20;  // bytes

    std::size_t unused() const;

    std::size_t kept_;  // bytes of freed memory
    UniqueFd statm_;
    std::size_t used_ = 0;       // since memory was given back
    std::size_t used_then_ = 0;  // at quiet_since_
    TimePoint looked_at_;
    TimePoint quiet_since_;
};
