"""Honest clients of two servers at the same moment: one that is attacked, and one that nobody disturbs.

On each server and on both ports, one sends a message every few milliseconds and waits for its echo,
and one comes anew again and again. They run aside, in a process of their own.
"""

from __future__ import annotations

import gc
import json
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from harness.deadlines import scaled
from harness.failures import CheckFailed
from harness.frames import BINARY, CLOSE, UNMASKED, encode
from harness.server import Server
from trust.aside import Task
from trust.sockets import connect_upgraded, expect

EVERY = 0.005  # seconds between an echo and the next message
VISITS = 0.25  # and between one visit and the next
PATIENCE = 20  # seconds; an attack that stops a server for longer has stopped it
MESSAGE = encode(BINARY, bytes(range(20)))
ECHO = encode(BINARY, bytes(range(20)), mask=UNMASKED)
GOODBYE = encode(CLOSE, b"\x03\xe8")
FAREWELL = encode(CLOSE, b"\x03\xe8", mask=UNMASKED)


@dataclass
class Figures:
    """How long the echoes of one server took, and the visits; in seconds."""

    echoes: int = 0
    slowest: float = 0.0
    p99: float = 0.0
    visits: int = 0
    slowest_visit: float = 0.0

    def __str__(self) -> str:
        echo, percent, visit = (
            f"{seconds * 1000:.0f}" for seconds in (self.slowest, self.p99, self.slowest_visit)
        )
        return f"{self.echoes:,} echoes, {echo} ms at most, p99 {percent}, {self.visits} visits, {visit}"


class Client(threading.Thread):
    """Does the same thing again and again, and notes how long it took each time."""

    def __init__(self, act: Callable[[], None], every: float) -> None:
        super().__init__(daemon=True)
        self.took: list[float] = []
        self.failure = ""
        self._began: float | None = None
        self._act, self._every = act, every
        self._over = threading.Event()
        self._act()
        self.start()

    def run(self) -> None:
        try:
            while not self._over.wait(self._every):
                self._began = begin = time.monotonic()
                self._act()
                self._began = None
                self.took.append(time.monotonic() - begin)
        except (CheckFailed, OSError) as error:
            self.failure = str(error) or type(error).__name__

    def take(self) -> list[float]:
        taken, self.took = self.took, []
        return taken

    def waiting(self) -> float:
        """For how long it has waited already."""
        began = self._began
        return time.monotonic() - began if began else 0.0

    def finish(self) -> None:
        self._over.set()
        self.join()


class Side:
    """The clients of one server."""

    def __init__(self, server: Server) -> None:
        self.socks = [self._connect(server, tls) for tls in (False, True)]
        self.talkers = [Client(lambda own=sock: echo(own), EVERY) for sock in self.socks]
        self.visitors = [
            Client(lambda own=tls: self._visit(server, own), VISITS) for tls in (False, True)
        ]

    def _connect(self, server: Server, tls: bool) -> socket.socket:
        sock = connect_upgraded(server, tls)
        sock.settimeout(scaled(PATIENCE))
        return sock

    def _visit(self, server: Server, tls: bool) -> None:
        with connect_upgraded(server, tls, patience=PATIENCE) as sock:
            echo(sock)

    def failure(self) -> str:
        return next((one.failure for one in self.talkers + self.visitors if one.failure), "")

    def figures(self) -> Figures:
        echoes = sorted(took for one in self.talkers for took in one.take())
        visits = [took for one in self.visitors for took in one.take()]
        p99 = echoes[len(echoes) * 99 // 100]
        slowest = max([*visits, *(one.waiting() for one in self.visitors)])
        return Figures(len(echoes), echoes[-1], p99, len(visits), slowest)

    def finish(self) -> None:
        for one in self.talkers + self.visitors:
            one.finish()
        for sock in self.socks:
            sock.sendall(GOODBYE)
            expect(sock, FAREWELL)
            sock.close()


def echo(sock: socket.socket) -> None:
    sock.sendall(MESSAGE)
    expect(sock, ECHO)


def watch(task: Task, attacked: Server, control: Server) -> None:
    """Tells, for each line that comes, how the clients have fared since the last one. The line says
    how many echoes of each there must be by then."""
    gc.disable()
    sys.setswitchinterval(0.0005)
    sides = [Side(attacked), Side(control)]
    task.ready()
    while line := sys.stdin.readline():
        wait_for_echoes(sides, int(line))
        failures = [side.failure() for side in sides]
        figures = [] if any(failures) else [vars(side.figures()) for side in sides]
        print(json.dumps([failures, figures]), flush=True)
    for side in sides:
        side.finish()
        if side.failure():
            raise CheckFailed("every honest client to be served", side.failure())


def wait_for_echoes(sides: list[Side], least: int) -> None:
    """Until each client has one that began after now, and enough of them."""
    talkers = [one for side in sides for one in side.talkers]
    wanted = {one: max(len(one.took) + 2, least) for one in talkers}
    while any(len(one.took) < wanted[one] for one in talkers):
        if any(side.failure() for side in sides):
            return
        time.sleep(EVERY)
