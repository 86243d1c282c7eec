// Latencies counted in buckets: constant memory, and every value within 1.6 % of the truth.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

class Histogram {
public:
    void add(std::uint64_t nanoseconds) {
        ++counts_[bucket(nanoseconds)];
        ++total_;
    }
    std::uint64_t total() const { return total_; }

    /// The value, in nanoseconds, that this share (0 … 1) of all values does not exceed.
    std::uint64_t quantile(double share) const {
        const auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(total_));
        std::uint64_t seen = 0;
        for (std::size_t i = 0; i < counts_.size(); ++i) {
            seen += counts_[i];
            if (seen > wanted) return lower_bound(i + 1) - 1;
        }
        return 0;
    }

private:
    // Below 2^7 a bucket a value; above, 64 buckets for each power of two.
    static constexpr unsigned fine_bits = 6;

    static std::size_t bucket(std::uint64_t value) {
        const unsigned width = static_cast<unsigned>(std::bit_width(value));
        const unsigned shift = width > fine_bits + 1 ? width - fine_bits - 1 : 0;
        return (std::size_t{shift} << fine_bits) + static_cast<std::size_t>(value >> shift);
    }
    static std::uint64_t lower_bound(std::size_t bucket) {
        if (bucket < 2u << fine_bits) return bucket;
        const std::size_t shift = (bucket >> fine_bits) - 1;
        return static_cast<std::uint64_t>(bucket - (shift << fine_bits)) << shift;
    }

    std::array<std::uint64_t, (64 - fine_bits + 1) << fine_bits> counts_{};
    std::uint64_t total_ = 0;
};
