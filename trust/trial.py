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
from harness.pace import expect_given_up
from harness.server import Server, Target, launch
from trust import TOP
from trust.bystanders import Bystanders

LONGEST = 300  # seconds that an attack without a time of its own may take
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
    watches: list[tuple[Server, int, Bystanders]] = field(default_factory=list)
    closers: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def many(self, full: Number, quick: Number) -> Number:
        return quick if self.settings.quick else full

    def start(self, *flags: str, tls: bool = True) -> Server:
        """Phase 5 with nobody else on it; `tls` says to which port a Client connects."""
        command = (str(self.settings.build / "phase5"),)
        server = launch(Target(5, tls, command, TOP), *flags)
        self.servers.append(server)
        self.closers.callback(server.stderr_file.unlink, missing_ok=True)
        self.closers.callback(server.process.stdout.close)
        self.closers.callback(server.kill)
        return server

    def start_watched(self, *flags: str, tls: bool = True) -> Server:
        """The same, with bystanders whose echoes must go on, and descriptors that must come back."""
        server = self.start(*flags, tls=tls)
        bystanders = Bystanders(server)
        self.closers.callback(bystanders.close)
        self.watches.append((server, server.descriptors(), bystanders))
        return server

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
        for server, descriptors, bystanders in self.watches:
            expect_given_up(server, descriptors, 20, "every descriptor of the attack to be closed")
            self.tell(bystanders.finish())
        for server in self.servers:
            if not server.stopped:
                server.stop()


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
    trial = Trial(settings, random.Random(f"{settings.seed} {one.name}"))
    result = Result(one.name, one.tried, 0, False)
    begin = time.monotonic()
    with trial.closers:
        try:
            with at_most(one.longest):
                one.run(trial)
                trial.finish()
            result.ok = trial.count > 0
            result.detail = "; ".join(trial.details) if result.ok else "nothing was tried"
        except (CheckFailed, OSError) as error:
            result.detail = told(error, trial)
    result.count, result.seconds = trial.count, time.monotonic() - begin
    return result


def told(error: Exception, trial: Trial) -> str:
    """What failed, with the server's last words and what the client did before."""
    lines = [str(error) or type(error).__name__]
    if isinstance(error, CheckFailed):
        lines += error.client.transcript()[-8:] if error.client else []
    for server in trial.servers:
        lines += server.last_words()
    return "\n".join(lines)
