"""The protocol abused: what one peer can make the server keep, and for how long."""

from __future__ import annotations

import select
import socket

from harness.client import Client
from harness.deadlines import REPLY, Deadline, wait_until
from harness.failures import check
from harness.frames import BINARY, CONTINUATION, PING, TEXT, encode
from harness.http import request, upgrade_headers
from harness.sockdiag import unread
from trust.sockets import connect, connect_upgraded, fill, read_to_end
from trust.trial import MIB, TLS_MEMORY, Trial, attack, reserved

KIB = 1 << 10
QUEUE = 64 * KIB
PINGS = encode(PING, bytes(125)) * 500


@attack(
    "pings unanswered for", "PINGs by peers who never read a PONG: they are no longer read from"
)
def ping_flood(trial: Trial) -> None:
    server = trial.start_watched("--max-buffered", str(QUEUE))
    before, clients = server.rss(), trial.many(500, 40)
    socks = [connect_upgraded(server, n % 2 == 0, narrow=True) for n in range(clients)]
    for sock in socks:
        trial.closers.callback(sock.close)
        sock.setblocking(False)
    trial.count = sum(fill(sock, PINGS) for sock in socks) // 131
    wait_until(server.asleep)
    trial.bound_memory(
        server, before, clients * QUEUE + clients // 2 * TLS_MEMORY, f"{clients} peers stuck"
    )
    for sock in socks:
        sock.close()


@attack("empty fragments", "messages of fragments without a byte: the count is bounded, then 1008")
def empty_fragments(trial: Trial) -> None:
    server = trial.start_watched("--max-message", "65536")
    before, most = server.rss(), 65536 // 16
    for number in range(trial.many(200, 10)):
        client = trial.connect(server, plain=number % 2 == 0).handshake()
        flood = encode(TEXT, fin=False) + encode(CONTINUATION, fin=False) * (most - 1)
        client.send_bytes(flood, what=f"{most} empty fragments")
        client.ping_pong()
        client.send_frame(CONTINUATION, fin=False)
        client.expect_failure(1008, "PROTOCOL 12")
        client.close()
        trial.count += most + 1
    trial.bound_memory(server, before, MIB, "all of them")


@attack("heads without end", "8 KiB heads, held one byte short, then 431; and of 101 fields")
def heads(trial: Trial) -> None:
    server = trial.start_watched()
    before, clients = server.rss(), trial.many(1_000, 100)
    start = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "
    head = start + b"x" * (8 * KIB - 1 - len(start))
    socks = [connect(server) for _ in range(clients)]
    for sock in socks:
        trial.closers.callback(sock.close)
        sock.sendall(head)
    read = wait_until(lambda: not any(unread(sock) for sock in socks))
    check(read, "every head to be read", "some are not", server=server)
    trial.bound_memory(server, before, clients * 17 * KIB, f"{clients} heads held")
    for sock in socks:
        sock.sendall(b"xx")
        expect_status(sock, b"431")
        sock.close()
    for _ in range(clients):
        with connect(server) as sock:
            sock.sendall(request([*upgrade_headers(), *[("X", "y")] * 96]))
            expect_status(sock, b"431")
    trial.count = 2 * clients


def expect_status(sock: socket.socket, status: bytes) -> None:
    answer, _ = read_to_end(sock)
    check(answer.startswith(b"HTTP/1.1 " + status), f"{status!r}", f"{answer[:60]!r} came")


@attack(
    "lengths announced",
    "from 1 MiB and a byte to 2^64 - 1: 1009 or 1002; and 1 MiB of which a byte comes",
)
def lengths(trial: Trial) -> None:
    server = trial.start_watched()
    before = reserved(server)
    wrong = [MIB + 1, 2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 1]
    for number in range(trial.many(100, 4) * len(wrong)):
        client = trial.connect(server, plain=number % 2 == 0).handshake()
        length = wrong[number % len(wrong)]
        begun = number % 3 == 0
        if begun:
            client.send_frame(BINARY, b"begun", fin=False)
        header = encode(CONTINUATION if begun else BINARY, length=length, form=64)
        client.send_bytes(header, what=f"a frame of {length} bytes")
        client.expect_failure(1009 if length < 2**63 else 1002, "PROTOCOL 9 and 10")
        client.close()
        trial.count += 1
    socks = [connect_upgraded(server) for _ in range(trial.many(1_000, 100))]
    for sock in socks:
        trial.closers.callback(sock.close)
        sock.sendall(encode(BINARY, length=MIB, form=64) + b"x")
    read = wait_until(lambda: not any(unread(sock) for sock in socks))
    check(read, "every byte to be read", "some are not", server=server)
    trial.count += len(socks)
    trial.bound_memory(
        server, before, len(socks) * KIB + MIB, f"{len(socks)} MiB announced", reserved
    )
    for sock in socks:
        sock.close()


@attack("crumbs", "messages in fragments of one byte: memory stays in proportion to what came")
def crumbs(trial: Trial) -> None:
    server = trial.start_watched()
    before, clients, size = server.rss(), trial.many(200, 20), 40_000
    part = encode(BINARY, b"x", fin=False) + encode(CONTINUATION, b"x", fin=False) * (size - 1)
    connected = [trial.connect(server, plain=n % 2 == 0).handshake() for n in range(clients)]
    for client in connected:
        client.send_bytes(part, what=f"{size} fragments of a byte")
        client.ping_pong()
    trial.bound_memory(
        server, before, clients * 4 * size + MIB, f"{clients} messages of {size} bytes"
    )
    for client in connected:
        client.send_frame(CONTINUATION, b"x")
        client.expect_frame(BINARY, b"x" * (size + 1))
        client.goodbye()
        client.close()
        trial.count += size + 1


@attack("dropped", "slow readers where --when-full is drop: ended, and their queues with them")
def dropped(trial: Trial) -> None:
    server = trial.start_watched(
        "--max-buffered", str(QUEUE), "--when-full", "drop", "--close-timeout", "1"
    )
    descriptors, before = server.descriptors(), server.rss()
    message = encode(BINARY, bytes(32 * KIB))
    for number in range(trial.many(500, 40)):
        client = trial.connect(server, plain=number % 2 == 0, narrow=True).handshake()
        fill_until_ended(client, message)
        client.close()
        trial.count += 1
    gone = wait_until(lambda: server.descriptors() <= descriptors, 20)
    check(gone, "all of them to be ended", f"{server.descriptors() - descriptors} are open")
    trial.bound_memory(server, before, 2 * MIB, "all of them gone")


def fill_until_ended(client: Client, message: bytes) -> None:
    """Sends without reading until the server breaks it off, or has said 1013."""
    deadline, sent = Deadline(REPLY), 0
    while not deadline.over():
        try:
            sent += client.try_send(message[sent % len(message) :])
        except OSError:
            return
        client._wait(select.POLLOUT, Deadline(0.02))
        if client._wait(select.POLLHUP, Deadline(0)):
            return
    client.fail("the server to drop a peer who does not read", f"it took {sent} bytes", "PROTOCOL")
