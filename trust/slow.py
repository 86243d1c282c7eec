"""Slow readers and slowloris, as many of each as wanted. The attack on the honest neighbours runs it.

    python3 -m trust.slow SERVER COUNT      SERVER: pid, and both addresses, as JSON

Prints "ready" when all are connected, goes on until its input ends, and prints how many were cut off.
"""

from __future__ import annotations

import itertools
import os
import resource
import select
import socket
import ssl
import sys
from collections.abc import Callable

from harness.frames import BINARY, encode
from harness.server import Server
from trust.sockets import HEAD, HELLO, connect, connect_upgraded
from trust.visitors import server_told

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


def main() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    os.nice(10)  # the honest clients share its CPU, and are not to suffer from that alone
    everybody = slow_ones(server_told(sys.argv[1]), int(sys.argv[2]))
    print("ready", flush=True)
    for turn in itertools.cycle(range(PARTS)):
        for slow in everybody[turn::PARTS]:
            slow.step()
        if select.select([sys.stdin], [], [], EVERY / PARTS)[0]:
            break
    print(sum(slow.cut for slow in everybody))


if __name__ == "__main__":
    main()
