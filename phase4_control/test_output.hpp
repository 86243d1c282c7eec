// All that an Output holds, in one piece: for unit tests.
#pragma once

#include "common/test_bytes.hpp"
#include "output.hpp"

inline Bytes to_bytes(const iovec& slice) {
    const auto* const data = static_cast<const std::byte*>(slice.iov_base);
    return {data, data + slice.iov_len};
}

inline Bytes sent(Output& output) {
    Bytes all;
    for (const iovec& slice : output.slices()) append(all, to_bytes(slice));
    return all;
}
