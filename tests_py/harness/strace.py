"""The system calls of a server, as strace(1) tells them."""

import functools
import os
import re
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

from harness.run import Run
from harness.server import Server, environment
from harness.tools import need

_CALL = re.compile(r"^(?:\d+ +)?(\w+)\(")


@functools.cache
def forbidden() -> str:
    """Why nothing can be traced here, in strace's words; "" where it can."""
    words = [need("strace"), "-o", os.devnull, "true"]
    done = subprocess.run(words, capture_output=True, text=True)
    return done.stderr.strip().split("\n")[0] if done.returncode else ""


def traced(run: Run, *flags: str, inject: str | None = None) -> tuple[Server, Path]:
    """A server that runs under strace, and the file that its calls go to.

    `inject` makes calls fail, as strace(1) describes: "accept4:error=EPERM".
    """
    need("strace")
    handle, name = tempfile.mkstemp(prefix="strace-", suffix=".txt")
    os.close(handle)
    under = ["strace", "-f", "-qq", "-o", name]
    under += ["-e", f"inject={inject}"] if inject else []
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
