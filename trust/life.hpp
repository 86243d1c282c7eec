// A server's life, from its start to its end, in a process of its own, with clients of all kinds.
#pragma once

#include <string>
#include <vector>

#include "fault.hpp"

enum class Life {
    whole,      // everything, with a certificate from files
    tls,        // TLS and a reload only
    self_made,  // the start with a certificate that is made, and one client
    greedy,     // one client that always has more to say than it may in a turn
};

/// What the greedy one sends, and how much of that it may in a turn.
constexpr std::size_t greedy_messages = 4000;
constexpr std::size_t greedy_turn = 256;

/// What became of it.
struct Outcome {
    std::vector<std::string> harmed;  // clients that were ended
    std::vector<std::string> wrong;   // what must never happen
    int status = 0;                   // of its exit; negative: the signal that killed it
    std::string log;                  // its stderr
};

struct PemFiles {
    std::string certificate;
    std::string key;
};

Outcome live(Life life, const Fault& fault, const PemFiles& files, Record& record);
