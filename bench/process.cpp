#include "bench/process.hpp"

#include <filesystem>
#include <fstream>
#include <stdexcept>

std::uint64_t cpu_time(const std::string& pid) {
    std::uint64_t sum = 0;
    for (const auto& thread : std::filesystem::directory_iterator{"/proc/" + pid + "/task"}) {
        std::uint64_t running = 0;
        std::ifstream{thread.path() / "schedstat"} >> running;
        sum += running;
    }
    return sum;
}

std::uint64_t resident_memory(const std::string& pid) {
    std::ifstream file{"/proc/" + pid + "/smaps_rollup"};
    for (std::string word; file >> word;) {
        std::uint64_t kibibytes = 0;
        if (word == "Rss:" && file >> kibibytes) return kibibytes * 1024;
    }
    throw std::runtime_error{"/proc/" + pid + "/smaps_rollup: cannot be read"};
}
