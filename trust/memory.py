"""Memory: what a burst took is given back, and the kernel's share of a connection is bounded."""

from __future__ import annotations

from harness.deadlines import wait_until
from harness.failures import check
from harness.frames import BINARY, encode
from harness.server import Server
from harness.sockdiag import kernel_memory, unread
from trust.aside import Task
from trust.sockets import connect_upgraded, fill, reset
from trust.trial import KERNEL_MEMORY, MIB, Trial, attack

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


@attack("memory of the kernel", "clients who send and do not read: what their socket buffers hold")
def memory_of_the_kernel(trial: Trial) -> None:
    server = trial.start_watched("--max-buffered", "65536")
    most = 0
    for number in range(trial.many(40, 6)):
        sock = connect_upgraded(server, number % 2 == 0)
        trial.closers.callback(sock.close)
        sock.setblocking(False)
        fill(sock, MESSAGE)
        held = kernel_memory(sock)
        check(held is not None, "sock_diag(7) to tell of memory", "it does not")
        most = max(most, held)
        sock.close()
        trial.count += 1
    told = f"{most / MIB:.1f} MiB"
    within = f"{KERNEL_MEMORY / MIB:.0f} MiB at most in the buffers of a socket"
    check(most <= KERNEL_MEMORY, within, f"it is {told}", server=server)
    trial.tell(f"{told} of {KERNEL_MEMORY / MIB:.0f} MiB allowed")
