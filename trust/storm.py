"""Connections that come and break off by the ten thousand, at every point of their life."""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable

from harness.failures import check
from harness.frames import BINARY, encode
from harness.server import Server
from trust.aside import Task
from trust.sockets import HELLO, REQUEST, connect, connect_upgraded, dial, reset
from trust.trial import MIB, Trial, attack

MESSAGE = encode(BINARY, bytes(60_000))


def at_once(server: Server) -> None:
    reset(connect(server))


def at_once_on_tls_port(server: Server) -> None:
    reset(connect(server, True))


def amid_the_head(server: Server) -> None:
    sock = connect(server)
    sock.sendall(REQUEST[:60])
    reset(sock)


def amid_the_hello(server: Server) -> None:
    sock = connect(server, True)
    sock.sendall(HELLO[:200])
    reset(sock)


def after_the_hello(server: Server) -> None:
    sock = connect(server, True)
    sock.sendall(HELLO)
    reset(sock)


def amid_the_server_hello(server: Server) -> None:
    sock = connect(server, True)
    sock.sendall(HELLO)
    sock.recv(100)
    reset(sock)


def after_the_request(server: Server) -> None:
    sock = connect(server)
    sock.sendall(REQUEST)
    reset(sock)


def when_upgraded(server: Server) -> None:
    reset(connect_upgraded(server))


def when_upgraded_by_tls(server: Server) -> None:
    reset(connect_upgraded(server, True))


def with_the_echo_unread(server: Server) -> None:
    sock = connect_upgraded(server, narrow=True)
    sock.sendall(MESSAGE)
    sock.recv(1)
    reset(sock)


def with_the_echo_unread_by_tls(server: Server) -> None:
    sock = connect_upgraded(server, True, narrow=True)
    sock.sendall(MESSAGE)
    sock.recv(1)
    reset(sock)


# Of a hundred; what costs a TLS handshake comes less often.
SHARES: dict[Callable[[Server], None], int] = {
    at_once: 20,
    at_once_on_tls_port: 14,
    amid_the_head: 14,
    amid_the_hello: 8,
    after_the_hello: 7,
    amid_the_server_hello: 5,
    after_the_request: 14,
    when_upgraded: 8,
    when_upgraded_by_tls: 4,
    with_the_echo_unread: 4,
    with_the_echo_unread_by_tls: 2,
}


@attack(
    "storm", f"connects and resets, at {len(SHARES)} points from the first byte to an unread echo"
)
def storm(trial: Trial) -> None:
    server = trial.start_watched()
    total = trial.many(50_000, 1_000)
    breaks = [point for point, share in SHARES.items() for _ in range(share * total // 100)]
    trial.random.shuffle(breaks)
    warm_up = total // 5
    for point in breaks[:warm_up]:
        point(server)
    before = server.rss()
    for point in breaks[warm_up:]:
        point(server)
    trial.count = len(breaks)
    trial.bound_memory(server, before, MIB, "four fifths of it")


# --- as fast as it goes -----------------------------------------------------------------------------

OPEN = 200  # connections of the attacker at most
HELD = 5 * OPEN  # descriptors of the server: of some that were reset it has not heard yet


def connect_and_reset(task: Task, server: Server, tls: bool, seconds: float) -> list[int]:
    """How many connections, and the most descriptors that the server had."""
    held: deque[socket.socket] = deque()
    count = most = 0
    task.ready()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        held.append(dial(server, tls))
        count += 1
        if len(held) > OPEN:
            reset(held.popleft())
        if count % 2_000 == 0:
            most = max(most, server.descriptors())
    for sock in held:
        reset(sock)
    return [count, most]


@attack("connects and resets", f"as fast as they go, never more than {OPEN} open: all else goes on")
def connects_and_resets(trial: Trial) -> None:
    server = trial.start_watched()
    before = server.descriptors()
    for tls in (False, True):
        [(count, most)] = trial.assault((connect_and_reset, server, tls, trial.many(6.0, 1.0)))
        trial.count += count
        trial.tell(f"{most - before} descriptors at most {'by TLS' if tls else 'plain'}")
        words = f"{HELD} descriptors at most for {OPEN} connections"
        check(most - before <= HELD, words, f"it had {most - before}", server=server)
