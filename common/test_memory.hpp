// How much memory is in use, for tests of what gives it back.
#pragma once

#include <cstddef>

#ifdef __SANITIZE_ADDRESS__
extern "C" std::size_t __sanitizer_get_current_allocated_bytes();  // its header is not everywhere

inline std::size_t allocated() {
    return __sanitizer_get_current_allocated_bytes();
}
#else
#include <malloc.h>

inline std::size_t allocated() {
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}
#endif
