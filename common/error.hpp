// How failures of the operating system are told.
#pragma once

#include <cerrno>
#include <functional>
#include <string>

/// Throws std::system_error for errno as it is now: what() reads "epoll_ctl: Bad file descriptor".
[[noreturn]] void throw_errno(const std::string& what);

/// The result of a system call that reports failure as -1; throws as throw_errno then.
template <typename Result>
Result check(Result result, const char* call) {
    if (result < 0) throw_errno(call);
    return result;
}

/// True for what a non-blocking call says when it is merely not its time (recv(2), send(2)):
/// nothing there yet, no room yet, or a signal came first. Level-triggered epoll asks again.
inline bool is_transient(int error) {
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

/// Runs a program's body and turns exceptions into the exit status of the contract: 0; 2 for a
/// UsageError; 1 for any other, each with one line on stderr: "phase1: cannot listen on …".
int run_program(const char* name, const std::function<void()>& body);
