"""How far the learner is: what was run, on which code, and what it says now.

A task has passed when all its tests have, on the code as it is now. The boxes of ROADMAP.md say
just that.
"""

import hashlib
import os
import shlex
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from tools import exercises, layout, screen, store
from tools.workbook import Task, Workbook, with_ticks

Blank = tuple[str, Path, int, str]


@dataclass(frozen=True)
class State:
    """What is known of a task."""

    task: Task
    what: str  # passed, failing, changed, untested, blank, not started
    hints: int = 0
    tests: int = 0
    failed: str = ""  # the sentence of the first test that failed
    server: str = ""  # what it was run on, if not on work/
    blanks: tuple[Blank, ...] = ()  # what is still to be written

    @property
    def mark(self) -> str:
        return {"passed": "✓", "failing": "✗", "changed": "~"}.get(self.what, "·")

    @property
    def words(self) -> str:
        hints = f", with {self.hints} hint{'s' * (self.hints > 1)}" if self.hints else ""
        on = f" on {self.server}" if self.server else ""
        return {
            "passed": f"passed {self.tests} test{'s' * (self.tests != 1)}{on}{hints}",
            "failing": f"failing: {self.failed}",
            "changed": f"the code has changed since it passed{on}{hints}",
            "untested": "written, not tested yet",
            "blank": f"to be written: {len(self.blanks)} place{'s' * (len(self.blanks) != 1)}",
        }.get(self.what, "not started")


# --- which code a run was on ----------------------------------------------------------------------


def fingerprint(book: Workbook, task: Task, server: str | None = None) -> str:
    """Of all code under a task. What later tasks of the phase write in their functions is not."""
    digest = hashlib.sha256()
    if server:
        digest.update(server.encode())
        for path in files_of_command(server):
            digest.update(path.read_bytes())
        return digest.hexdigest()
    if task.number == "0.2" or not book.is_started(task.phase):
        return ""
    functions = exercises.functions_of_phase(book, task.phase)
    later = [function for function in functions if function.task > task.number]
    for path in exercises.sources(book.copy(task.phase)):
        if not path.name.endswith("_test.cpp"):
            text = _without(store.read(path), [f for f in later if f.file == path.name])
            digest.update(f"{path.name}\0{text}\0".encode(**store.ENCODING))
    return digest.hexdigest()


def _without(text: str, functions: list[exercises.Function]) -> str:
    """The text without the bodies of these functions, and without what blanks bring with them."""
    found = [mine for function in functions if (mine := exercises.find(text, function))]
    lines = text.split("\n")
    for mine in sorted(found, key=lambda function: -function.opens):
        del lines[mine.opens + 1 : mine.ends]
    return "\n".join(line for line in lines if line.strip() and "common/todo.hpp" not in line)


def files_of_command(server: str) -> list[Path]:
    """The files that a server's command names: `python3 mine.py` → mine.py."""
    paths = [Path(word) for word in shlex.split(server)]
    return [
        path.resolve() for path in paths if os.sep in str(path) or path.suffix if path.is_file()
    ]


def counts(book: Workbook, server: str | None) -> bool:
    """A run counts on the learner's own code: not on the workbook's, nor on what is not known."""
    if not server:
        return True
    files = files_of_command(server)
    own = [f for f in files if not f.is_relative_to(book.root) or f.is_relative_to(book.work)]
    return bool(files) and own == files


# --- the states ---------------------------------------------------------------------------------


def states(book: Workbook) -> list[State]:
    record = store.progress(book)
    blanks = {phase: layout.blanks(book, phase) for phase in {task.phase for task in book.tasks}}
    return [_state(book, task, record, blanks[task.phase]) for task in book.tasks]


def _state(book: Workbook, task: Task, record: dict[str, Any], blanks: list[Blank]) -> State:
    run: dict[str, Any] | None = record["runs"].get(task.number)
    hints: int = record["hints"].get(task.number, 0)
    mine = tuple(blank for blank in blanks if blank[0] == task.number)
    server: str = (run or {}).get("server") or ""
    if mine and not (run and server):
        return State(task, "blank", hints, blanks=mine)
    if run is None:
        return State(task, "untested" if _has_code(book, task) else "not started", hints)
    same = run["fingerprint"] == fingerprint(book, task, server)
    if run["passed"]:
        return State(task, "passed" if same else "changed", hints, run["tests"], server=server)
    if not same:
        return State(task, "untested", hints)
    return State(task, "failing", hints, failed=run["failed"], server=server)


def _has_code(book: Workbook, task: Task) -> bool:
    return book.is_started(task.phase) and bool(exercises.functions_of_task(book, task.number))


def record_run(
    book: Workbook, task: Task, passed: bool, tests: int, failed: str, server: str | None
) -> None:
    with store.update(book) as record:
        record["runs"][task.number] = {
            "passed": passed,
            "tests": tests,
            "failed": failed,
            "server": server,
            "fingerprint": fingerprint(book, task, server),
        }


# --- the boxes of ROADMAP.md ----------------------------------------------------------------------


def tick(book: Workbook) -> list[str]:
    """Tick what has passed, untick what has not; what was changed, in words."""
    now = {state.task.number: state for state in states(book)}
    passed = {number for number, state in now.items() if state.what == "passed"}
    before = {task.number for task in book.tasks if task.ticked}
    with store.lock(book):
        text = store.read(book.roadmap_file)
        new = with_ticks(text, passed)
        if new != text:
            store.write(book.roadmap_file, new)
    ticked, unticked = sorted(passed - before), sorted(before - passed)
    told = [f"{', '.join(ticked)} ticked in ROADMAP.md"] if ticked else []
    return told + [f"{n} unticked in ROADMAP.md: {now[n].words}" for n in unticked]


# --- what is next ---------------------------------------------------------------------------------


def next_task(all_states: list[State]) -> State | None:
    return next((state for state in all_states if state.what != "passed"), None)


def next_for(book: Workbook, phase: int | None = None) -> list[tuple[str, str]]:
    """What to type now: for the first task that has not passed, of this phase if there is one."""
    found = states(book)
    here = [state for state in found if state.task.phase == phase]
    failing = next((state for state in here if state.what == "failing"), None)
    state = failing or next_task(here) or next_task(found)
    if state is None:
        return [("./learn status", "all is done")]
    return steps_for(book, state)


def steps_for(book: Workbook, state: State) -> list[tuple[str, str]]:
    number, phase = state.task.number, state.task.phase
    hint = (f"./learn hint {number}", "if you are stuck")
    if number == "0.2":
        return [(f"./learn test {phase}", "are the tools of the lessons here?"), hint]
    if not book.is_started(phase):
        return [(f"./learn start {phase}", f"lays out work/phase{phase}")]
    if state.what == "blank":
        return [(f"./learn test {phase}", f"when {number} is written"), hint]
    if state.what == "failing":
        return [hint, (f"./learn test {phase}", "when it is mended")]
    return [(f"./learn test {phase}", "checks it")]


# --- the screens ----------------------------------------------------------------------------------


def where() -> None:
    """./learn without a verb."""
    book = Workbook()
    found = states(book)
    done = sum(state.what == "passed" for state in found)
    screen.say("".join(state.mark for state in found) + f"  {done} of {len(found)} tasks passed")
    state = next_task(found)
    screen.say()
    if state is None:
        screen.good("You have written a WebSocket server. phase5 is yours: leave it running.")
        screen.next_step(
            ("./learn status", "all your tasks"), ("./learn --help", "what else there is")
        )
        return
    screen.title(f"Phase {state.task.phase}: {book.phase_title(state.task.phase)}")
    screen.title(f"{state.task.number}  {state.task.title}")
    screen.say(state.task.text)
    screen.say()
    screen.say(f"{state.mark} {state.words}")
    _tell_blanks(book, state)
    screen.next_step(*steps_for(book, state))


def _tell_blanks(book: Workbook, state: State) -> None:
    for _, path, line, name in state.blanks:
        screen.say(f"  {book.shown(path)}:{line}  {name}")


@click.command()
def status() -> None:
    """Every task: not started, failing, passed, passed with hints.

    A task has passed when all its tests have, on the code as it is now; change the code, and it
    has to pass again. The boxes of ROADMAP.md are set to this. Nothing else that git knows of is
    changed by ./learn.
    """
    book = Workbook()
    found = states(book)
    width = max(len(state.task.title) for state in found)
    styles = {"passed": "green", "failing": "red", "changed": "yellow"}
    for phase, group in groupby(found, key=lambda state: state.task.phase):
        screen.title(f"Phase {phase}: {book.phase_title(phase)}")
        for state in group:
            name = f"{state.task.number}  {state.task.title.ljust(width)}"
            screen.say(f"  {state.mark} {name}  {state.words}", styles.get(state.what, ""))
    for line in tick(book):
        screen.say(line)
    ahead = next_task(found)
    done = [("./learn --help", "what else there is")]
    screen.next_step(*(steps_for(book, ahead) if ahead else done))
