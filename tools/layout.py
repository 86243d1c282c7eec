"""`start` and `reset`: a learner's copy of a phase, with the functions of its tasks to be written.

What was laid out is remembered under work/base/, file by file: a text that differs from it is an
edit. An edit is never overwritten; where the workbook has changed since, the two are merged.
"""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import click

from tools import exercises, screen, store
from tools.exercises import Function
from tools.params import PHASE, TASK
from tools.workbook import Task, Workbook

COMPILE_FLAGS = "-xc++\n-std=c++20\n-I..\n-Wall\n-Wextra\n-Wpedantic\n"  # for clangd


@dataclass
class Text:
    """What a file of a phase is to begin with."""

    text: str
    carried: bool = False  # from the phase before, as the learner wrote it
    filled: list[Function] = field(default_factory=list)  # were left blank there


@dataclass
class Change:
    """What became of one file."""

    path: Path
    what: str  # new, same, kept, updated, merged, conflict, restored
    source: Text
    aside: Path | None = None  # where the other text is


# --- what a phase begins with -------------------------------------------------------------------


def laid_out(book: Workbook, phase: int, origin: str) -> dict[str, Text]:
    """Each file of the phase: its own with the tasks blanked, the others as they were written."""
    found = {}
    for path in exercises.sources(book.reference(phase)):
        text = store.read(path)
        if not path.is_symlink():
            own = [] if path.name.endswith("_test.cpp") else _own_functions(text, path.name, phase)
            found[path.name] = Text(exercises.blanked(text, own))
        elif origin == "reference":
            found[path.name] = Text(text)
        else:
            found[path.name] = _filled_in(written(book, phase - 1, path.name), text, path.name)
    return found


def _own_functions(text: str, name: str, phase: int) -> list[Function]:
    return [f for f in exercises.functions_in(text, name) if int(f.task[0]) == phase]


def written(book: Workbook, phase: int, name: str) -> str:
    """A file at the end of a phase: as the learner has edited it there or before, or as it is."""
    path, base = book.copy(phase) / name, base_file(book, phase, name)
    if path.exists() and not (base.exists() and store.read(path) == store.read(base)):
        return store.read(path)
    reference = book.reference(phase) / name
    if not reference.is_symlink() or origin_of(book, phase) == "reference":
        return store.read(reference)
    return written(book, phase - 1, name)


def origin_of(book: Workbook, phase: int) -> str:
    """Where a phase was told to take from what it carries on: "mine" or "reference"."""
    found: str = store.progress(book)["origins"].get(str(phase), "mine")
    return found


def _filled_in(text: str, reference: str, name: str) -> Text:
    """What the learner left blank in the phase before comes from the finished code."""
    filled: list[Function] = []
    for function in reversed(exercises.functions_in(reference, name)):
        mine = exercises.find(text, function)
        if mine and exercises.TODO.search(exercises.body_of(text, mine)):
            lines = text.split("\n")
            lines[mine.opens + 1 : mine.ends] = exercises.body_of(reference, function).split("\n")
            text = "\n".join(lines)
            filled.insert(0, function)
    return Text(text, text != reference, filled)


def base_file(book: Workbook, phase: int, name: str) -> Path:
    return book.work / "base" / f"phase{phase}" / name


# --- laying it out ------------------------------------------------------------------------------


def lay_out(book: Workbook, phase: int, origin: str | None = None) -> list[Change]:
    """`origin` is remembered: without one, it is what it was."""
    if origin:
        with store.update(book) as record:
            record["origins"][str(phase)] = origin
    with store.lock(book):
        texts = laid_out(book, phase, origin_of(book, phase))
        changes = [_lay_out_file(book, phase, name, text) for name, text in texts.items()]
        flags = book.work / "compile_flags.txt"
        if not flags.exists():
            store.write(flags, COMPILE_FLAGS)
    return changes


def _lay_out_file(book: Workbook, phase: int, name: str, source: Text) -> Change:
    """The file first, what was laid out last: a start that is cut short can be started again."""
    path, base = book.copy(phase) / name, base_file(book, phase, name)
    now = store.read(path) if path.exists() else None
    was = store.read(base) if base.exists() else None
    change = Change(path, _what_to_do(now, was, source.text), source)
    if change.what in ("new", "restored", "updated"):
        store.write(path, source.text)
    elif change.what == "merged":
        change = _merge(book, phase, path, change)
    if source.text != was and change.what != "foreign":
        store.write(base, source.text)
    return change


def _what_to_do(now: str | None, was: str | None, text: str) -> str:
    if now is None:
        return "new" if was is None else "restored"
    if now == text:
        return "same"
    if was is None:
        return "foreign"  # nobody knows what it began as: it stays as it is
    if now == was:
        return "updated"
    return "kept" if text == was else "merged"


def _merge(book: Workbook, phase: int, path: Path, change: Change) -> Change:
    """The edit and what has changed in the workbook, both. Where they meet, the edit stands."""
    merged = merge3(
        store.read(path), store.read(base_file(book, phase, path.name)), change.source.text
    )
    if merged is None:
        new = book.work / "kept" / f"phase{phase}-new" / path.name
        store.write(new, change.source.text)
        return Change(path, "conflict", change.source, new)
    kept = store.keep(book, f"phase{phase}-merged", path)
    store.write(path, merged)
    return Change(path, "merged", change.source, kept)


def merge3(mine: str, base: str, theirs: str) -> str | None:
    """None where the two changes overlap."""
    with tempfile.TemporaryDirectory() as directory:
        names = []
        for name, text in (("mine", mine), ("base", base), ("theirs", theirs)):
            store.write(Path(directory) / name, text)
            names.append(str(Path(directory) / name))
        if not shutil.which("git"):
            return None
        command = ["git", "merge-file", "-p", "-q", *names]
        result = subprocess.run(command, capture_output=True, check=False)
    return result.stdout.decode(**store.ENCODING) if result.returncode == 0 else None


# --- what is left to write ----------------------------------------------------------------------


def blanks(book: Workbook, phase: int) -> list[tuple[str, Path, int, str]]:
    """The places that still call todo(): the task, the file, the line, the function."""
    found = []
    if not book.is_started(phase):
        return []
    functions = exercises.functions_of_phase(book, phase)
    for path in exercises.sources(book.copy(phase)):
        text = store.read(path)
        for number, line in enumerate(text.split("\n"), 1):
            for task in exercises.TODO.findall(line):
                found.append((task, path, number, _name_at(text, number, path.name, functions)))
    return sorted(found, key=lambda blank: blank[0])


def _name_at(text: str, line: int, file: str, functions: list[Function]) -> str:
    for function in functions:
        mine = exercises.find(text, function) if function.file == file else None
        if mine and mine.opens < line <= mine.ends:
            return function.name
    return ""


# --- the verbs ------------------------------------------------------------------------------------


@click.command()
@click.argument("phase", type=PHASE)
@click.option(
    "--from",
    "source",
    type=click.Choice(["mine", "reference"]),
    help="Where the files come from that the phase carries on unchanged: what you wrote in the "
    "phase before (mine: so it is unless you say otherwise), or the finished code.",
)
def start(phase: int, source: str | None) -> None:
    """Lay out PHASE in work/phaseN, its tasks to be written.

    Each function of the phase's tasks has the body `todo("3.1");` and everything else stands. Files
    that the phase takes over unchanged come from your phase before. Started again, it keeps your
    edits and brings in what has changed in the workbook since.
    """
    book = Workbook()
    begun = book.is_started(phase)
    changes = lay_out(book, phase, source)
    screen.title(f"Phase {phase}: {book.phase_title(phase)}")
    screen.say(f"{len(changes)} files are in {book.shown(book.copy(phase))}.")
    if begun:
        screen.say("It was laid out before; what you have written stays.")
    _tell_changes(book, phase, changes, begun)
    lesson = book.reference(phase) / "README.md"
    if lesson.exists():
        screen.say(f"The lesson is {book.shown(lesson)}.")
    _tell_tasks(book, phase)
    from tools.progress import next_for

    screen.next_step(*next_for(book, phase))


def _tell_changes(book: Workbook, phase: int, changes: list[Change], begun: bool) -> None:
    by_kind: dict[str, list[Change]] = {}
    for change in changes:
        by_kind.setdefault(change.what, []).append(change)
    carried = [c.path.name for c in changes if c.source.carried and c.what in ("new", "restored")]
    if carried:
        screen.say(f"From your phase {phase - 1}: {', '.join(carried)}.")
    filled = [f.name for c in changes if c.what == "new" for f in c.source.filled]
    if filled:
        screen.say(f"Left blank there, so taken from the finished code: {', '.join(filled)}.")
    sentences = {
        "kept": "You have edited these; they are as you left them",
        "foreign": "These were here already; they are as they were",
        "updated": "The workbook has changed; brought up to date",
        "restored": "These were gone; they are back",
    }
    for kind, sentence in sentences.items():
        names = [change.path.name for change in by_kind.get(kind, [])]
        if names and (begun or kind == "foreign"):
            screen.say(f"{sentence}: {', '.join(names)}.")
    for change in by_kind.get("merged", []):
        screen.say(
            f"{change.path.name} has both now, your edits and what has changed in the workbook; "
            f"as it was: {book.shown(change.aside or change.path)}."
        )
    for change in by_kind.get("conflict", []):
        screen.say(
            f"{change.path.name} has changed in the workbook where you have edited it. Yours "
            f"stays; the new text is {book.shown(change.aside or change.path)}."
        )


def _tell_tasks(book: Workbook, phase: int) -> None:
    left = blanks(book, phase)
    for task in book.tasks_of(phase):
        screen.say()
        screen.say(f"{task.number}  {task.title}", "bold")
        places = [blank for blank in left if blank[0] == task.number]
        for _, path, line, name in places:
            screen.say(f"     {book.shown(path)}:{line}  {name}")


@click.command()
@click.argument("task", type=TASK)
def reset(task: Task) -> None:
    """Blank the functions of TASK again; the old text is kept.

    The whole file as it was goes to work/kept/, so nothing that you wrote is lost.
    """
    book = Workbook()
    if not book.is_started(task.phase):
        screen.stop(f"Phase {task.phase} is not laid out.", f"./learn start {task.phase}")
    functions = exercises.functions_of_task(book, task.number)
    if not functions:
        screen.stop(f"Task {task.number} has no function to blank.", f"./learn hint {task.number}")
    with store.lock(book):
        for name in sorted({function.file for function in functions}):
            _reset_file(book, task, name, [f for f in functions if f.file == name])
    screen.next_step(
        (f"./learn hint {task.number}", "a hint"),
        (f"./learn test {task.phase}", "when it is written"),
    )


def _reset_file(book: Workbook, task: Task, name: str, functions: list[Function]) -> None:
    path = book.copy(task.phase) / name
    if not path.exists():
        screen.bad(f"{book.shown(path)} is gone; ./learn start {task.phase} brings it back.")
        return
    text = store.read(path)
    mine = [(function, exercises.find(text, function)) for function in functions]
    for function, found in mine:
        if found is None:
            screen.bad(f"{function.name} is not found in {book.shown(path)}; it stays as it is.")
    written = [found for _, found in mine if found]
    new = exercises.blanked(text, written)
    if new == text:
        screen.say(f"{book.shown(path)}: nothing to blank.")
        return
    kept = store.keep(book, f"task-{task.number}", path)
    store.write(path, new)
    names = ", ".join(function.name for function in written)
    screen.good(f"{book.shown(path)}: {names} blank again; as it was: {book.shown(kept)}")
