"""What the checks of a review share: their outcomes, the server under review, and things to say to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tools.live import Client, Session, Target, fate_of, over_tls
from tools.syscalls import ACCEPTS, READS, WAITS, WRITES, Call
from harness import frames
from harness.failures import CheckFailed
from harness.frames import BINARY, TEXT, UNMASKED
from harness.server import Server

ZEROS = bytes(
    4
)  # a mask that hides nothing: where masking is not the matter, its mistakes do not show
PASSED, FAILED, ABSENT, UNMEASURED = "passed", "failed", "not in this phase", "not measured"


@dataclass(frozen=True)
class Help:
    """For one check, if it fails: where to look, and whom to ask."""

    where: str
    file: str = ""  # of the C++ phases, and the function there
    task: str | dict[int, str] = ""

    def task_in(self, phase: int) -> str:
        """A table gives the first phase of each task."""
        if isinstance(self.task, str):
            return self.task
        return self.task[max(first for first in self.task if first <= phase)]


@dataclass
class Outcome:
    state: str
    measured: str
    cause: str = ""
    drawn: list[str] = field(default_factory=list)
    task: str = ""  # more exact than the check's own


class Fault(Exception):
    """A check has failed."""

    def __init__(self, measured: str, cause: str, drawn: list[str] | None = None) -> None:
        super().__init__(measured)
        self.outcome = Outcome(FAILED, measured, cause, drawn or [])


class Unmeasured(Exception):
    """A check could not be made; why."""


@dataclass(frozen=True)
class Check:
    item: int  # of the checklist
    name: str
    function: Callable[["Subject"], str]  # says what was measured; raises what is wrong
    help: Help
    first_phase: int = 1
    comes: str = ""  # what comes in that phase
    phases: tuple[int, ...] = (1, 2, 3, 4, 5)

    def run(self, subject: "Subject") -> Outcome:
        if subject.phase not in self.phases:
            return Outcome(ABSENT, self.comes)
        try:
            return Outcome(PASSED, self.function(subject))
        except Unmeasured as why:
            return Outcome(UNMEASURED, str(why))
        except Fault as fault:
            return fault.outcome
        except CheckFailed as failure:
            return told(failure)
        except OSError as error:
            text = f"the connection broke: {error.strerror or error}"
            return Outcome(FAILED, text, "the server ended it, or ended itself")


def told(failure: CheckFailed) -> Outcome:
    """A failed expectation of the harness; if the server is gone, that is what is told."""
    fate = fate_of(failure)
    measured = f"expected {failure.expected}, but {failure.but}"
    if fate and fate.todo:
        return Outcome(FAILED, f"task {fate.todo} is not written yet", "", task=fate.todo)
    if fate and fate.ending:
        cause = failure.cause or f"it ended by itself: {measured}"
        return Outcome(FAILED, f"the server {fate.ending}", cause, fate.stderr[-2:])
    return Outcome(FAILED, measured, failure.cause or "", failure.drawn[:4])


# --- things to say ----------------------------------------------------------------------------------


def exchange(client: Client, phase: int, text: str) -> None:
    """A line, a handshake or a message: whatever this phase answers; and the answer."""
    if phase == 1:
        client.send_bytes(text.encode() + b"\n")
        client.expect_bytes(text.encode() + b"\n")
    elif phase == 2 and client.upgraded:
        client.send_bytes(b"bytes that phase 2 reads and drops")
    elif not client.upgraded:
        client.handshake()
    if phase > 2:
        client.send_frame(TEXT, text.encode(), mask=ZEROS)
        client.expect_frame(TEXT, text.encode())


class Flood:
    """Numbered messages, over and over, and their echoes."""

    COUNT, SIZE = 2000, 120

    def __init__(self, phase: int) -> None:
        words = [b"%08d" % n + b" pack my box with five dozen jugs;" * 3 for n in range(self.COUNT)]
        messages = [word[: self.SIZE - 1] + b"\n" for word in words]
        if phase == 1:
            self.sent = self.echoes = b"".join(messages)
        else:
            self.sent = b"".join(frames.encode(BINARY, m, mask=ZEROS) for m in messages)
            self.echoes = b"".join(frames.encode(BINARY, m, mask=UNMASKED) for m in messages)
        self.frame, self.echo = len(self.sent) // self.COUNT, len(self.echoes) // self.COUNT
        self._whole_only = phase != 1

    def expected(self, sent: int) -> bytes:
        size = sent // self.frame * self.echo if self._whole_only else sent
        return (self.echoes * (size // len(self.echoes) + 1))[:size]

    def rest(self, sent: int) -> bytes:
        """What finishes the message that was cut after so many bytes."""
        at = sent % len(self.sent)
        return self.sent[at : at + -sent % self.frame]


# --- the server under review --------------------------------------------------------------------------


@dataclass
class Profile:
    """Which calls this server makes, seen once under strace."""

    startup: dict[str, int]  # how often it called each before it said that it listens
    reads: set[str]
    writes: set[str]
    waits: set[str]
    accepts: set[str]
    edge_triggered: bool
    steady: list[Call]  # of a conversation in which nothing but messages happens
    messages: int
    idle: list[Call]  # while nobody said anything


class Subject:
    """The server under review."""

    def __init__(self, target: Target, no_strace: str | None) -> None:
        self.target = target
        self.phase = target.phase
        self.no_strace = no_strace

    @property
    def ports(self) -> list[bool]:
        """Plain, and in phase 5 TLS as well."""
        return [False, True] if self.phase == 5 else [False]

    def start(self, *flags: str, **options) -> Session:
        return Session(self.target, *flags, **options)

    def start_tls(self, *flags: str) -> Session:
        return Session(over_tls(self.target), *flags)

    def small_queue(self) -> list[str]:
        """Flags that bring a slow reader to its limit soon."""
        return ["--max-buffered", "65536"] if self.phase > 2 else []

    @cached_property
    def profile(self) -> Profile:
        if self.no_strace:
            raise Unmeasured(self.no_strace)
        return _observe(self)


MESSAGES = 30


def _observe(subject: Subject) -> Profile:
    with subject.start(traced=True) as session:
        session.quiet()
        before = session.calls()
        clients = [session.connect(tls=tls) for tls in subject.ports for _ in range(3)]
        for client in clients:
            exchange(client, subject.phase, "the first")
        session.quiet()
        opening = session.calls()
        for number in range(MESSAGES):
            exchange(clients[0], subject.phase, f"message {number}")
            if subject.phase == 2:
                session.quiet(0.004)
        session.quiet()
        steady = session.calls()
        session.quiet(0.3, 0.35)
        idle = session.calls()
    return _profile(before, opening, steady, idle)


def _profile(
    before: list[Call], opening: list[Call], steady: list[Call], idle: list[Call]
) -> Profile:
    told = [index for index, call in enumerate(before) if "listening on " in call.text]
    listens = told[-1] if told else len(before)
    startup: dict[str, int] = {}
    for call in before[: listens + 1]:
        startup[call.name] = startup.get(call.name, 0) + 1
    seen = opening + steady
    return Profile(
        startup,
        {call.name for call in seen if call.is_read and call.name in READS},
        {call.name for call in seen if call.is_write and call.name in WRITES},
        {call.name for call in seen + before if call.name in WAITS},
        {call.name for call in seen if call.name in ACCEPTS},
        any("EPOLLET" in call.arguments for call in seen if call.name == "epoll_ctl"),
        steady,
        MESSAGES,
        idle,
    )


def listening_inodes(server: Server) -> tuple[set[str], set[str]]:
    """The inodes of TCP sockets that listen, and of all others, as /proc/PID/net tells."""
    listening: set[str] = set()
    others: set[str] = set()
    for name in ("tcp", "tcp6"):
        table = Path(f"/proc/{server.pid}/net/{name}")
        for line in table.read_text().splitlines()[1:] if table.exists() else []:
            columns = line.split()
            (listening if columns[3] == "0A" else others).add(columns[9])
    return listening, others
