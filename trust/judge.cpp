#include "judge.hpp"

#include <algorithm>
#include <cerrno>

const Call& call_of(const Fault& fault) {
    return calls()[static_cast<std::size_t>(fault.call)];
}

std::uint32_t turns(const Record& record) {
    static const auto wait = std::ranges::find(calls(), "epoll_wait", &Call::name);
    return record.counts[static_cast<std::size_t>(wait - calls().begin())];
}

namespace {

// Nobody may suffer: it is to be tried again, or does not matter.
bool is_harmless(const Fault& fault) {
    const std::string& name = call_of(fault).name;
    const int error = fault.error;
    return error == EINTR || error == EAGAIN || error == short_count || name == "accept4" ||
           name == "close" || name == "setsockopt";
}

bool may_end_the_server(const Fault& fault) {
    const Call& call = call_of(fault);
    return call.whom == For::loop && !is_harmless(fault);
}

bool is_one_line(const std::string& log) {
    const std::size_t start = log.rfind("phase5: ");
    return start != std::string::npos && log.find("phase5: ") == start &&
           (start == 0 || log[start - 1] == '\n') && log.find('\n', start) + 1 == log.size();
}

void judge_the_end(const Fault& fault, const Outcome& outcome, const Record& record,
                   Complaints& wrong) {
    const bool told = outcome.status == 1 && is_one_line(outcome.log);
    if (outcome.status < 0)
        wrong.push_back("killed by signal " + std::to_string(-outcome.status));
    else if (outcome.status != 0 && !told)
        wrong.push_back("exit status " + std::to_string(outcome.status) + " and " + outcome.log);
    else if (told && record.struck_listening && !may_end_the_server(fault))
        wrong.push_back("the server ended: " + outcome.log);
    if (call_of(fault).whom != For::certificate || !record.struck) return;
    const bool kept = outcome.log.find("the old certificate stays") != std::string::npos;
    if (record.struck_listening ? !kept : !told) wrong.push_back("nobody was told");
}

void judge_the_clients(const Fault& fault, const Outcome& outcome, const Record& record,
                       Complaints& wrong) {
    if (outcome.status == 1 || fault.error == for_good) return;  // all of them
    const std::size_t allowed =
        record.struck_listening && !is_harmless(fault) && call_of(fault).whom == For::client;
    if (outcome.harmed.size() <= allowed) return;
    for (const std::string& name : outcome.harmed) wrong.push_back("harmed: " + name);
}

}  // namespace

Complaints judge(const Fault& fault, const Outcome& outcome, const Record& record,
                 const Record& sound) {
    Complaints wrong = outcome.wrong;
    judge_the_end(fault, outcome, record, wrong);
    judge_the_clients(fault, outcome, record, wrong);
    if (record.blocks_kept > sound.blocks_kept && !record.openssl_leaks)
        wrong.push_back(std::to_string(record.blocks_kept - sound.blocks_kept) + " blocks leaked");
    if (record.descriptors_kept != 0) wrong.push_back("descriptors leaked");
    if (turns(record) > 20 * turns(sound)) wrong.push_back("it spins");
    return wrong;
}
