// Every system call that phase 5 makes can fail here, with each errno of its man page. The linker
// leads the calls of phase 5's objects to __wrap_NAME and knows the real ones as __real_NAME
// (ld(1), --wrap); the Makefile takes the names from this file.
#include <netdb.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "fault.hpp"

// NOLINTBEGIN(bugprone-reserved-identifier): the linker's names
#define WRAP(type, name, whom, parameters, arguments, ...)                  \
    static const int call_##name =                                          \
        declare_call({#name, "system calls that fail", whom, __VA_ARGS__}); \
    extern "C" type __real_##name parameters;                               \
    extern "C" type __wrap_##name parameters {                              \
        if (const int error = strike(call_##name)) {                        \
            errno = error;                                                  \
            return -1;                                                      \
        }                                                                   \
        return __real_##name arguments;                                     \
    }

WRAP(int, socket, For::loop, (int domain, int type, int protocol), (domain, type, protocol),
     {EACCES, EAFNOSUPPORT, EINVAL, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPROTONOSUPPORT})
WRAP(int, setsockopt, For::client,
     (int fd, int level, int option, const void* value, socklen_t size),
     (fd, level, option, value, size), {EBADF, EFAULT, EINVAL, ENOPROTOOPT, ENOTSOCK, ENOMEM})
WRAP(int, bind, For::loop, (int fd, const sockaddr* address, socklen_t size), (fd, address, size),
     {EACCES, EADDRINUSE, EADDRNOTAVAIL, EBADF, EFAULT, EINVAL, ENOMEM, ENOTSOCK})
WRAP(int, getsockname, For::loop, (int fd, sockaddr* address, socklen_t* size), (fd, address, size),
     {EBADF, EFAULT, EINVAL, ENOBUFS, ENOTSOCK})
WRAP(int, accept4, For::client, (int fd, sockaddr* address, socklen_t* size, int flags),
     (fd, address, size, flags),
     {EAGAIN,    EBADF,  ECONNABORTED, EFAULT,      EINTR, EINVAL,   EMFILE,   ENFILE,
      ENOBUFS,   ENOMEM, ENOTSOCK,     EOPNOTSUPP,  EPERM, EPROTO,   ENETDOWN, ENOPROTOOPT,
      EHOSTDOWN, ENONET, EHOSTUNREACH, ENETUNREACH, ENOSR, ETIMEDOUT})
WRAP(int, shutdown, For::client, (int fd, int how), (fd, how), {EBADF, EINVAL, ENOTCONN, ENOTSOCK})
WRAP(int, epoll_create1, For::loop, (int flags), (flags), {EINVAL, EMFILE, ENFILE, ENOMEM})
WRAP(int, epoll_ctl, For::client, (int epoll, int operation, int fd, epoll_event* event),
     (epoll, operation, fd, event), {EBADF, EEXIST, EINVAL, ELOOP, ENOENT, ENOMEM, ENOSPC, EPERM})
WRAP(int, epoll_wait, For::loop, (int epoll, epoll_event* events, int size, int timeout),
     (epoll, events, size, timeout), {EBADF, EFAULT, EINTR, EINVAL})
WRAP(int, timerfd_create, For::loop, (int clock, int flags), (clock, flags),
     {EINVAL, EMFILE, ENFILE, ENODEV, ENOMEM, EPERM})
WRAP(int, timerfd_settime, For::loop, (int fd, int flags, const itimerspec* value, itimerspec* old),
     (fd, flags, value, old), {EBADF, ECANCELED, EFAULT, EINVAL})
WRAP(int, signalfd, For::loop, (int fd, const sigset_t* mask, int flags), (fd, mask, flags),
     {EBADF, EINVAL, EMFILE, ENFILE, ENODEV, ENOMEM})
WRAP(int, sigprocmask, For::loop, (int how, const sigset_t* set, sigset_t* old), (how, set, old),
     {EFAULT, EINVAL})
WRAP(ssize_t, read, For::loop, (int fd, void* buffer, std::size_t size), (fd, buffer, size),
     {EAGAIN, EBADF, EFAULT, EINTR, EINVAL, EIO, EISDIR})

#define WRAP_IO(name, parameters, arguments, a_part, ...)                          \
    static const int call_##name =                                                 \
        declare_call({#name, "system calls that fail", For::client, __VA_ARGS__}); \
    extern "C" ssize_t __real_##name parameters;                                   \
    extern "C" ssize_t __wrap_##name parameters {                                  \
        const int error = strike(call_##name);                                     \
        if (error == short_count) return __real_##name a_part;                     \
        if (error == 0) return __real_##name arguments;                            \
        errno = error;                                                             \
        return -1;                                                                 \
    }

WRAP_IO(recv, (int fd, void* buffer, std::size_t size, int flags), (fd, buffer, size, flags),
        (fd, buffer, std::min<std::size_t>(size, 1), flags),
        {short_count, EAGAIN, EBADF, ECONNREFUSED, ECONNRESET, EFAULT, EINTR, EINVAL, ENOMEM,
         ENOTCONN, ENOTSOCK, ETIMEDOUT})
WRAP_IO(send, (int fd, const void* buffer, std::size_t size, int flags), (fd, buffer, size, flags),
        (fd, buffer, std::min<std::size_t>(size, 1), flags),
        {short_count, EACCES, EAGAIN, EALREADY, EBADF, ECONNRESET, EDESTADDRREQ, EFAULT, EINTR,
         EINVAL, EISCONN, EMSGSIZE, ENOBUFS, ENOMEM, ENOTCONN, ENOTSOCK, EOPNOTSUPP, EPIPE})

// A part of a list is the first byte of its first slice that has one.
static const int call_sendmsg = declare_call(
    {"sendmsg",
     "system calls that fail",
     For::client,
     {short_count, EACCES, EAGAIN, EALREADY, EBADF, ECONNRESET, EDESTADDRREQ, EFAULT, EINTR, EINVAL,
      EISCONN, EMSGSIZE, ENOBUFS, ENOMEM, ENOTCONN, ENOTSOCK, EOPNOTSUPP, EPIPE}});
extern "C" ssize_t __real_sendmsg(int fd, const msghdr* message, int flags);
extern "C" ssize_t __wrap_sendmsg(int fd, const msghdr* message, int flags) {
    const int error = strike(call_sendmsg);
    if (error == 0) return __real_sendmsg(fd, message, flags);
    errno = error;
    if (error != short_count) return -1;
    const iovec* slice = message->msg_iov;
    while (slice->iov_len == 0) ++slice;
    return __real_send(fd, slice->iov_base, 1, flags);
}

// It has done its work even when it says that it has not (close(2)).
static const int call_close = declare_call(
    {"close", "system calls that fail", For::client, {EBADF, EDQUOT, EINTR, EIO, ENOSPC}});
extern "C" int __real_close(int fd);
extern "C" int __wrap_close(int fd) {
    const int result = __real_close(fd);
    const int error = strike(call_close);
    if (error == 0) return result;
    errno = error;
    return -1;
}

static const int call_getaddrinfo =
    declare_call({"getaddrinfo",
                  "system calls that fail",
                  For::loop,
                  {EAI_AGAIN, EAI_FAIL, EAI_MEMORY, EAI_NONAME, EAI_SYSTEM}});
extern "C" int __real_getaddrinfo(const char*, const char*, const addrinfo*, addrinfo**);
extern "C" int __wrap_getaddrinfo(const char* host, const char* port, const addrinfo* hints,
                                  addrinfo** found) {
    const int error = strike(call_getaddrinfo);
    if (error == EAI_SYSTEM) errno = EMFILE;
    return error == 0 ? __real_getaddrinfo(host, port, hints, found) : error;
}

// Accepted sockets inherit the size of the send buffer: a small one is full soon, and the server
// waits for it to drain, as it does for a slow reader.
static const int call_listen = declare_call(
    {"listen", "system calls that fail", For::loop, {EADDRINUSE, EBADF, ENOTSOCK, EOPNOTSUPP}});
extern "C" int __real_listen(int fd, int backlog);
extern "C" int __wrap_listen(int fd, int backlog) {
    const int size = 32 * 1024;
    __real_setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    const int error = strike(call_listen);
    if (error == 0) return __real_listen(fd, backlog);
    errno = error;
    return -1;
}
// NOLINTEND(bugprone-reserved-identifier)
