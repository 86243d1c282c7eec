"""Slow readers and slowloris, as many of each as wanted. The attack on the honest neighbours runs them."""

from __future__ import annotations

import itertools
import socket
import ssl
from collections.abc import Callable

from harness.frames import BINARY, encode
from harness.server import Server
from trust.aside import Task
from trust.sockets import HEAD, HELLO, connect, connect_upgraded

EVERY = 0.1  # seconds between one step of each and the next
PARTS = 20  # in which they take turns: they do not all come at the same moment
MESSAGE = encode(BINARY, bytes(4096))


class Slow:
    """Does a little at a time, and comes back when it is cut off."""

    def __init__(self, begin: Callable[[], socket.socket]) -> None:
        self.cut = 0
        self._begin = begin
        self._restart()

    def _restart(self) -> None:
        self.sock = self._begin()
        self.sock.setblocking(False)
        self._at = 0

    def step(self) -> None:
        try:
            self._act()
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError:
            self.cut += 1
            self.sock.close()
            self._restart()

    def _act(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self.sock.close()


class SlowReader(Slow):
    """Asks for more than it fetches: after a first gulp, four kilobytes for one."""

    def _act(self) -> None:
        try:
            for _ in range(1 if self._at else 64):
                self._at += self.sock.send(MESSAGE[self._at % len(MESSAGE) :])
        finally:
            self.sock.recv(1024)


class Drip(Slow):
    """Sends a byte at a time."""

    def __init__(self, begin: Callable[[], socket.socket], data: bytes) -> None:
        self._data = data
        super().__init__(begin)

    def _act(self) -> None:
        self._at += self.sock.send(self._data[self._at : self._at + 1])


def slow_ones(server: Server, count: int) -> list[Slow]:
    """So many slow readers, half of them by TLS, and as many who drip: a third each in the request
    head, in the TLS handshake and within a frame."""
    drips = [
        lambda: Drip(lambda: connect(server), HEAD),
        lambda: Drip(lambda: connect(server, True), HELLO),
        lambda: Drip(lambda: connect_upgraded(server), MESSAGE),
    ]
    readers = [
        lambda: SlowReader(lambda: connect_upgraded(server, False, narrow=True)),
        lambda: SlowReader(lambda: connect_upgraded(server, True, narrow=True)),
    ]
    return [kinds[n % len(kinds)]() for kinds in (readers, drips) for n in range(count)]


def go_slowly(task: Task, server: Server, count: int) -> int:
    """They go on until they are told to end; how many were cut off."""
    everybody = slow_ones(server, count)
    task.ready()
    for turn in itertools.cycle(range(PARTS)):
        for slow in everybody[turn::PARTS]:
            slow.step()
        if task.over(EVERY / PARTS):
            return sum(slow.cut for slow in everybody)
