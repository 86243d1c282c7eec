"""Measures phase 5 beside the raw echo and its peers: `make bench`, or see --help.

Each server runs on one CPU and the load generator on another. Runs are interleaved (A B C A B C …),
so that what else the machine does meets all of them; what counts is the median, and, where two
servers are compared, the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from bench import plot
from bench.cases import CASES, CONNECTIONS, MEMORY, SIZES, WARM_UP, Case
from bench.servers import BUILD, OURS, Running, Server, added, peers, running

OUTPUT = Path("build/bench")
LOAD_TIMEOUT = 60  # seconds

Sample = dict[str, float]  # what the load generator prints


class Bench:
    def __init__(self, seconds: float, minutes: float) -> None:
        self.seconds = seconds
        self.deadline = time.monotonic() + 60 * minutes
        self.samples: dict[tuple[str, str], dict[int, Sample]] = defaultdict(dict)
        self.failures: list[str] = []
        self.left_out = 0
        cpus = sorted(os.sched_getaffinity(0))
        self.server_cpu = cpus[0] if len(cpus) > 1 else None
        self.client_cpu = cpus[1] if len(cpus) > 1 else None

    def load(self, target: Running, case: Case) -> Sample:
        command = [f"{BUILD}/load", "--url", target.url, "--server-pid", str(target.pid), "--json"]
        command += case.flags.split()
        command += ["--seconds", str(self.seconds * case.stretch)]
        command += ["--warm-up", str(self.seconds / 4)]
        if self.client_cpu is not None:
            command = ["taskset", "-c", str(self.client_cpu), *command]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LOAD_TIMEOUT)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip())
        return json.loads(done.stdout)

    def warm_up(self, target: Running) -> None:
        """Some compile while they run; some allocate. A server that fails here will fail below."""
        with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
            self.load(target, WARM_UP)

    def measure(self, server: Server, case: Case, number: int, target: Running | None) -> None:
        """One run, on the running server if there is one, else on a new one."""
        if time.monotonic() > self.deadline:
            self.left_out += 1
            return
        try:
            with contextlib.ExitStack() as stack:
                on = target or stack.enter_context(running(server, case.tls, self.server_cpu))
                self.samples[server.name, case.name][number] = self.load(on, case)
        except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
            self.failures.append(f"{server.name}, case {case.name}: {error}")

    def rounds(self, servers: list[Server], cases: list[Case], count: int, every: int) -> None:
        """`count` interleaved rounds; peers take part in one of `every`."""
        with contextlib.ExitStack() as stack:
            targets: dict[tuple[str, bool], Running] = {}
            for server, tls in itertools.product(servers, sorted({case.tls for case in cases})):
                if not server.command(tls):
                    continue
                try:
                    target = stack.enter_context(running(server, tls, self.server_cpu))
                except (OSError, RuntimeError) as error:
                    self.failures.append(f"{server.name}: {error}")
                else:
                    targets[server.name, tls] = target
                    self.warm_up(target)
            for number in range(count):
                for case in cases:
                    for server in turned(servers, number):
                        its_turn = not server.peer or (number % every == 0 and case.peers)
                        if its_turn and (server.name, case.tls) in targets:
                            self.measure(server, case, number, targets[server.name, case.tls])
                progress(f"round {number + 1} of {count}")

    def memory(self, servers: list[Server], count: int) -> None:
        """On a server that has just started; peers take part once."""
        for number in range(count):
            for case in MEMORY:
                for server in servers:
                    if server.command(case.tls) and (number == 0 or not server.peer):
                        self.measure(server, case, number, None)
            progress(f"memory, {number + 1} of {count}")

    def figures(self, server: str, case: str, key: str) -> list[float]:
        return [s[key] for s in self.samples.get((server, case), {}).values() if key in s]

    def median(self, server: str, case: str, key: str) -> float | None:
        figures = self.figures(server, case, key)
        return statistics.median(figures) if figures else None

    def ratio(self, server: str, against: str, case: str, key: str) -> float | None:
        """The median of the ratios of those rounds that both were part of."""
        ours, theirs = self.samples.get((server, case), {}), self.samples.get((against, case), {})
        both = [number for number in ours if number in theirs and theirs[number].get(key)]
        return statistics.median(ours[n][key] / theirs[n][key] for n in both) if both else None

    def results(self) -> list[plot.Result]:
        keys = {"rate": 1, "cpu_us": 3, "p99_us": 1, "rss_per_conn": 0}
        rows: list[plot.Result] = []
        for server, case in self.samples:
            row: plot.Result = {"server": server, "case": case}
            for key, digits in keys.items():
                median = self.median(server, case, key)
                row[key] = None if median is None else round(median, digits)
            rows.append(row)
        return rows


def turned(servers: list[Server], number: int) -> list[Server]:
    """Nobody always comes first."""
    first = number % len(servers)
    return servers[first:] + servers[:first]


def progress(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def spread(figures: list[float]) -> str:
    """Half the distance of the quartiles, in percent of the median."""
    if len(figures) < 3:
        return ""
    low, middle, high = statistics.quantiles(figures, n=4, method="inclusive")
    return f" ±{50 * (high - low) / middle:.0f}%" if middle else ""


def cell(bench: Bench, server: str, against: str, case: str, key: str) -> str:
    figures = bench.figures(server, case, key)
    if not figures:
        return ""
    middle = statistics.median(figures)
    text = f"{middle:.{2 if middle < 20 else 1 if middle < 100 else 0}f}{spread(figures)}"
    ratio = bench.ratio(server, against, case, key)
    return text if ratio is None or server == against else f"{text} ({ratio:.2f})"


def print_table(bench: Bench, servers: list[str], against: str, cases: Iterable[Case]) -> None:
    rows = [["", *servers]]
    for case in cases:
        key = "rss_per_conn" if case in MEMORY else "cpu_us"
        cells = [cell(bench, server, against, case.name, key) for server in servers]
        if any(cells):
            rows.append([f"{case.name}: {case.what}", *cells])
    if len(rows) == 1:
        return
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    rows.insert(1, ["-" * width for width in widths])
    for row in rows:
        print("| " + " | ".join(text.ljust(width) for text, width in zip(row, widths)) + " |")
    print()


def print_growth(bench: Bench) -> None:
    """How phase 5's cost grows with connections, and how near to the limit it stays with size."""
    many, few = (bench.median("phase5", f"connections={n}", "cpu_us") for n in (10000, 100))
    if many and few:
        print(f"phase5, 100 of 10,000 connections active to 100 of 100: {many / few:.2f}")
    for size, name in ((65536, "64 KiB"), (1 << 24, "16 MiB")):
        ratio = bench.ratio("phase5", "raw", f"size={size}", "cpu_us")
        if ratio:
            print(f"phase5 to raw at {name}: {ratio:.2f}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.run", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="a server built aside; {port} or {tls_port} stands in its command (twice: once for each)",
    )
    parser.add_argument(
        "--against", metavar="NAME", help="whom the ratios compare with (the first --peer, or raw)"
    )
    parser.add_argument("--quick", action="store_true", help="less than a minute: coarse figures")
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="measure only this server (repeatable)"
    )
    parser.add_argument("--rounds", type=int, help="interleaved rounds (27; quick: 3)")
    parser.add_argument("--seconds", type=float, help="of one run (0.15)")
    return parser.parse_args()


def chosen_servers(arguments: argparse.Namespace) -> tuple[list[Server], str]:
    servers = list(OURS)
    for definition in arguments.peer:
        servers = added(definition, servers)
    against = arguments.against or (
        arguments.peer[0].partition("=")[0] if arguments.peer else "raw"
    )
    if arguments.only:
        return [server for server in servers if server.name in arguments.only], against
    return servers + list(peers(build=not arguments.quick)), against


def main() -> int:
    arguments = parse_arguments()
    quick = arguments.quick
    try:
        servers, against = chosen_servers(arguments)
    except ValueError as error:
        print(f"bench.run: {error}", file=sys.stderr)
        return 2
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the servers inherit it

    bench = Bench(arguments.seconds or 0.15, 0.75 if quick else 9.5)
    if bench.server_cpu is None:
        print("One CPU only: server and client share it, and the figures are worth little.")
    cases = [case for case in CASES if case.quick or not quick]
    bench.rounds(servers, cases, arguments.rounds or (3 if quick else 27), every=3 if quick else 9)
    rest = [server for server in servers if not (quick and server.peer)]
    bench.memory(rest, 1 if quick else 3)
    bench.rounds(rest, CONNECTIONS + SIZES, 1 if quick else 7, every=7)

    names = [server.name for server in servers]
    print(
        "\nServer CPU µs a message, ± half the distance of the quartiles; memory in bytes; "
        f"in brackets the ratio to {against}\n"
    )
    print_table(bench, names, against, CASES + MEMORY)
    print_table(bench, names, "raw", CONNECTIONS + SIZES)
    print_growth(bench)

    OUTPUT.mkdir(parents=True, exist_ok=True)
    results = bench.results()
    (OUTPUT / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    plots = plot.write_all(results, names, OUTPUT)
    print("written:", OUTPUT / "results.json", *plots)
    for failure in bench.failures:
        print("FAILED:", failure)
    if bench.left_out:
        print(f"Out of time: {bench.left_out} runs were left out.")
    return 1 if bench.failures else 0


if __name__ == "__main__":
    sys.exit(main())
