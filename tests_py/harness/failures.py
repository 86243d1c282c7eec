"""A failed check, told so that the learner can act on it: what was expected, what came, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.connection import Connection
    from harness.server import Server

TODO_EXIT = 70  # a task that is not written yet ends the server with this status


@dataclass
class CheckFailed(Exception):
    """Raised by every expectation of the harness; conftest.py prints `report`, not a traceback."""

    expected: str
    but: str
    rule: str = ""  # the section that says so, such as "RFC 6455 §5.1"
    drawn: list[str] = field(default_factory=list)
    cause: str | None = None
    client: Connection | None = None
    server: Server | None = None

    def __str__(self) -> str:
        return f"expected {self.expected}, but {self.but}"


def check(
    holds: object,
    expected: str,
    but: str,
    rule: str = "",
    *,
    cause: str | None = None,
    client: Connection | None = None,
    server: Server | None = None,
    drawn: list[str] | None = None,
) -> None:
    """An assertion that explains itself."""
    if not holds:
        raise CheckFailed(expected, but, rule, drawn or [], cause, client, server)


def _section(title: str, lines: list[str]) -> list[str]:
    return ["", title, *("  " + line for line in lines)] if lines else []


def report(
    failure: CheckFailed,
    title: str,
    server: Server | None,
    replay: str,
    hint: str,
    notes: list[str],
) -> str:
    """The whole report as text: no colour, no traceback, at most about sixty lines."""
    server = failure.server or (failure.client.server if failure.client else None) or server
    missing = server.missing_task() if server else None
    if missing:
        return "\n".join([title, "", missing, "", f"hint      {hint}", f"replay    {replay}"])
    cause = failure.cause
    died = server and not server.stopped and server.process.poll() is not None
    if died and failure.client:
        cause = "the server is gone: its last words stand below."
    rule = f"  ({failure.rule})" if failure.rule else ""
    lines = [
        title,
        "",
        f"expected  {failure.expected}{rule}",
        f"but       {failure.but}",
    ]
    if cause:
        lines += ["", f"likely cause: {cause}"]
    lines += _section("the bytes", failure.drawn)
    if failure.client:
        lines += _section("what happened", failure.client.transcript())
    if server:
        lines += _section("the server", server.last_words())
    lines += _section("the example that failed", notes)
    lines += ["", f"replay    {replay}", f"hint      {hint}"]
    return "\n".join(lines)
