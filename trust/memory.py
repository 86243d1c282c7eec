"""Memory: what a burst took is given back, and the kernel's share of a connection is bounded."""

from __future__ import annotations

from pathlib import Path

from harness.deadlines import wait_until
from harness.failures import check
from harness.frames import BINARY, encode
from harness.server import Server
from harness.sockdiag import kernel_memory, unread
from trust.aside import Task
from trust.sockets import connect_upgraded, fill, reset
from trust.trial import MIB, Trial, attack

ALMOST = encode(BINARY, bytes(MIB))[:-16]
MESSAGE = encode(BINARY, bytes(64_000))


def send_almost(task: Task, server: Server, count: int) -> int:
    """A message each of which the end is missing; then all go at once. The server's memory then."""
    socks = [connect_upgraded(server, number % 10 == 0) for number in range(count)]
    task.ready()
    for sock in socks:
        sock.sendall(ALMOST)
    wait_until(lambda: not any(unread(sock) for sock in socks), 30)
    most = server.rss()
    for sock in socks:
        reset(sock)
    return most


@attack(
    "burst of memory", "messages of which 16 bytes are missing, then a reset: all is given back"
)
def burst_of_memory(trial: Trial) -> None:
    server = trial.start_watched()
    for clients in trial.many([400, 1_500], [300]):
        (most,) = trial.assault((send_almost, server, clients))
        trial.count += clients
        trial.tell(f"{most / MIB:.0f} MiB for {clients} of them")


LEAST = 64 << 10  # of a buffer, whatever the flags say


@attack("memory of the kernel", "clients who send and do not read: what their socket buffers hold")
def memory_of_the_kernel(trial: Trial) -> None:
    """The kernel takes twice the size that is asked for, for what it needs beside the bytes
    (socket(7)), and one more piece when it is full."""
    largest = int(Path("/proc/sys/net/ipv4/tcp_rmem").read_text().split()[2])
    small, default = 64 << 10, 4 * MIB
    for flags, most_received, most_queued in (
        (["--max-buffered", str(small)], 2 * LEAST, 2 * LEAST),
        ([], largest, 2 * default // 4),
    ):
        server = trial.start_watched(*flags)
        for number in range(trial.many(20, 4)):
            sock = connect_upgraded(server, number % 2 == 0)
            trial.closers.callback(sock.close)
            sock.setblocking(False)
            fill(sock, MESSAGE)
            received, queued = kernel_memory(sock) or (0, 0)
            check(received and queued, "sock_diag(7) to tell of both buffers", "it does not")
            expect_bounded("received", received, most_received, server)
            expect_bounded("to be sent", queued, most_queued, server)
            sock.close()
            trial.count += 1
        trial.tell(f"{received >> 10} KiB received, {queued >> 10} KiB to be sent")


def expect_bounded(what: str, size: int, most: int, server: Server) -> None:
    words = f"{(most + LEAST) >> 10} KiB at most that were {what}, in the kernel"
    check(size <= most + LEAST, words, f"it is {size >> 10} KiB", server=server)
