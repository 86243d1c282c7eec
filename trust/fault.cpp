#include "fault.hpp"

namespace {

Fault planned;
Record* told = nullptr;  // null: nothing is counted here

}  // namespace

std::vector<Call>& calls() {
    static std::vector<Call> all;
    return all;
}

int declare_call(Call call) {
    calls().push_back(std::move(call));
    return static_cast<int>(calls().size()) - 1;
}

void arm(const Fault& fault, Record& record) {
    planned = fault;
    told = &record;
}

void disarm() {
    told = nullptr;
}

int strike(int call) {
    if (!told) return 0;
    const std::uint32_t nth = ++told->counts[static_cast<std::size_t>(call)];
    const bool again = planned.error == for_good && nth > planned.nth;
    if (call != planned.call || (nth != planned.nth && !again)) return 0;
    if (again) return planned.error;
    told->struck = true;
    told->struck_listening = told->listening;
    return planned.error;
}

void expect_leak() {
    told->openssl_leaks = true;
}
