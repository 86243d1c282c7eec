"""`./learn review N`: the debugging checklist of the roadmap, measured on a running server."""

from __future__ import annotations

import os
import shlex
import sys
import time
from typing import TYPE_CHECKING

import click

from tools.ink import bad, bold, dim, good, next_step, plural, say, warn
from tools.params import PHASE
from tools.screen import on_terminal

if TYPE_CHECKING:
    from tools.review_parts import Check, Outcome, Subject

Done = list[tuple["Check", "Outcome"]]

ITEMS = {
    1: "Is every socket non-blocking?",
    2: "Is EAGAIN taken for “not now”, and EINTR for “again”?",
    3: "Is epoll asked for the right events, and not too often?",
    4: "Are client frames unmasked?",
    5: "Are partial reads and writes carried on from where they stopped?",
    6: "TLS: is WANT_READ and WANT_WRITE heeded, in both directions?",
    7: "Fragments: in the right order, and a clean state after the last?",
    8: "What does strace say: calls a message, silence, descriptors?",
}


def _checks() -> list[Check]:
    from tools import review_calls, review_wire

    return sorted(review_calls.CHECKS + review_wire.CHECKS, key=lambda check: check.item)


def _say_failure(check: Check, outcome: Outcome, phase: int, own: bool) -> None:
    """What was measured, why, where to look, whom to ask."""
    if outcome.task:
        say(f"        {outcome.measured}: ./learn hint {outcome.task}")
        return
    rows = [("measured", outcome.measured)]
    rows += [("likely cause", outcome.cause)] if outcome.cause else []
    where = check.help.where + (f" ({check.help.file})" if own and check.help.file else "")
    rows += [
        ("look at", where),
        ("ask", f"./learn hint {check.help.task_in(phase)}"),
    ]
    for label, text in rows:
        say(f"        {dim(f'{label:<13}')} {text}")
    for line in outcome.drawn:
        say(f"        {'':<13} {dim(line)}")


def _say_outcome(check: Check, outcome: Outcome, phase: int, own: bool) -> None:
    if outcome.state == "failed":
        say(f"    {bad('✗')} {bold(check.name)}")
        _say_failure(check, outcome, phase, own)
        return
    if outcome.state == "not in this phase":
        say(f"    {dim('–')} not in this phase: {outcome.measured}")
    elif outcome.state == "passed":
        say(f"    {good('✓')} {check.name}: {outcome.measured}")
    else:
        say(f"    {warn('?')} {check.name}: not measured: {outcome.measured}")


class _Progress:
    """On a terminal, a line that says what is being measured, and goes away."""

    def show(self, text: str) -> None:
        if on_terminal():
            click.echo(f"    … {text}\r", nl=False)

    def clear(self) -> None:
        if on_terminal():
            click.echo("\r\033[K", nl=False)


def _measure(subject: Subject, items: tuple[int, ...], own: bool) -> Done:
    progress, last, absent = _Progress(), 0, ""
    done: Done = []
    for check in _checks():
        if items and check.item not in items:
            continue
        if check.item != last:
            last, absent = check.item, ""
            say(f" {bold(str(last))}  {bold(ITEMS[last])}")
        progress.show(check.name)
        outcome = check.run(subject)
        progress.clear()
        if outcome.state != "not in this phase" or outcome.measured != absent:
            _say_outcome(check, outcome, subject.phase, own)
        absent = outcome.measured if outcome.state == "not in this phase" else ""
        sys.stdout.flush()
        done.append((check, outcome))
    return done


def _verdict(states: list[str]) -> str:
    """Of an item, by its checks."""
    for state in ("failed", "passed", "not measured"):
        if state in states:
            return state
    return "not in this phase"


def _say_summary(done: Done, took: float) -> None:
    by_item: dict[int, list[str]] = {}
    for check, outcome in done:
        by_item.setdefault(check.item, []).append(outcome.state)
    verdicts = [_verdict(states) for states in by_item.values()]
    paint = {"passed": good, "failed": bad, "not measured": warn}
    counts = [
        paint.get(state, dim)(f"{verdicts.count(state)} {state}")
        for state in ("passed", "failed", "not measured", "not in this phase")
        if state in verdicts
    ]
    say()
    say(f"{plural(len(verdicts), 'item')}: {', '.join(counts)}   {dim(f'{took:.1f} s')}")


def _next(done: Done, phase: int, server: str | None) -> None:
    option = f" --server {shlex.quote(server)}" if server else ""
    failed = [(check, outcome) for check, outcome in done if outcome.state == "failed"]
    if failed:
        check, outcome = failed[0]
        task = outcome.task or check.help.task_in(phase)
        steps = [(f"./learn hint {task}", "a hint")]
        steps.append((f"./learn review {phase} --item {check.item}{option}", "when it is mended"))
    else:
        steps = [(f"./learn trace {phase}{option}", "see its system calls")]
        steps.append(
            (f"./learn start {phase + 1}", "the next phase")
            if phase < 5
            else ("./learn status", "where you are")
        )
    if server:  # such commands are long: a column for what they do would be far to the right
        next_step(*[typed for typed, _ in steps])
    else:
        next_step(*steps)


def _set_deadlines() -> None:
    """Half of what the suites wait: an item that fails shall not hold up the others for long."""
    from harness import deadlines

    busy = os.getloadavg()[0] / (os.cpu_count() or 1)
    scale = float(os.environ.get("WS_DEADLINE_SCALE", max(1.0, min(busy, 5.0))))
    deadlines.set_scale(scale / 2)


def _try_out(subject: Subject, server: str | None) -> None:
    """A server that does not start, or lacks the first thing that it must do, can't be reviewed."""
    from tools.live import fate_of
    from tools.review_parts import exchange
    from tools.screen import stop
    from harness.failures import CheckFailed

    started = False
    test = f"./learn test {subject.phase}" + (f" --server {shlex.quote(server)}" if server else "")
    try:
        with subject.start() as session:
            started = True
            for tls in subject.ports:
                exchange(session.connect(tls=tls), subject.phase, "hello")
    except CheckFailed as failure:
        fate = fate_of(failure)
        if fate and fate.todo:
            stop(
                f"task {fate.todo} is not written yet: there is nothing to review",
                f"./learn hint {fate.todo}",
            )
        if not started or fate and fate.ending:
            told = "\n".join(
                [
                    f"expected {failure.expected}, but {failure.but}",
                    *(fate.stderr[-4:] if fate else []),
                ]
            )
            ended = f"the server {fate.ending}; " if fate and fate.ending else ""
            stop(f"{ended}{told}", test)
    except OSError as error:
        stop(f"it can't be started: {error}", test)


@click.command()
@click.argument("phase", type=PHASE)
@click.option(
    "--server",
    metavar="CMD",
    help="Review this command instead: any language, if it keeps the contract.",
)
@click.option(
    "--item",
    "items",
    type=click.IntRange(1, 8),
    multiple=True,
    help="Only this item of the eight; repeatable.",
)
def review(phase: int, server: str | None, items: tuple[int, ...]) -> None:
    """The debugging checklist, all eight items, measured on your running server.

    It starts what you wrote in work/phaseN (or the reference ./phaseN, while there is nothing), talks to it,
    looks into /proc, and lets strace make its calls fail. For each item: passed, or what was measured, the
    likely cause, where to look, and which hint to ask for. Nothing of it depends on the language.

    \b
      ./learn review 3
      ./learn review 3 --item 5                          one item
      ./learn review 3 --server "python3 mine.py"        any server that keeps the contract
      ./learn review 3 --server ./phase3                 the reference, to compare

    Exit status: 0 when nothing failed, 1 when something did.
    """
    from tools.screen import stop

    if phase == 0:
        stop("phase 0 is no server: there is nothing to review", "./learn doctor")
    from tools.live import NotBuilt, choose, why_no_strace
    from tools.review_parts import Subject

    try:
        target, name = choose(phase, server)
    except NotBuilt as missing:
        stop(str(missing), *missing.steps)
    began = time.monotonic()
    no_strace = why_no_strace()
    _set_deadlines()
    say(f"{bold(f'Review of phase {phase}')}: {name}")
    if no_strace:
        say(warn(f"strace may not trace here ({no_strace}): what needs it is not measured"))
    say()
    subject = Subject(target, no_strace and f"strace: {no_strace}")
    _try_out(subject, server)
    done = _measure(subject, items, own=server is None)
    _say_summary(done, time.monotonic() - began)
    _next(done, phase, server)
    sys.exit(any(outcome.state == "failed" for _, outcome in done))


if __name__ == "__main__":
    review()
