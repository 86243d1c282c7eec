"""Reads vectors/phaseN.txt, whose head explains the format, and plays its vectors over a socket."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

import pytest

from harness.client import Client, draw_text
from harness.failures import CheckFailed, check

DIRECTORY = Path(__file__).resolve().parents[2] / "vectors"
_ESCAPES = {"\\r": "\r", "\\n": "\n", "\\t": "\t", "\\0": "\0"}


@dataclass
class Step:
    sent: list[str] = field(default_factory=list)
    answer: list[str] = field(default_factory=list)


@dataclass
class Vector:
    file: str
    line: int
    title: str
    task: str = ""
    rule: str = ""
    only: bool = False  # later phases answer something else
    steps: list[Step] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"vectors/{self.file}:{self.line} {self.title}"

    def take(self, line: str) -> None:
        if line.startswith("task "):
            self.task, self.rule, *only = line.removeprefix("task ").split(" · ")
            self.only = bool(only)
        elif line.startswith(">"):
            if not self.steps or self.steps[-1].answer:
                self.steps.append(Step())
            self.steps[-1].sent.append(line[2:])
        elif line.startswith("< "):
            self.steps[-1].answer.append(line[2:])
        elif line and not line.startswith("#"):
            raise ValueError(f"{self.name}: what is {line!r}?")


def read(phase: int) -> list[Vector]:
    path = DIRECTORY / f"phase{phase}.txt"
    vectors: list[Vector] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("== "):
            vectors.append(Vector(path.name, number, line[3:]))
        elif vectors:
            vectors[-1].take(line)
    return vectors


def of_phase(phase: int, only: bool = False) -> pytest.MarkDecorator:
    """A parametrisation, each vector with its own task; `only`: those of this phase alone."""
    found = [
        pytest.param(vector, marks=pytest.mark.task(vector.task), id=vector.title)
        for vector in read(phase)
        if vector.only == only
    ]
    return pytest.mark.parametrize("vector", found)


def request_of(lines: list[str]) -> bytes:
    """The lines with their CRLF, and what is abbreviated in them written out."""
    text = "".join(f"{line}\r\n" for line in lines)
    text = re.sub(r"\\[rnt0]", lambda found: _ESCAPES[found[0]], text)
    text = re.sub(r"\{(.)\*(\d+)\}", lambda found: found[1] * int(found[2]), text)
    return text.encode("latin-1")


def bytes_of(line: str) -> bytes:
    """`61 62*3` as four bytes: 61 and three times 62."""
    words = (word.partition("*") for word in line.split())
    return b"".join(bytes.fromhex(hex) * int(count or 1) for hex, _, count in words)


def play(client: Client, vector: Vector) -> None:
    """Frames need a client that has shaken hands, a request one that has not."""
    try:
        if client.upgraded:
            _play_frames(client, vector)
        else:
            _play_request(client, vector)
    except CheckFailed as failure:
        # What add_note() of Python 3.11 does.
        failure.__notes__ = [*getattr(failure, "__notes__", []), vector.name]
        raise


def _play_request(client: Client, vector: Vector) -> None:
    (step,) = vector.steps
    client.send_request(request_of(step.sent))
    statuses = tuple(map(int, step.answer[0].split(" or ")))
    if 101 in statuses:
        response = client.expect_response(statuses, vector.rule)
    else:
        response = client.expect_refusal(*statuses, rule=vector.rule)
    for line in step.answer[1:]:
        name, _, wanted = line.partition(": ")
        value = response.header(name)
        exact = name == "Sec-WebSocket-Accept"
        if value == wanted if exact else wanted.lower() in response.tokens(name):
            continue
        client.fail(line, f"it is {value!r}", vector.rule, draw_text(wanted, value or ""))
    if 101 in statuses:
        client.expect_open(vector.rule)


def _play_frames(client: Client, vector: Vector) -> None:
    for step in vector.steps:
        pieces = [bytes_of(line) for line in step.sent]
        with suppress(OSError):  # it broke between two pieces: what came until then tells why
            client.send_frames(b"".join(pieces), cuts=accumulate(map(len, pieces)))
        expected = b""
        for line in step.answer:
            if line == "end":
                _expect(client, expected, vector.rule)
                client.expect_eof(vector.rule)
                return
            if line.startswith("close "):
                _expect(client, expected, vector.rule)
                client.expect_failure(int(line.removeprefix("close ")), vector.rule)
                return
            expected += b"" if line == "nothing" else bytes_of(line)
        _expect(client, expected, vector.rule)
    client.expect_open(vector.rule)
    check(
        not client.inbox,
        "nothing more",
        f"this came: {bytes(client.inbox[:40]).hex(' ')}",
        vector.rule,
        client=client,
    )


def _expect(client: Client, expected: bytes, rule: str) -> None:
    if expected:
        client.expect_bytes(expected, rule)
