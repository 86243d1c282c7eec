// The linker leads these calls here (ld(1), --wrap): to the simulated kernel while one runs and the
// descriptor is its own, to the real one else, for libFuzzer makes some of them too.
#include <netinet/in.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <csignal>
#include <string_view>

#include "fuzz/kernel.hpp"

namespace {

Kernel* kernel_of(int fd) {
    return Kernel::owns(fd) ? Kernel::current() : nullptr;
}

}  // namespace

extern "C" {

// NOLINTBEGIN(bugprone-reserved-identifier): the linker's names
int __real_socket(int, int, int);
int __real_setsockopt(int, int, int, const void*, socklen_t);
int __real_bind(int, const sockaddr*, socklen_t);
int __real_listen(int, int);
int __real_accept4(int, sockaddr*, socklen_t*, int);
ssize_t __real_recv(int, void*, std::size_t, int);
ssize_t __real_send(int, const void*, std::size_t, int);
ssize_t __real_sendmsg(int, const msghdr*, int);
int __real_shutdown(int, int);
ssize_t __real_read(int, void*, std::size_t);
int __real_close(int);
int __real_epoll_create1(int);
int __real_epoll_ctl(int, int, int, epoll_event*);
int __real_epoll_wait(int, epoll_event*, int, int);
int __real_timerfd_create(int, int);
int __real_timerfd_settime(int, int, const itimerspec*, itimerspec*);
int __real_signalfd(int, const sigset_t*, int);
int __real_sigprocmask(int, const sigset_t*, sigset_t*);

int __wrap_socket(int domain, int type, int protocol) {
    Kernel* kernel = Kernel::current();
    return kernel ? kernel->open_listener() : __real_socket(domain, type, protocol);
}
int __wrap_setsockopt(int fd, int level, int name, const void* value, socklen_t size) {
    Kernel* kernel = kernel_of(fd);
    return kernel ? kernel->use(fd) : __real_setsockopt(fd, level, name, value, size);
}
int __wrap_bind(int fd, const sockaddr* address, socklen_t size) {
    Kernel* kernel = kernel_of(fd);
    return kernel ? kernel->use(fd) : __real_bind(fd, address, size);
}
int __wrap_listen(int fd, int backlog) {
    Kernel* kernel = kernel_of(fd);
    return kernel ? kernel->use(fd) : __real_listen(fd, backlog);
}
int __wrap_accept4(int fd, sockaddr* address, socklen_t* size, int flags) {
    Kernel* kernel = kernel_of(fd);
    if (!kernel) return __real_accept4(fd, address, size, flags);
    reinterpret_cast<sockaddr_in*>(address)->sin_family = AF_INET;
    return kernel->accept(fd);
}
ssize_t __wrap_recv(int fd, void* buffer, std::size_t size, int flags) {
    Kernel* kernel = kernel_of(fd);
    return kernel ? kernel->recv(fd, buffer, size) : __real_recv(fd, buffer, size, flags);
}
ssize_t __wrap_send(int fd, const void* data, std::size_t size, int flags) {
    Kernel* kernel = kernel_of(fd);
    if (!kernel) return __real_send(fd, data, size, flags);
    const iovec slice{const_cast<void*>(data), size};
    return kernel->send(fd, {&slice, 1}, flags);
}
ssize_t __wrap_sendmsg(int fd, const msghdr* message, int flags) {
    Kernel* kernel = kernel_of(fd);
    return kernel ? kernel->send(fd, {message->msg_iov, message->msg_iovlen}, flags)
                  : __real_sendmsg(fd, message, flags);
}
int __wrap_shutdown(int fd, int how) {
    Kernel* kernel = kernel_of(fd);
    return kernel ? kernel->shut_down(fd) : __real_shutdown(fd, how);
}
ssize_t __wrap_read(int fd, void* buffer, std::size_t size) {
    Kernel* kernel = kernel_of(fd);
    return kernel ? kernel->read(fd, buffer, size) : __real_read(fd, buffer, size);
}
int __wrap_close(int fd) {
    Kernel* kernel = kernel_of(fd);
    return kernel ? kernel->close(fd) : __real_close(fd);
}
int __wrap_epoll_create1(int flags) {
    Kernel* kernel = Kernel::current();
    return kernel ? kernel->open_epoll() : __real_epoll_create1(flags);
}
int __wrap_epoll_ctl(int fd, int operation, int watched, epoll_event* event) {
    Kernel* kernel = kernel_of(fd);
    return kernel ? kernel->control(fd, operation, watched, *event)
                  : __real_epoll_ctl(fd, operation, watched, event);
}
int __wrap_epoll_wait(int fd, epoll_event* events, int count, int timeout) {
    Kernel* kernel = kernel_of(fd);
    return kernel ? kernel->wait({events, static_cast<std::size_t>(count)}, timeout)
                  : __real_epoll_wait(fd, events, count, timeout);
}
int __wrap_timerfd_create(int clock, int flags) {
    Kernel* kernel = Kernel::current();
    return kernel ? kernel->open_timer() : __real_timerfd_create(clock, flags);
}
int __wrap_timerfd_settime(int fd, int flags, const itimerspec* value, itimerspec* old) {
    Kernel* kernel = kernel_of(fd);
    if (!kernel) return __real_timerfd_settime(fd, flags, value, old);
    const auto seconds = static_cast<std::uint64_t>(value->it_value.tv_sec);
    return kernel->set_timer(
        fd, seconds * 1'000'000'000 + static_cast<std::uint64_t>(value->it_value.tv_nsec));
}
int __wrap_signalfd(int fd, const sigset_t* signals, int flags) {
    Kernel* kernel = Kernel::current();
    return kernel ? kernel->open_signals() : __real_signalfd(fd, signals, flags);
}
// The fuzzer itself must still be interruptible.
int __wrap_sigprocmask(int how, const sigset_t* set, sigset_t* old) {
    return Kernel::current() ? 0 : __real_sigprocmask(how, set, old);
}

// std::chrono::steady_clock::now(): libstdc++ makes the system call where --wrap doesn't reach. A
// time_point is returned as the number in it.
std::int64_t __real__ZNSt6chrono3_V212steady_clock3nowEv();
std::int64_t __wrap__ZNSt6chrono3_V212steady_clock3nowEv() {
    const Kernel* kernel = Kernel::current();
    return kernel ? static_cast<std::int64_t>(kernel->now())
                  : __real__ZNSt6chrono3_V212steady_clock3nowEv();
}

// write_line(std::string_view): the log is composed, but not shown.
void __wrap__Z10write_lineSt17basic_string_viewIcSt11char_traitsIcEE(std::string_view) {}
// NOLINTEND(bugprone-reserved-identifier)
}
