"""Frames and requests without end, as fast as they go: what a turn, or a round of all, can be made to do."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from collections import deque

from harness.frames import BINARY, CONTINUATION, PING, PONG, TEXT, encode
from harness.http import request, upgrade_headers
from harness.server import Server
from trust.aside import Task
from trust.sockets import connect_upgraded, dial, reset, try_send
from trust.trial import Trial, attack

BLOCK = 256 << 10  # bytes that are sent again and again: whole frames
FRAMES = {
    "empty PINGs": encode(PING),
    "PONGs": encode(PONG),
    "messages of a byte": encode(TEXT, b"x"),
    "empty messages": encode(BINARY),
    "messages of two fragments": encode(TEXT, b"", fin=False) + encode(CONTINUATION, b"x"),
    "fragments and PINGs": encode(TEXT, b"x", fin=False) + encode(PING) + encode(CONTINUATION),
    "text of four-byte characters": encode(TEXT, "🙂".encode() * 30),
    "long text": encode(TEXT, "é🙂x".encode() * 9_000),
}


def pour(
    task: Task, server: Server, kinds: list[str], tls: bool, connections: int, seconds: float
) -> int:
    """Frames by each, and what comes back is read; how many bytes were taken."""
    poll, count = select.poll(), 0
    flows: dict[int, tuple[socket.socket, bytes]] = {}
    for number in range(connections):
        frame = FRAMES[kinds[number % len(kinds)]]
        sock = connect_upgraded(server, tls)
        sock.setblocking(False)
        flows[sock.fileno()] = (sock, frame * (BLOCK // len(frame)))
        poll.register(sock, select.POLLIN | select.POLLOUT)
    sent = dict.fromkeys(flows, 0)
    task.ready()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for descriptor, events in poll.poll(100):
            sock, block = flows[descriptor]
            with contextlib.suppress(BlockingIOError, ssl.SSLError):
                if events & select.POLLIN:
                    sock.recv(BLOCK)
                taken = sock.send(memoryview(block)[sent[descriptor] % len(block) :])
                sent[descriptor] += taken
    return sum(sent.values())


@attack(
    "floods of frames", "PINGs, PONGs, messages of a byte, of two fragments, of long text; 1 and 50"
)
def floods_of_frames(trial: Trial) -> None:
    server = trial.start_watched()
    kinds, seconds = [*FRAMES], trial.many(3.0, 1.0)
    rounds = [([kind], connections) for kind in trial.many(kinds, []) for connections in (1, 50)]
    for chosen, connections in [*rounds, (kinds, 50)]:
        for tls in (False, True):
            calls = trial.assault((pour, server, chosen, tls, connections, seconds))
            trial.count += sum(calls)
    trial.tell("counted in bytes")


# --- requests -------------------------------------------------------------------------------------

HELD = 100  # sockets that an attacker keeps, so that the answers come
REQUESTS = [
    request([("Host", "localhost")]),  # the page
    request(),
    request(method="POST"),
    request([*upgrade_headers(), *[(f"X-{number}", "y" * 60) for number in range(90)]]),
    request(target="/" + "x" * 4_000),
]


def ask(task: Task, server: Server, seconds: float) -> int:
    """Requests of every kind, each by a connection that is soon reset; how many."""
    held: deque[socket.socket] = deque()
    count, end = 0, time.monotonic() + seconds
    task.ready()
    while time.monotonic() < end:
        held.append(dial(server, tls_port=False))
        try_send(held[-1], REQUESTS[count % len(REQUESTS)])
        count += 1
        if len(held) > HELD:
            reset(held.popleft())
    for sock in held:
        reset(sock)
    return count


@attack(
    "requests without end", "the page, handshakes, long heads and wrong ones, as fast as they go"
)
def requests_without_end(trial: Trial) -> None:
    server = trial.start_watched()
    trial.count = sum(trial.assault((ask, server, trial.many(6.0, 1.0))))
