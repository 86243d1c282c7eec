"""Reads system calls with the learner: what each line means, and whether it is good."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from tools.syscalls import ACCEPTS, READS, WAITS, WRITES, Call, peer_port

GOOD, BAD, PLAIN = "good", "bad", "plain"


@dataclass(frozen=True)
class Note:
    call: Call
    mark: str
    text: str

    @property
    def sort(self) -> tuple[str, str, str]:
        """Calls of one sort say the same thing."""
        return self.call.name, self.mark, re.sub(r"\d[\d,]*|client \d+", "#", self.text)


_EVENTS = {
    "EPOLLIN": "can be read",
    "EPOLLOUT": "has room for more",
    "EPOLLERR": "has an error",
    "EPOLLHUP": "has hung up",
    "EPOLLRDHUP": "has ended its stream",
}


# What epoll is to give back: {u32=5, u64=5} until strace 5, 0x5 since strace 6.
DATA = r"data=(?:\{u32=)?(0x[0-9a-f]+|\d+)(?:, u64=\d+\})?"


def data_of(number: str) -> int:
    """A descriptor is 32 bits long; in the other half may be anything, as with Python's asyncio."""
    return int(number, 0) & 0xFFFFFFFF


def _epoll_events(call: Call) -> list[tuple[str, int]]:
    """The events and the data of each struct epoll_event."""
    found = re.findall(rf"events=([A-Z0-9_|]+), {DATA}", call.arguments)
    return [(events, data_of(number)) for events, number in found]


class Reader:
    """Knows the descriptors by their names: listener, epoll, client 1."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._by_port: dict[int, str] = {}
        self._armed: dict[int, str] = {}  # events, by descriptor
        self._by_data: dict[int, int] = {}  # what epoll_wait gives back → descriptor
        self._blocking: set[int] = set()  # accepted without SOCK_NONBLOCK
        self.sockets = 0  # accepted
        self.nodelay = 0

    def introduce(self, port: int, name: str) -> None:
        """A client of this name comes from this port."""
        self._by_port[port] = name

    def name(self, fd: int | None) -> str:
        return self._names.get(fd if fd is not None else -1, f"descriptor {fd}")

    def read(self, call: Call) -> Note | None:
        """None: a call that is of no interest."""
        for names, method in (
            (ACCEPTS, self._accept),
            (READS, self._read),
            (WRITES, self._write),
            (WAITS, self._wait),
        ):
            if call.name in names:
                return method(call)
        other: Callable[[Call], Note | None] | None = getattr(self, f"_{call.name}", None)
        return other(call) if other else None

    # --- at the start -----------------------------------------------------------------------

    def _socket(self, call: Call) -> Note | None:
        if (
            call.result is None
            or call.result < 0
            or "SOCK_STREAM" not in call.arguments
            or "AF_INET" not in call.arguments
        ):
            return None
        self._names[call.result] = "the listener"
        if "SOCK_NONBLOCK" in call.arguments:
            return Note(call, GOOD, "the listener, non-blocking from birth")
        return Note(call, PLAIN, "the listener; it blocks until fcntl or ioctl says otherwise")

    def _bind(self, call: Call) -> Note | None:
        return Note(call, PLAIN, "its address") if "AF_INET" in call.arguments else None

    def _listen(self, call: Call) -> Note:
        self._names[call.fd or -1] = "the listener"
        return Note(call, PLAIN, "from here on clients can connect, and wait to be accepted")

    def _epoll_create1(self, call: Call) -> Note:
        self._names[call.result or -1] = "epoll"
        return Note(call, PLAIN, "epoll's own descriptor")

    def _signalfd4(self, call: Call) -> Note:
        self._names[call.result or -1] = "the signalfd"
        text = "signals become bytes to read: no handler interrupts the loop"
        return Note(call, GOOD if "SFD_NONBLOCK" in call.arguments else PLAIN, text)

    def _timerfd_create(self, call: Call) -> Note:
        self._names[call.result or -1] = "the timerfd"
        return Note(call, PLAIN, "time becomes a descriptor, too")

    def _timerfd_settime(self, call: Call) -> Note:
        if "it_value={tv_sec=0, tv_nsec=0}" in call.arguments:
            return Note(call, PLAIN, "the timer is off: no deadline is near")
        return Note(call, PLAIN, "the timer is set for the next deadline")

    def _fcntl(self, call: Call) -> Note | None:
        return (
            self._unblock(call)
            if "O_NONBLOCK" in call.arguments and "F_SETFL" in call.arguments
            else None
        )

    def _ioctl(self, call: Call) -> Note | None:
        return self._unblock(call) if "FIONBIO, [1]" in call.arguments else None

    def _unblock(self, call: Call) -> Note:
        self._blocking.discard(call.fd or -1)
        text = f"{self.name(call.fd)} no longer blocks; SOCK_NONBLOCK would have saved this call"
        return Note(call, PLAIN, text)

    def _setsockopt(self, call: Call) -> Note | None:
        if "TCP_NODELAY" in call.arguments:
            self.nodelay += "[1]" in call.arguments
            return Note(
                call, GOOD, f"small answers to {self.name(call.fd)} leave at once (no Nagle delay)"
            )
        if "SO_REUSEADDR" in call.arguments:
            return Note(call, GOOD, "a restart may take the port while old connections linger")
        return None

    # --- connections --------------------------------------------------------------------------

    def _accept(self, call: Call) -> Note:
        if call.error == "EAGAIN":
            return Note(call, GOOD, "nobody else is waiting: back to the loop")
        if call.error:
            return Note(call, PLAIN, f"{call.error}: nobody was accepted")
        fd = call.result if call.result is not None else -1
        port = peer_port(call.fds[-1][1]) if call.fds else None
        self._names[fd] = self._by_port.get(port or -1, f"the client on {fd}")
        self.sockets += 1
        if "SOCK_NONBLOCK" in call.arguments:
            return Note(
                call, GOOD, f"{self._names[fd]} is descriptor {fd}, non-blocking from birth"
            )
        self._blocking.add(fd)
        return Note(
            call,
            PLAIN,
            f"{self._names[fd]} is descriptor {fd}; it blocks until fcntl or ioctl says otherwise",
        )

    def _close(self, call: Call) -> Note | None:
        fd = call.fd or -1
        if fd not in self._names:
            return None
        name = self._names.pop(fd)
        self._armed.pop(fd, None)
        return Note(call, GOOD, f"{name} is closed, its descriptor given back")

    def _shutdown(self, call: Call) -> Note:
        if call.error:
            return Note(call, PLAIN, f"{call.error}: {self.name(call.fd)} has gone already")
        text = f"our direction to {self.name(call.fd)} ends; what it still sends can be read"
        return Note(call, GOOD if "SHUT_WR" in call.arguments else PLAIN, text)

    # --- epoll ----------------------------------------------------------------------------------

    def _epoll_ctl(self, call: Call) -> Note | None:
        if len(call.fds) < 2:
            return None
        fd = call.fds[1][0]
        name = self.name(fd)
        if "EPOLL_CTL_DEL" in call.arguments:
            self._armed.pop(fd, None)
            return Note(call, PLAIN, f"epoll forgets {name} (close would do that, too)")
        found = _epoll_events(call)
        if not found:
            return None
        events, data = found[0]
        before = self._armed.get(fd)
        self._armed[fd], self._by_data[data] = events, fd
        if call.error:
            return Note(call, BAD, f"{call.error}: epoll was told something that does not fit")
        if before == events and "EPOLLONESHOT" not in events:
            return Note(call, BAD, f"{name} is watched for {events} already: a wasted call")
        if "EPOLLOUT" in events and "EPOLLOUT" not in (before or ""):
            if before is None:
                return Note(
                    call, BAD, "EPOLLOUT from the start: with nothing to send it is always ready"
                )
            return Note(call, GOOD, f"output waits for {name}: EPOLLOUT is armed")
        if before and "EPOLLOUT" in before and "EPOLLOUT" not in events:
            return Note(call, GOOD, f"all is sent to {name}: EPOLLOUT is disarmed")
        if before is None:
            return Note(call, PLAIN, f"epoll watches {name} for {events}")
        return Note(
            call, PLAIN, f"{name} is now watched for {events if events != '0' else 'nothing'}"
        )

    def _wait(self, call: Call) -> Note:
        if call.error == "EINTR":
            return Note(call, PLAIN, "interrupted: it has to be called again")
        if call.result == 0:
            return Note(call, PLAIN, "nothing happened until its timeout")
        ready = []
        for events, data in _epoll_events(call):
            names = _EVENTS
            fd = self._by_data.get(data)
            what = " and ".join(names.get(event, event) for event in events.split("|"))
            if self.name(fd).startswith("the listener"):
                what = "has a client to accept"
            elif self.name(fd).startswith("the "):
                what = "is ready"
            ready.append(f"{self.name(fd)} {what}")
        return Note(call, PLAIN, "woken: " + ("; ".join(ready) or "something is ready"))

    # --- bytes ------------------------------------------------------------------------------------

    def _read(self, call: Call) -> Note | None:
        name = self.name(call.fd)
        if not call.on_socket:
            return self._read_event(call)
        if call.error == "EAGAIN":
            return Note(call, PLAIN, f"nothing more from {name} now: back to the loop")
        if call.error:
            return Note(call, PLAIN, f"{call.error}: {name} broke the connection")
        if call.result == 0:
            return Note(call, PLAIN, f"0 is the end of {name}'s stream, no error")
        return Note(call, PLAIN, f"{call.result:,} bytes of {name}")

    def _read_event(self, call: Call) -> Note | None:
        name = self.name(call.fd)
        if name not in ("the signalfd", "the timerfd"):
            return None
        if call.error == "EAGAIN":
            return Note(call, PLAIN, f"{name} has no more to tell")
        what = "a signal, as data" if name == "the signalfd" else "the timer has expired"
        return Note(call, GOOD, f"{what}: read like anything else, in the loop")

    def _write(self, call: Call) -> Note | None:
        if not call.on_socket:
            return None
        name = self.name(call.fd)
        if call.error == "EAGAIN":
            return Note(call, PLAIN, f"{name}'s socket is full: keep the bytes, wait for EPOLLOUT")
        if call.error:
            return Note(call, PLAIN, f"{call.error}: {name} is gone")
        if call.is_short:
            return Note(
                call,
                PLAIN,
                f"a short write: {call.result:,} of {call.offered:,} bytes; the rest must wait",
            )
        return Note(call, GOOD, f"all {call.result:,} bytes to {name}, in one call")
