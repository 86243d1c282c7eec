// All that an Output holds, in one piece: for unit tests.
#pragma once

#include "common/test_bytes.hpp"
#include "output.hpp"

inline Bytes sent(const Output& output) {
    return {output.bytes().begin(), output.bytes().end()};
}
