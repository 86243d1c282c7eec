// What the kernel tells of another process.
#pragma once

#include <cstdint>
#include <string>

/// CPU time of all its threads, user and system, in nanoseconds (/proc/PID/task/*/schedstat: the
/// ticks of /proc/PID/stat are 10 ms). Throws std::runtime_error when there is no such process.
std::uint64_t cpu_time(const std::string& pid);

/// Its resident memory in bytes (/proc/PID/smaps_rollup: VmRSS lags by up to 64 pages a CPU).
std::uint64_t resident_memory(const std::string& pid);
