// What a fuzz target has in common with the others: its input, as choices and bytes, and how it
// says that a promise was broken.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <vector>

#include "common/test_pages.hpp"

/// Ends the process with a report that libFuzzer keeps the input of.
#define PROMISE(condition, what)                                                     \
    do {                                                                             \
        if (!(condition)) {                                                          \
            std::fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, (what)); \
            std::abort();                                                            \
        }                                                                            \
    } while (false)

/// Reads the fuzzer's bytes off the front; an input that is used up gives zeros.
class Input {
public:
    Input(const std::uint8_t* data, std::size_t size) : bytes_{data, size} {}

    bool empty() const { return bytes_.empty(); }
    unsigned byte() {
        if (bytes_.empty()) return 0;
        const unsigned value = bytes_.front();
        bytes_ = bytes_.subspan(1);
        return value;
    }
    bool flag() { return byte() % 2 != 0; }
    /// One of `count` choices.
    std::size_t choice(std::size_t count) { return byte() % count; }
    /// A size whose small values are likely.
    std::size_t size() {
        const unsigned first = byte();
        return first < 0xC0 ? first : (first & 0x3F) << 8 | byte();
    }
    std::span<const std::byte> take(std::size_t size) {
        const auto taken = bytes_.first(std::min(size, bytes_.size()));
        bytes_ = bytes_.subspan(taken.size());
        return std::as_bytes(taken);
    }
    std::span<const std::byte> rest() { return take(bytes_.size()); }

private:
    std::span<const std::uint8_t> bytes_;
};

/// How a stream is cut into reads: the sizes that the input names, over and over.
class Cuts {
public:
    explicit Cuts(Input& input) {
        for (std::size_t count = input.choice(8); count > 0; --count)
            sizes_.push_back(1 + input.size());
    }

    /// Calls `take` with each piece of `stream`, right before an unreadable page or right behind
    /// one, until it returns false.
    void feed(std::span<const std::byte> stream, auto&& take) {
        GuardedPages& pages = guarded_pages();
        for (std::size_t turn = 0; !stream.empty(); ++turn) {
            const std::size_t wanted =
                sizes_.empty() ? stream.size() : sizes_[turn % sizes_.size()];
            const auto piece = stream.first(std::min(wanted, stream.size()));
            stream = stream.subspan(piece.size());
            if (!take(turn % 2 == 0 ? pages.at_end(piece) : pages.at_front(piece))) return;
        }
    }

    /// One piece is all.
    static Cuts none() { return Cuts{}; }

private:
    Cuts() = default;

    static GuardedPages& guarded_pages() {
        static GuardedPages pages{1 << 20};
        return pages;
    }

    std::vector<std::size_t> sizes_;
};
