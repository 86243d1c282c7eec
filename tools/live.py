"""A server that runs for a while: which one, under strace or not, and its clients."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tools import suite
from tools.syscalls import TRACED, Call, Tape
from tools.workbook import ROOT, Workbook
from harness import deadlines
from harness.client import Client
from harness.failures import CheckFailed
from harness.libssl import LibsslClient
from harness.run import Run
from harness.server import Server, Target, environment

__all__ = [
    "Client",
    "LibsslClient",
    "NotBuilt",
    "fate_of",
    "Session",
    "Server",
    "Target",
    "choose",
    "suite",
    "why_no_strace",
]


class NotBuilt(Exception):
    """There is no server to look at: why, and what to type."""

    def __init__(self, why: str, *steps: str) -> None:
        super().__init__(why)
        self.steps = steps


def choose(phase: int, command: str | None) -> tuple[Target, str]:
    """The server that is meant, and its name on the screen: --server, what was written, or the reference."""
    if command:
        return Target(phase, False, tuple(shlex.split(command)), Path.cwd()), command
    book = Workbook()
    if book.is_started(phase):
        return _built(book, phase)
    if not os.access(ROOT / f"phase{phase}", os.X_OK):
        why = f"./phase{phase} is not built, and work/phase{phase} is not there"
        raise NotBuilt(why, f"make phase{phase}", f"./learn start {phase}")
    return Target(phase, False, (f"./phase{phase}",), ROOT), f"./phase{phase}, the reference"


def _built(book: Workbook, phase: int) -> tuple[Target, str]:
    """What the learner wrote."""
    from tools import screen
    from tools.build import build, explain

    if screen.on_terminal():
        screen.say(f"building work/phase{phase} …", "dim")
    built = build(book, f"phase{phase}")
    if not built.ok:
        why = "\n".join(["it does not compile", *explain(built.output)])
        raise NotBuilt(why, f"./learn test {phase}")
    program = f"work/build/phase{phase}"
    return Target(phase, False, (program,), ROOT), program


def over_tls(target: Target) -> Target:
    return Target(target.phase, True, target.command, target.directory)


def why_no_strace() -> str | None:
    """None where strace works; else what it says."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    command = ["strace", "-o", os.devnull, "true"]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    if result.returncode == 0:
        return None
    said = result.stderr.strip().splitlines() or ["it does not work here"]
    return said[-1].removeprefix("strace: ")


@dataclass
class Fate:
    """How the server was when a check failed: it is gone when that is told."""

    todo: str | None  # the task that is missing, if that ended it
    ending: str | None  # None: it ran on
    stderr: list[str]


def _note_fate(error: BaseException | None) -> None:
    if not isinstance(error, CheckFailed):
        return
    server = error.server or (error.client.server if error.client else None)
    if server is None:
        return
    todo = server.todo()
    ending = None if server.running() else server.ending()
    stderr = [line for line in server.last_words() if line.startswith("stderr:")]
    error.fate = Fate(todo, ending, stderr)  # type: ignore[attr-defined]


def fate_of(failure: CheckFailed) -> Fate | None:
    return getattr(failure, "fate", None)


class Session:
    """One start of the server. Used with `with`: nothing of it outlives the block."""

    def __init__(
        self,
        target: Target,
        *flags: str,
        traced: bool = False,
        inject: Iterable[str] = (),
        expressions: str = TRACED,
    ) -> None:
        self._run = Run(target, "9.9")
        self._flags = flags
        self._traced = traced
        self._inject = [word for rule in inject for word in ("-e", f"inject={rule}")]
        self._expressions = expressions
        self.tape: Tape | None = None
        self.server: Server

    def __enter__(self) -> "Session":
        try:
            self._start()
        except BaseException as error:
            _note_fate(error)
            self._run.clean_up()
            if isinstance(error, CheckFailed) and error.server:  # it is not known to the run
                error.server.stderr_file.unlink(missing_ok=True)
            raise
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        _note_fate(error)
        self._run.clean_up()

    def _start(self) -> None:
        if not self._traced:
            self.server = self._run.start(*self._flags)
            return
        handle, name = tempfile.mkstemp(prefix="strace-", suffix=".txt")
        os.close(handle)
        self._run.files.append(Path(name))
        self.tape = Tape(Path(name))
        under = ["strace", "-f", "--seccomp-bpf", "-qq", "-yy", "-s", "200", "-o", name]
        under += ["-e", f"trace={self._expressions}", *self._inject]
        # LeakSanitizer cannot work in a traced process.
        env = environment(asan="detect_leaks=0")
        self.server = self._run.start(*self._flags, under=under, env=env)

    def connect(self, kind: type[Client] = Client, tls: bool = False, **options) -> Client:
        self.server.tls = tls
        client = kind(self.server, **options)
        self._run.clients.append(client)
        return client

    def quiet(self, seconds: float = 0.04, most: float = 2.0) -> bool:
        """Wait until the server has slept and made no call for so long; False if it never rests."""
        deadline = deadlines.Deadline(most)
        last, since = self.activity(), time.monotonic()
        while time.monotonic() - since < seconds:
            if deadline.over():
                return False
            time.sleep(seconds / 8)
            now = self.activity()
            if now != last or not self._asleep():
                last, since = now, time.monotonic()
        return True

    def fill(self, client: Client, data: bytes, most: int = 8 << 20) -> int:
        """Send `data` over and over, and read nothing, until no more is taken; how much was."""
        sent, since = 0, time.monotonic()
        while sent < most:
            at = sent % len(data)
            if count := client.try_send(memoryview(data)[at : at + most - sent]):
                sent, since = sent + count, time.monotonic()
                continue
            waited = time.monotonic() - since
            if waited > deadlines.scaled(0.2) and (self._asleep() or waited > deadlines.scaled(1)):
                break
            time.sleep(0.005)
        return sent

    def _asleep(self) -> bool:
        """Not running, not about to run, and not stopped by strace."""
        try:
            stat = Path(f"/proc/{self.server.pid}/stat").read_text()
        except OSError:
            return True  # it has ended
        return stat.rpartition(")")[2].split()[0] in "SZX"

    def activity(self) -> int:
        """A number that grows with everything the server does."""
        return self.tape.size() if self.tape else self.server.wakeups()

    def calls(self) -> list[Call]:
        """What it called since the last time. Under strace only."""
        assert self.tape
        return self.tape.calls()
