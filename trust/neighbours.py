"""Honest clients beside very many slow ones, or beside one that never stops."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator

from harness.deadlines import Deadline, wait_until
from harness.failures import check
from harness.frames import PONG, encode
from harness.pace import expect_given_up
from harness.server import Server
from trust import TOP
from trust.load import Load
from trust.sockets import connect_upgraded
from trust.trial import TLS_MEMORY, Trial, attack
from trust.visitors import tell_server

HONEST = 50
ALLOWED = 3.0  # times as long as without the slow ones
QUEUE = 65_536
PONGS = encode(PONG) * 200_000
OF_EACH = 8192  # a connection that has just begun: most of it is TLS's
FLAGS = ["--max-buffered", str(QUEUE), "--handshake-timeout", "4", "--message-timeout", "4"]


@contextlib.contextmanager
def stopped(attackers: subprocess.Popen) -> Iterator[None]:
    attackers.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        attackers.send_signal(signal.SIGCONT)


def slowest_percent(server: Server, trial: Trial) -> float:
    """The honest clients' p99 in microseconds."""
    load = Load(server, False, connections=HONEST, seconds=trial.many(2.0, 0.5))
    trial.closers.callback(load.close)
    return load.result()["p99_us"]


def attackers_of(trial: Trial, server: Server, count: int) -> subprocess.Popen:
    """As a process of their own, all of them connected."""
    command = [sys.executable, "-m", "trust.slow", tell_server(server), str(count)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    attackers = subprocess.Popen(command, cwd=TOP, text=True, **pipes)
    trial.closers.callback(attackers.wait)
    trial.closers.callback(attackers.kill)
    check(attackers.stdout.readline() == "ready\n", "the slow ones to connect", "they did not")
    return attackers


@attack("slow neighbours", f"slow readers and slowloris beside {HONEST} honest clients: their p99")
def slow_neighbours(trial: Trial) -> None:
    """The p99 of the quietest round: what else the machine does can only make it worse. Where it
    seems too high, there are more rounds."""
    server = trial.start(*FLAGS)
    descriptors, memory = server.descriptors(), server.rss()
    quiet = trial.start()
    each = trial.many(1_000, 100)
    attackers = attackers_of(trial, server, each)
    wait_until(lambda: server.descriptors() - descriptors >= 2 * each)
    trial.count = server.descriptors() - descriptors
    beside, alone = [], []
    least, most = trial.many(8, 2), trial.many(30, 20)
    while len(alone) < least or (min(beside) > ALLOWED * min(alone) and len(alone) < most):
        beside.append(slowest_percent(server, trial))
        with stopped(attackers):
            alone.append(slowest_percent(quiet, trial))
    allowed = each * QUEUE + 2 * each * OF_EACH + each // 2 * TLS_MEMORY
    trial.bound_memory(server, memory, allowed, "their queues full")
    cut, _ = attackers.communicate()
    expect_given_up(server, descriptors, 20, "the slow ones to be let go")
    ratio = min(beside) / min(alone)
    told = f"p99 {min(beside):.0f} µs, alone {min(alone):.0f} µs: {ratio:.2f} times"
    told += f", of {len(alone)} rounds"
    check(ratio <= ALLOWED, f"at most {ALLOWED:.0f} times the quiet p99", told, server=server)
    trial.tell(f"{told}; {cut.strip()} were cut off and came back")


@attack(
    "greedy neighbours",
    "PONGs without end, as fast as they go: others have their turn all the same",
)
def greedy_neighbours(trial: Trial) -> None:
    for number in range(trial.many(6, 2)):
        server = trial.start_watched()
        bystanders = trial.watches[-1][2]
        greedy = connect_upgraded(server, tls=number % 2 == 0)
        trial.closers.callback(greedy.close)
        enough, deadline = bystanders.echoes + trial.many(100, 10), Deadline(60)
        while bystanders.echoes < enough and not deadline.over():
            greedy.sendall(PONGS)
            trial.count += len(PONGS) // 6
        greedy.close()
        enough -= bystanders.echoes
        check(enough <= 0, "bystanders to be served meanwhile", f"they miss {enough} echoes")
