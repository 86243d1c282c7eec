"""Attacks that are programs of their own: each prints a line `RESULT {…}` for a row of the table."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

from trust import TOP
from trust.trial import Result, Settings


@dataclass(frozen=True)
class Program:
    """`command` may hold {build}, where the programs are; `quick` is added where it is to be quick.

    None: it is left out then.
    """

    name: str
    command: str
    quick: str | None
    attacks: tuple[str, ...]  # which it tells of
    longest: float = 900.0  # seconds


PROGRAMS = [
    Program(
        "faults",
        "{build}/trust/faults",
        "--quick",
        ("system calls that fail", "OpenSSL calls that fail", "memory that runs out"),
    ),
    Program(
        "fuzz",
        "make fuzz",
        None,  # make check runs it for itself
        (
            "fuzz: request head",
            "fuzz: frame decoder",
            "fuzz: Protocol",
            "fuzz: the whole server",
        ),
    ),
]


def run_program(program: Program, settings: Settings) -> Iterator[Result]:
    """Its rows; one more where it failed, ran too long or did not tell of all that it should."""
    if settings.quick and program.quick is None:
        return
    words = program.command.format(build=settings.build).split()
    words += [program.quick] if settings.quick else []
    begin = time.monotonic()
    try:
        done = subprocess.run(
            words, cwd=TOP, capture_output=True, text=True, timeout=program.longest
        )
        status, out, err = f"exit status {done.returncode}", done.stdout, done.stderr
        failed = done.returncode != 0
    except (OSError, subprocess.TimeoutExpired) as error:
        status, out, err, failed = str(error), "", "", True
    rows = list(parse(out))
    seconds = time.monotonic() - begin
    for row in rows:
        row.seconds = seconds / len(rows)
    yield from rows
    silent = set(program.attacks) - {row.attack for row in rows}
    if failed and all(row.ok for row in rows) or silent:
        last = "\n".join([status, *(out + err).splitlines()[-8:]])
        yield Result(program.name, program.command, len(rows), False, last, seconds)


def parse(output: str) -> Iterator[Result]:
    for line in output.splitlines():
        if line.startswith("RESULT "):
            row = json.loads(line.removeprefix("RESULT "))
            yield Result(
                row["attack"], row["tried"], row["count"], row["ok"], row.get("detail", "")
            )
