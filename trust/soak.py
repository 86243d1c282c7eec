"""Hours in small: all kinds of clients come and go, and the server stays as it was."""

from __future__ import annotations

import statistics
from collections import Counter

from harness.failures import check
from harness.pace import expect_given_up
from harness.server import Server
from trust.trial import MIB, Trial, attack
from trust.visitors import visit

WORKERS = 2
ROUND = 10.0  # seconds, after which everybody goes, and memory is looked at
QUICK = 1.5  # the same, where it is to be quick
ALLOWED = 3 * MIB  # of growth: what stays depends on how the last round cut up the heap
DAY = 24 * 3600


@attack(
    "soak", "clients of every kind, right and wrong, come and go: echoes, memory, descriptors", DAY
)
def soak(trial: Trial) -> None:
    server = trial.start_watched("--close-timeout", "1")
    descriptors, counts, memory = server.descriptors(), Counter[str](), []
    seconds, rounds = plan(trial)
    for _ in range(rounds):
        for told in visit_all(trial, server, seconds):
            counts += Counter(told)
        expect_given_up(server, descriptors, 20, "every visitor to be let go")
        memory.append(server.rss())
        trial.count = counts.total()
    expect_flat(memory, server)
    came = sum(count for name, count in counts.items() if name.startswith("came"))
    grown = (memory[-1] - memory[len(memory) // 3]) / MIB
    trial.tell(
        f"{came:,} came, {counts.total() - came:,} deeds, {rounds * seconds / 60:.1f} minutes"
    )
    trial.tell(f"memory {memory[-1] / MIB:.1f} MiB, {grown:+.1f} since a third of the time")


def plan(trial: Trial) -> tuple[float, int]:
    """How long a round takes, and how many there are."""
    if trial.settings.soak_minutes:
        return ROUND, max(3, round(trial.settings.soak_minutes * 60 / ROUND))
    return (QUICK, 3) if trial.settings.quick else (ROUND, 18)


def visit_all(trial: Trial, server: Server, seconds: float) -> list[dict[str, int]]:
    """What the visitors of one round did."""
    seeds = [trial.random.randrange(1 << 30) for _ in range(WORKERS)]
    workers = [trial.aside(visit, server, seconds, seed) for seed in seeds]
    return [worker.finish() for worker in workers]


def expect_flat(memory: list[int], server: Server) -> None:
    """The last third of the rounds leaves no more behind than the second did."""
    third = len(memory) // 3
    before = statistics.median(memory[third : 2 * third])
    after = statistics.median(memory[2 * third :])
    check(
        server.sanitized() or after - before <= ALLOWED,
        f"memory to grow by at most {ALLOWED / MIB:.0f} MiB in the last third",
        f"it grew by {(after - before) / MIB:.1f} MiB: {[size >> 20 for size in memory]} MiB",
        server=server,
    )
