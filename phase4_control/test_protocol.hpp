// How a Protocol of this phase is made: the rest of its unit tests holds in later phases, too.
#pragma once

#include "protocol.hpp"

constexpr std::size_t max_message = 100'000;

inline Protocol make_protocol(std::size_t most = max_message) {
    return Protocol{most};
}
