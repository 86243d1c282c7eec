// For loops over many bytes: the compiler makes the function twice, for any x86-64 and with AVX2's
// registers of 256 bits, and the loader takes the one that the machine at hand can run. Elsewhere
// (another CPU, a libc without ifunc) there is one of it.
#pragma once

#include <cstdlib>  // for __GLIBC__

#if defined(__x86_64__) && defined(__GLIBC__)
#define WIDE_REGISTERS [[gnu::target_clones("avx2", "default")]]
#else
#define WIDE_REGISTERS
#endif
