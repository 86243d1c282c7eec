// What may become of a server and its clients when a call fails, and what must not.
#pragma once

#include <string>
#include <vector>

#include "fault.hpp"
#include "life.hpp"

const Call& call_of(const Fault& fault);

/// How often the loop went round.
std::uint32_t turns(const Record& record);

using Complaints = std::vector<std::string>;

/// What is wrong with that life, beside one in which nothing failed.
Complaints judge(const Fault& fault, const Outcome& outcome, const Record& record,
                 const Record& sound);
