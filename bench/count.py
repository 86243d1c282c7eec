"""Counts system calls a message, phase 5 beside the raw echo: `make count`. Wants strace."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from bench.cases import CASES, Case
from bench.servers import BUILD, OURS, Running, running

SECONDS = "1"
COLUMNS = ["epoll_wait", "recv", "send", "epoll_ctl", "other"]
KINDS = {"epoll_pwait": "epoll_wait", "recvfrom": "recv", "recvmsg": "recv", "read": "recv"}
KINDS |= {"sendto": "send", "sendmsg": "send", "write": "send", "writev": "send"}


def count_calls(summary: str) -> Counter[str]:
    """Reads what strace -c prints: the calls are the fourth column, the name is the last."""
    calls: Counter[str] = Counter()
    for line in summary.splitlines():
        fields = line.split()
        if len(fields) >= 5 and fields[3].isdigit() and fields[-1] != "total":
            name = KINDS.get(fields[-1], fields[-1])
            calls[name if name in COLUMNS else "other"] += int(fields[3])
    return calls


def load(target: Running, case: Case) -> int:
    """Returns how many messages there were, from the first on."""
    command = [f"{BUILD}/load", "--url", target.url, *case.flags.split()]
    command += ["--seconds", SECONDS, "--warm-up", "0", "--json"]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["messages"]


def trace(target: Running, case: Case) -> tuple[Counter[str], int]:
    with tempfile.TemporaryDirectory() as directory:
        summary = Path(directory) / "summary"
        strace = subprocess.Popen(
            ["strace", "-f", "-c", "-p", str(target.pid), "-o", str(summary)],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert strace.stderr is not None
        said = strace.stderr.readline()
        if "attached" not in said:
            raise RuntimeError(said.strip())
        messages = load(target, case)
        strace.send_signal(signal.SIGINT)
        strace.communicate()
        return count_calls(summary.read_text()), messages


def main() -> int:
    print("System calls a message (opening and closing the connections is among the others)\n")
    row = "| {:38} | {:8} |" + " {:>10} |" * (len(COLUMNS) + 1)
    print(row.format("", "", *COLUMNS, "all"))
    print(row.format(*["-" * 38, "-" * 8], *["-" * 10] * (len(COLUMNS) + 1)))
    for case in CASES:
        if case.name not in ("b", "c", "e", "f"):
            continue
        for server in OURS:
            with running(server, tls=False, cpu=min(os.sched_getaffinity(0))) as target:
                calls, messages = trace(target, case)
            each = [calls[column] / messages for column in COLUMNS]
            figures = [f"{figure:.3f}" for figure in [*each, sum(each)]]
            print(row.format(f"{case.name}: {case.what}", server.name, *figures), flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        sys.exit(f"bench.count: {error}")
