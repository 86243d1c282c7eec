#include "bench/histogram.hpp"

#include <doctest/doctest.h>

#include <cmath>

TEST_CASE("quantiles are within 1.6 % of the truth, from nanoseconds to minutes") {
    for (const std::uint64_t scale : {1u, 10u, 1000u, 1'000'000u, 1'000'000'000u}) {
        Histogram histogram;
        for (std::uint64_t i = 1; i <= 1000; ++i) histogram.add(i * scale);
        CHECK(histogram.total() == 1000);
        for (const double share : {0.0, 0.5, 0.9, 0.99, 0.999}) {
            const double truth = (std::floor(share * 1000) + 1) * static_cast<double>(scale);
            const auto told = static_cast<double>(histogram.quantile(share));
            CHECK(std::abs(told - truth) <= 0.016 * truth);
        }
    }
}

TEST_CASE("an empty histogram has no quantiles") {
    CHECK(Histogram{}.quantile(0.5) == 0);
}
