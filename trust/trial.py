"""One attack: what is counted while it runs, and the row of the table that it becomes."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

from harness.client import Client
from harness.failures import CheckFailed, check
from harness.frames import CLOSE, PING
from harness.server import Server, Target, launch
from trust import TOP
from trust.aside import Aside
from trust.watch import Disturbed, Watch

LONGEST = 900  # seconds that an attack without a time of its own may take
TRIES = 3  # of an attack that disturbs others: what else the machine does can only make it worse
HEARD = 1  # second in which SIGTERM has its effect, whatever goes on
HELD_UP = "the signal has to wait while the attack has its turn."
MIB = 1 << 20
AnyClient = TypeVar("AnyClient", bound=Client)
Number = TypeVar("Number", int, float)
# What a stuck TLS connection may hold beside its queue: 98 KiB of gathered records, in a vector with
# room for twice that; OpenSSL's buffers, 128 KiB to read and 16 to write, and its own state.
TLS_MEMORY = 384 << 10


@dataclass
class Result:
    attack: str
    tried: str
    count: int
    ok: bool
    detail: str = ""
    seconds: float = 0.0

    def to_json(self) -> dict[str, object]:
        return {**asdict(self), "seconds": round(self.seconds, 2)}


def reserved(server: Server) -> int:
    """Bytes of memory that it has asked for, used or not."""
    pages = Path(f"/proc/{server.pid}/statm").read_text().split()[5]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@dataclass
class Settings:
    build: Path
    quick: bool = False
    seed: int = 0
    soak_minutes: float = 0.0  # 0: three, or ten seconds where it is to be quick


@dataclass
class Trial:
    """What an attack is given. It counts what it does in `count`, and tells figures in `details`."""

    settings: Settings
    random: random.Random
    count: int = 0
    details: list[str] = field(default_factory=list)
    servers: list[Server] = field(default_factory=list)
    watches: list[Watch] = field(default_factory=list)
    calls: list[tuple] = field(default_factory=list)  # that assault() has made
    closers: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def many(self, full: Number, quick: Number) -> Number:
        return quick if self.settings.quick else full

    def start(self, *flags: str, tls: bool = True, under: list[str] | None = None) -> Server:
        """Phase 5 with nobody else on it; `tls` says to which port a Client connects, and `under` is
        a command that runs it."""
        command = (str(self.settings.build / "phase5"),)
        server = launch(Target(5, tls, command, TOP), *flags, under=under)
        self.servers.append(server)
        self.closers.callback(server.stderr_file.unlink, missing_ok=True)
        self.closers.callback(server.process.stdout.close)
        self.closers.callback(server.kill)
        return server

    def start_watched(self, *flags: str, timed: bool = True, **options) -> Server:
        """The same, with honest clients, who must not wait much longer than those of a server beside
        it (unless `timed` is False); and what the attack takes must come back."""
        server = self.start(*flags, **options)
        watch = Watch(server, self.start(), timed)
        self.closers.callback(watch.close)
        self.watches.append(watch)
        return server

    def aside(self, function: Callable, *arguments) -> Aside:
        """A part of the attack in a process of its own, which has begun when this returns."""
        aside = Aside(function, *arguments)
        self.closers.callback(aside.close)
        aside.wait_ready()
        return aside

    def assault(self, *calls: tuple) -> list:
        """Each call, a function and its arguments, runs aside until it ends; what they return. At
        the end of the attack they run again, and meanwhile the server gets SIGTERM."""
        self.calls = list(calls)
        return [aside.finish() for aside in [self.aside(*call) for call in calls]]

    def keep(self, client: AnyClient) -> AnyClient:
        self.closers.callback(client.close)
        return client

    def connect(self, server: Server, **options) -> Client:
        return self.keep(Client(server, **options))

    def tell(self, text: str) -> None:
        self.details.append(text)

    def bound_memory(
        self,
        server: Server,
        before: int,
        most: int,
        what: str,
        measure: Callable[[Server], int] = Server.rss,
    ) -> None:
        """It grew by no more than `most` bytes. A sanitizer's own memory says nothing: not checked."""
        grown = measure(server) - before
        if server.sanitized():
            return
        check(
            grown <= most,
            f"memory to grow by at most {most / MIB:.1f} MiB with {what}",
            f"it grew by {grown / MIB:.1f} MiB",
            server=server,
        )
        self.tell(f"memory +{max(grown, 0) / MIB:.1f} of {most / MIB:.1f} MiB allowed")

    def finish(self) -> None:
        """Nobody else was harmed, nothing is left behind, and the server ends as it should."""
        for watch in self.watches:
            self.tell(watch.finish())
            if self.calls:
                self._end_amid(watch.server)
        for server in self.servers:
            if not server.stopped:
                server.stop()

    def _end_amid(self, server: Server) -> None:
        """SIGTERM while the attack goes on is heard at once."""
        client = self.connect(server, plain=True).handshake()
        for call in self.calls:
            self.aside(*call)
        server.signal(signal.SIGTERM)
        words = "a CLOSE with code 1001"
        while (frame := client.next_frame(words, cause=HELD_UP, seconds=HEARD)).opcode == PING:
            pass
        told = frame.opcode == CLOSE and frame.payload[:2] == (1001).to_bytes(2, "big")
        check(told, words, f"opcode {frame.opcode:#x} came", client=client)


@dataclass(frozen=True)
class Attack:
    name: str
    tried: str
    run: Callable[[Trial], None]
    longest: float


ATTACKS: list[Attack] = []


def attack(name: str, tried: str, longest: float = LONGEST):
    """Adds a function to the table; it raises CheckFailed where the server does not hold."""

    def add(function: Callable[[Trial], None]) -> Callable[[Trial], None]:
        ATTACKS.append(Attack(name, tried, function, longest))
        return function

    return add


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    def ring(*_) -> None:
        raise CheckFailed("the attack to be over", f"it still runs after {seconds:.0f} s")

    previous = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def perform(one: Attack, settings: Settings) -> Result:
    for _ in range(TRIES):
        result, disturbed = attempt(one, settings)
        if not disturbed:
            break
    return result


def attempt(one: Attack, settings: Settings) -> tuple[Result, bool]:
    """What came of it, and whether it failed only in that others had to wait."""
    trial = Trial(settings, random.Random(f"{settings.seed} {one.name}"))
    result, disturbed = Result(one.name, one.tried, 0, False), False
    begin = time.monotonic()
    with trial.closers:
        try:
            with at_most(one.longest):
                one.run(trial)
                trial.finish()
            result.ok = trial.count > 0
            result.detail = "; ".join(trial.details) if result.ok else "nothing was tried"
        except (CheckFailed, OSError) as error:
            disturbed = isinstance(error, Disturbed)
            result.detail = told(error, trial)
    result.count, result.seconds = trial.count, time.monotonic() - begin
    return result, disturbed


def told(error: Exception, trial: Trial) -> str:
    """What failed, with the server's last words and what the client did before."""
    lines = [str(error) or type(error).__name__, *trial.details]
    if isinstance(error, CheckFailed):
        lines += error.client.transcript()[-8:] if error.client else []
    for watch in trial.watches:
        with contextlib.suppress(CheckFailed, ValueError):  # where they have not ended yet
            lines.append(watch.told())
    for server in trial.servers:
        lines += server.last_words()
    return "\n".join(lines)
