"""Honest clients beside very many slow ones, or beside one that never stops."""

from __future__ import annotations

import time

from harness.deadlines import wait_until
from harness.failures import check
from harness.frames import PONG, encode
from harness.server import Server
from trust.aside import Task
from trust.slow import go_slowly
from trust.sockets import connect_upgraded
from trust.trial import TLS_MEMORY, Trial, attack

ALLOWED = 3.0  # times as long as without the slow ones
QUEUE = 65_536
PONGS = encode(PONG) * 200_000
OF_EACH = 8192  # a connection that has just begun: most of it is TLS's
FLAGS = ["--max-buffered", str(QUEUE), "--handshake-timeout", "4", "--message-timeout", "4"]


@attack("slow neighbours", "slow readers and slowloris beside honest clients: also their p99")
def slow_neighbours(trial: Trial) -> None:
    """The p99 of the quietest round: what else the machine does can only make it worse. Where it
    seems too high, there are more rounds."""
    server = trial.start_watched(*FLAGS)
    watch, descriptors, memory = trial.watches[-1], server.descriptors(), server.rss()
    each = trial.many(1_000, 100)
    attackers = trial.aside(go_slowly, server, each)
    wait_until(lambda: server.descriptors() - descriptors >= 2 * each)
    trial.count = server.descriptors() - descriptors
    least, most = trial.many(8, 2), trial.many(30, 20)
    ratios: list[float] = []
    while len(ratios) < least or (min(ratios) > ALLOWED and len(ratios) < most):
        beside, alone = watch.figures(trial.many(200, 100))
        ratios.append(beside.p99 / alone.p99)
    allowed = each * QUEUE + 2 * each * OF_EACH + each // 2 * TLS_MEMORY
    trial.bound_memory(server, memory, allowed, "their queues full")
    told = f"p99 {min(ratios):.2f} times the undisturbed one, of {len(ratios)} rounds"
    quiet = server.sanitized() or min(ratios) <= ALLOWED
    check(quiet, f"at most {ALLOWED:.0f} times the undisturbed p99", told, server=server)
    trial.tell(f"{told}; {attackers.result()} were cut off and came back")


@attack(
    "greedy neighbours",
    "PONGs without end, as fast as they go: others have their turn all the same",
)
def greedy_neighbours(trial: Trial) -> None:
    server = trial.start_watched()
    for tls in (False, True):
        trial.count += sum(trial.assault((pong, server, tls, trial.many(10.0, 0.5))))


def pong(task: Task, server: Server, tls: bool, seconds: float) -> int:
    """PONGs for so long; how many."""
    count, end = 0, time.monotonic() + seconds
    with connect_upgraded(server, tls) as sock:
        task.ready()
        while time.monotonic() < end:
            sock.sendall(PONGS)
            count += len(PONGS) // len(encode(PONG))
    return count
