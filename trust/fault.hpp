// One call of the server fails on purpose. Which one is counted in the server's own process; what
// became of it is told in memory that is shared with the process that plays its clients.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

/// In place of an errno, or of what getaddrinfo returns.
constexpr int short_count = -1001;  // it does a part of what was asked: one byte
constexpr int failure = -1002;      // as such calls fail: a null pointer, a zero, std::bad_alloc
constexpr int for_good = -1003;     // … and from then on every time

/// Whom a call is made for, which is who may suffer when it fails.
enum class For {
    client,       // this one, and nobody else
    loop,         // all of them: the server may end, and says why
    certificate,  // the server does not start, or keeps the one that it has, and says so
};

/// A call that can be made to fail, and how.
struct Call {
    std::string name;
    std::string group;
    For whom;
    std::vector<int> errors;
};

/// All of them; each declares itself (wrapped_*.cpp).
std::vector<Call>& calls();
int declare_call(Call call);

struct Fault {
    int call = -1;  // its place in calls(); -1: nothing fails
    std::uint32_t nth = 0;
    int error = 0;
};

/// What the server's process tells.
struct Record {
    static constexpr std::size_t max_calls = 64;

    using Counts = std::array<std::uint32_t, max_calls>;

    Counts counts{};          // how often each was called
    Counts before_clients{};  // … until it listened
    bool listening = false;
    bool struck = false;            // the call was made, and failed
    bool struck_listening = false;  // it was up when that happened
    bool openssl_leaks = false;     // by itself, when it fails there
    long blocks_kept = 0;           // of memory: allocated during its life, and not freed
    long descriptors_kept = 0;
};

/// From here on calls are counted, and this one fails.
void arm(const Fault& fault, Record& record);
void disarm();

/// To be called at each call: what it is to fail with, or 0.
int strike(int call);

/// The call that fails is known to leak in OpenSSL itself.
void expect_leak();

/// How many blocks of memory there are, of C++ and of OpenSSL.
long live_blocks();

/// Before anything of OpenSSL is used: its memory can fail as well.
void wrap_openssl_memory();
