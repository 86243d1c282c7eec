"""Connections that come and break off by the ten thousand, at every point of their life."""

from __future__ import annotations

from collections.abc import Callable

from harness.frames import BINARY, encode
from harness.server import Server
from trust.sockets import HELLO, REQUEST, connect, connect_upgraded, reset
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
