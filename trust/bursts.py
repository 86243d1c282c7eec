"""Prepared beforehand, then sent at once, as fast as the socket takes it: what one turn can be made to do."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from harness.deadlines import scaled, wait_until
from harness.failures import check
from harness.frames import BINARY, encode
from harness.server import Server
from harness.sockdiag import unread
from trust.aside import Task
from trust.forger import DATA, OPEN, Forger13
from trust.trial import MIB, Trial, attack

# Nobody is to be given up while the records are made, or on their way.
PATIENT = [word for name in ("handshake", "message", "idle") for word in (f"--{name}-timeout", "0")]
PATIENT += ["--ping-interval", "0"]


# --- records --------------------------------------------------------------------------------------


def key_updates(own: Forger13, count: int) -> bytes:
    return b"".join(own.key_update(asked=False) for _ in range(count))


def key_updates_asked_for(own: Forger13, count: int) -> bytes:
    return b"".join(own.key_update() for _ in range(count))


def key_updates_and_bytes(own: Forger13, count: int) -> bytes:
    """Never two of them in a row: behind each comes a byte of a message."""
    data = message_of(count)
    return b"".join(own.key_update(False) + own.seal(DATA, data[i : i + 1]) for i in range(count))


def empty_records(own: Forger13, count: int) -> bytes:
    return b"".join(own.seal(DATA, b"") for _ in range(count))


def empty_records_and_bytes(own: Forger13, count: int) -> bytes:
    """Never more than 15 of them in a row."""
    data = message_of(count)
    parts = (b"" if i % 16 else data[i // 16 : i // 16 + 1] for i in range(count))
    return b"".join(own.seal(DATA, part) for part in parts)


def bytes_alone(own: Forger13, count: int) -> bytes:
    """A record for each byte of a message."""
    data = message_of(count)
    return b"".join(own.seal(DATA, data[i : i + 1]) for i in range(count))


def message_of(size: int) -> bytes:
    """The first bytes of a message that is as long as may be."""
    return encode(BINARY, bytes(MIB))[:size]


Making = Callable[[Forger13, int], bytes]
USELESS: list[Making] = [key_updates, key_updates_asked_for, empty_records]
USEFUL: list[Making] = [key_updates_and_bytes, empty_records_and_bytes, bytes_alone]
MAKINGS = {making.__name__: making for making in USELESS + USEFUL}


def burst(task: Task, server: Server, making: str, count: int, connections: int) -> str:
    """So many records by each of so many connections; how the server has ended the last of them."""
    clients = [Forger13(server) for _ in range(connections)]
    if MAKINGS[making] in USEFUL:
        for own in clients:
            own.upgrade()
    prepared = [MAKINGS[making](own, count) for own in clients]
    task.ready()
    socks = [own.sock for own in clients]
    send_at_once(socks, prepared)
    wait_until(lambda: not any(unread(sock) for sock in socks), 60)
    socks[-1].settimeout(scaled(0.5))
    return clients[-1].rest()[1]


def send_at_once(socks: list[socket.socket], prepared: list[bytes]) -> None:
    """Each as fast as it goes, all at the same time, until the server ends it."""

    def send(sock: socket.socket, data: bytes) -> None:
        sock.settimeout(scaled(60))
        with contextlib.suppress(ConnectionError):
            sock.sendall(data)

    with ThreadPoolExecutor(len(socks)) as pool:
        list(pool.map(send, socks, prepared))


def assault_by_bursts(trial: Trial, making: Making, connections: int, count: int) -> None:
    server = trial.start_watched(*PATIENT)
    (how,) = trial.assault((burst, server, making.__name__, count, connections))
    trial.count = connections * count
    wanted = making in USEFUL
    words = "its connection to be left alone" if wanted else "an end of its connection"
    check((how == OPEN) == wanted, f"{words} after so many records", f"it is {how}", server=server)


@attack(
    "burst of KeyUpdates", "prepared, then sent at once by one connection, which is not upgraded"
)
def burst_of_key_updates(trial: Trial) -> None:
    assault_by_bursts(trial, key_updates, 1, trial.many(1_000_000, 40_000))


@attack("bursts of KeyUpdates", "the same by twenty connections, and each is to be answered")
def bursts_of_key_updates(trial: Trial) -> None:
    assault_by_bursts(trial, key_updates_asked_for, 20, trial.many(20_000, 2_000))


@attack("KeyUpdates between bytes", "the same, with a byte of a message behind each KeyUpdate")
def key_updates_between_bytes(trial: Trial) -> None:
    assault_by_bursts(trial, key_updates_and_bytes, 10, trial.many(20_000, 2_500))


@attack("burst of empty records", "prepared, then sent at once by one connection")
def burst_of_empty_records(trial: Trial) -> None:
    assault_by_bursts(trial, empty_records, 1, trial.many(100_000, 10_000))


@attack("bursts of nearly empty records", "of sixteen records, one has a byte; by ten connections")
def bursts_of_nearly_empty_records(trial: Trial) -> None:
    assault_by_bursts(trial, empty_records_and_bytes, 10, trial.many(300_000, 8_000))


@attack("burst of one-byte records", "a message of as many records as bytes, sent at once")
def burst_of_one_byte_records(trial: Trial) -> None:
    assault_by_bursts(trial, bytes_alone, 1, trial.many(1_000_000, 250_000))


@attack("bursts of one-byte records", "the same by ten connections")
def bursts_of_one_byte_records(trial: Trial) -> None:
    assault_by_bursts(trial, bytes_alone, 10, trial.many(300_000, 10_000))
