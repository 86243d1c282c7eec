"""Honest clients beside very many slow ones: how long do their echoes take?"""

from __future__ import annotations

import socket
import ssl
import statistics
import subprocess
from collections.abc import Callable

from harness.failures import check
from harness.frames import BINARY, encode
from harness.pace import expect_given_up
from harness.server import Server
from trust.load import Load
from trust.sockets import HELLO, connect, connect_upgraded
from trust.trial import TLS_MEMORY, Trial, attack

HONEST = 50
ALLOWED = 3.0  # times as long as without the slow ones
EVERY = 0.1  # seconds between one step of the slow ones and the next
MESSAGE = encode(BINARY, bytes(4096))
HEAD = b"GET / HTTP/1.1\r\nX: " + b"x" * 2000
QUEUE = 65_536
OF_EACH = 8192  # a connection that has just begun: most of it is TLS's
FLAGS = ["--max-buffered", str(QUEUE), "--handshake-timeout", "2", "--message-timeout", "2"]


class SlowReader:
    """Asks for more than it fetches: a kilobyte at a time."""

    def __init__(self, server: Server, tls: bool) -> None:
        self.sock = connect_upgraded(server, tls, narrow=True)
        self.sock.setblocking(False)
        self._rest = b""

    def step(self) -> None:
        try:
            while True:
                self._rest = self._rest or MESSAGE
                self._rest = self._rest[self.sock.send(self._rest) :]
        except (BlockingIOError, ssl.SSLWantWriteError):
            pass
        try:
            self.sock.recv(1024)
        except (BlockingIOError, ssl.SSLWantReadError):
            pass

    def close(self) -> None:
        self.sock.close()


class Drip:
    """Sends a byte at a time, and comes back when it is cut off."""

    def __init__(self, begin: Callable[[], socket.socket], data: bytes) -> None:
        self.cut = 0
        self._begin, self._data = begin, data
        self._restart()

    def _restart(self) -> None:
        self.sock = self._begin()
        self.sock.setblocking(False)
        self._at = 0

    def step(self) -> None:
        try:
            self.sock.send(self._data[self._at : self._at + 1])
            self._at += 1
        except (BlockingIOError, ssl.SSLWantWriteError):
            pass
        except OSError:
            self.cut += 1
            self.sock.close()
            self._restart()

    def close(self) -> None:
        self.sock.close()


def slow_ones(server: Server, count: int) -> list[SlowReader | Drip]:
    """So many slow readers, half of them by TLS, and as many who drip: a third each in the request
    head, in the TLS handshake and within a frame."""
    drips = [
        lambda: Drip(lambda: connect(server), HEAD),
        lambda: Drip(lambda: connect(server, True), HELLO),
        lambda: Drip(lambda: connect_upgraded(server), MESSAGE),
    ]
    readers = [SlowReader(server, tls=number % 2 == 0) for number in range(count)]
    return readers + [drips[number % 3]() for number in range(count)]


def slowest_percent(server: Server, trial: Trial, others: list[SlowReader | Drip]) -> float:
    """The honest clients' p99 in microseconds, while the others go on."""
    load = Load(server, False, HONEST, trial.many(3, 1))
    trial.closers.callback(load.close)
    while load.running():
        for slow in others:
            slow.step()
        try:
            load.process.wait(EVERY)
        except subprocess.TimeoutExpired:
            pass
    return load.result()["p99_us"]


@attack("slow neighbours", f"slow readers and slowloris beside {HONEST} honest clients: their p99")
def slow_neighbours(trial: Trial) -> None:
    server = trial.start(*FLAGS)
    rounds, descriptors, memory = trial.many(3, 1), server.descriptors(), server.rss()
    quiet = [slowest_percent(server, trial, []) for _ in range(rounds)]
    others = slow_ones(server, trial.many(1_000, 100))
    for slow in others:
        trial.closers.callback(slow.close)
    trial.count = len(others)
    busy = [slowest_percent(server, trial, others) for _ in range(2 * rounds)]
    allowed = len(others) // 2 * QUEUE + len(others) * OF_EACH + len(others) // 4 * TLS_MEMORY
    trial.bound_memory(server, memory, allowed, "their queues full")
    for slow in others:
        slow.close()
    expect_given_up(server, descriptors, 20, "the slow ones to be let go")
    quiet += [slowest_percent(server, trial, []) for _ in range(rounds)]
    ratio = statistics.median(busy) / statistics.median(quiet)
    told = f"p99 {statistics.median(busy):.0f} µs, quiet {statistics.median(quiet):.0f} µs"
    check(ratio <= ALLOWED, f"at most {ALLOWED:.0f} times the quiet p99", told, server=server)
    cut = sum(slow.cut for slow in others if isinstance(slow, Drip))
    trial.tell(f"{told}: {ratio:.2f} times; {cut} drips cut off")
