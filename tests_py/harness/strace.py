"""The system calls of a server, as strace(1) tells them."""

import os
import re
import tempfile
from collections import Counter
from pathlib import Path

from harness.run import Run
from harness.server import Server, environment
from harness.tools import need

_CALL = re.compile(r"^(?:\d+ +)?(\w+)\(")


def traced(run: Run, *flags: str) -> tuple[Server, Path]:
    """A server that runs under strace, and the file that its calls go to."""
    need("strace")
    handle, name = tempfile.mkstemp(prefix="strace-", suffix=".txt")
    os.close(handle)
    under = ["strace", "-f", "-qq", "-o", name]
    # LeakSanitizer cannot work in a traced process.
    server = run.start(*flags, under=under, env=environment(asan="detect_leaks=0"))
    run.files.append(Path(name))
    return server, Path(name)


def calls(file: Path, since: str = "listening on ") -> list[str]:
    """The lines of the trace after the server said that it listens."""
    lines = file.read_text("utf-8", "replace").splitlines()
    start = max((i for i, line in enumerate(lines) if since in line), default=-1)
    return [line for line in lines[start + 1 :] if _CALL.match(line)]


def names(lines: list[str]) -> Counter:
    return Counter(_CALL.match(line)[1] for line in lines)
