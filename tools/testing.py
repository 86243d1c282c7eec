"""`test` and `watch`: build what the learner wrote, run its checks, explain the first that fails."""

import json
import os
import queue
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from tools import build as building
from tools import layout, progress, screen, store
from tools.params import PHASE, TASK
from tools.workbook import Task, Workbook

TODO_EXIT = 70  # of common/todo.hpp


@dataclass
class Run:
    """What pytest did."""

    tests: dict[str, int] = field(default_factory=dict)  # of each task
    passed: dict[str, int] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    words: str = ""  # what pytest said, for when it could not run
    status: int = 0

    @property
    def failed(self) -> dict[str, Any] | None:
        """The first failure."""
        return self.failures[0] if self.failures else None

    def done(self, task: str) -> int:
        skipped = sum(1 for line in self.skipped if line == task)
        return self.passed.get(task, 0) + skipped

    def has_passed(self, task: str) -> bool:
        return self.tests.get(task, 0) == self.done(task) > 0 and self.passed.get(task, 0) > 0


# --- pytest -----------------------------------------------------------------------------------


def pytest_command(
    phase: int, tasks: list[str], server: str | None, build: str, stop: bool, fd: int
) -> list[str]:
    on = ["--server", server] if server else ["--build", build]
    suite = f"tests_py/test_phase{phase}.py"
    plain = ["-q", "-p", "no:cacheprovider", "-p", "tools.recorder", *["-x"] * stop]
    record = ["--record-to", str(fd), "--tasks", ",".join(tasks)]
    return [sys.executable, "-m", "pytest", *plain, *record, suite, *on]


def run_suite(
    book: Workbook,
    phase: int,
    tasks: list[str],
    server: str | None = None,
    on_event: Callable[[Run], None] = lambda run: None,
    *,
    build: str = "work/build",
    stop: bool = True,
) -> Run:
    """The black-box tests of these tasks. `stop`: at the first that fails."""
    run = Run()
    receive, send = os.pipe()
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as words:
        process = subprocess.Popen(
            pytest_command(phase, tasks, server, build, stop, send),
            cwd=book.root,
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=subprocess.STDOUT,
            pass_fds=[send],
        )
        os.close(send)
        try:
            with open(receive, encoding="utf-8") as events:
                for line in events:
                    _take(run, json.loads(line))
                    on_event(run)
            run.status = process.wait()
        finally:
            if process.poll() is None:  # Ctrl-C: pytest has had it too, and ends its servers
                process.wait()
        words.seek(0)
        run.words = words.read()
    return run


def _take(run: Run, event: dict[str, Any]) -> None:
    if event["event"] == "collected":
        run.tests = event["tests"]
    elif event["outcome"] == "failed":
        run.failures.append(event)
    elif event["outcome"] == "skipped":
        run.skipped.append(event["task"])
    else:
        run.passed[event["task"]] = run.passed.get(event["task"], 0) + 1


def live(phase: int) -> Iterator[Callable[[Run], None]]:
    """Counts on a terminal while the tests run."""
    with screen.console.status(f"phase {phase}: starting the tests") as line:

        def show(run: Run) -> None:
            counts = [f"{task} {run.done(task)}/{count}" for task, count in run.tests.items()]
            line.update("testing   " + "   ".join(counts))

        yield show


# --- unit tests -------------------------------------------------------------------------------


def run_unit_tests(book: Workbook, phase: int) -> bool:
    """Builds and runs them; shows the first that fails."""
    with _working(f"building the unit tests of phase {phase}"):
        built = building.build(book, f"phase{phase}_unit_tests")
    if not built.ok:
        building.show_failure(built.output, f"work/phase{phase} with its unit tests")
        return False
    with _working("running the unit tests"):
        result = subprocess.run(
            [f"work/build/phase{phase}_unit_tests", "--no-colors", "--abort-after=1"],
            cwd=book.root,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    if result.returncode == 0:
        screen.good(f"unit tests: {_count_of(result.stdout)}")
        return True
    screen.bad("a unit test fails")
    screen.say()
    if result.returncode == TODO_EXIT:
        screen.say(result.stderr.strip())
    else:
        lines = result.stdout.splitlines()[2:] + result.stderr.splitlines()
        screen.say("\n".join(line for line in lines[:24] if set(line) != {"="}))
    return False


def _count_of(output: str) -> str:
    line = next((line for line in output.splitlines() if "test cases:" in line), "")
    return line.partition("test cases:")[2].partition("|")[0].strip() + " test cases passed"


def _working(what: str) -> Any:
    return screen.console.status(what)


# --- one round --------------------------------------------------------------------------------


def chosen_tasks(
    book: Workbook, phase: int, server: str | None, task: Task | None
) -> tuple[list[Task], list[Task]]:
    """What is to be tested, and what is not because it is still to be written."""
    if task:
        return [task], []
    tasks = book.tasks_of(phase)
    blank = set() if server else {blank[0] for blank in layout.blanks(book, phase)}
    return [t for t in tasks if t.number not in blank], [t for t in tasks if t.number in blank]


def one_round(
    book: Workbook, phase: int, server: str | None, task: Task | None, unit: bool = False
) -> bool:
    """Build, test, record, tick, and say what is next. Returns whether all that was run passed."""
    if not server and not book.is_started(phase):
        screen.bad(f"Phase {phase} is not laid out yet.")
        screen.next_step((f"./learn start {phase}", f"lays out work/phase{phase}"))
        return False
    if not server and not _build(book, phase):
        screen.next_step((f"./learn test {phase}", "when it is mended"))
        return False
    if unit:
        passed = run_unit_tests(book, phase)
        again = [(f"./learn test {phase} --unit", "when it is mended")]
        screen.next_step(*(progress.next_for(book, phase) if passed else again))
        return passed
    tasks, blank = chosen_tasks(book, phase, server, task)
    passed = not tasks or _check(book, phase, tasks, server)
    complete = passed and tasks and not (blank or task or server)
    units = run_unit_tests(book, phase) if complete and phase > 0 else True
    if passed:
        _tell_blank(book, phase, blank)
    for line in progress.tick(book):
        screen.say(line)
    if units:
        _tell_next(book, phase, server)
    else:
        screen.next_step((f"./learn test {phase} --unit", "when it is mended"))
    return passed and units


def _build(book: Workbook, phase: int) -> bool:
    with _working(f"building work/phase{phase}"):
        built = building.build(book, f"phase{phase}")
    if not built.ok:
        building.show_failure(built.output, f"work/phase{phase}")
    return built.ok


def _check(book: Workbook, phase: int, tasks: list[Task], server: str | None) -> bool:
    numbers = [task.number for task in tasks]
    show = live(phase)
    run = run_suite(book, phase, numbers, server, next(show))
    show.close()  # type: ignore[attr-defined]
    if run.status not in (0, 1) or (run.status == 1 and not run.failed):
        screen.bad("the tests could not run")
        screen.say("\n".join(run.words.strip().splitlines()[-12:]))
        return False
    _record(book, tasks, run, server)
    for task in tasks:
        if run.has_passed(task.number):
            count = run.tests[task.number]
            skipped = run.skipped.count(task.number)
            left_out = f", {skipped} left out" if skipped else ""
            screen.good(f"{task.number}  {task.title}  ({count} tests{left_out})")
    if run.failed:
        screen.say()
        screen.report(run.failed["report"])
    elif not all(run.has_passed(number) for number in numbers):
        missing = [number for number in numbers if not run.has_passed(number)]
        screen.say(f"No test of {', '.join(missing)} runs here.")
    return run.failed is None


def _record(book: Workbook, tasks: list[Task], run: Run, server: str | None) -> None:
    """Only what was run to its end, or failed."""
    if not progress.counts(book, server):
        screen.say("This run is not recorded: it is not on code that you wrote.", "dim")
        return
    for task in tasks:
        failed = run.failed if run.failed and run.failed["task"] == task.number else None
        if run.has_passed(task.number):
            progress.record_run(book, task, True, run.tests[task.number], "", server)
        elif failed:
            first = failed["report"].partition("\n")[0].removeprefix("✗ ").strip()
            sentence = first.removeprefix(task.number).strip()
            progress.record_run(book, task, False, 0, sentence, server)


def _tell_blank(book: Workbook, phase: int, blank: list[Task]) -> None:
    places = layout.blanks(book, phase) if blank else []
    for task in blank:
        screen.say(f"· {task.number}  {task.title}: to be written")
        for number, path, line, name in places:
            if number == task.number:
                screen.say(f"       {book.shown(path)}:{line}  {name}")


def _tell_next(book: Workbook, phase: int, server: str | None) -> None:
    if server:
        screen.next_step(("./learn status", "what has passed"))
        return
    screen.next_step(*progress.next_for(book, phase))


# --- the verbs --------------------------------------------------------------------------------


@click.command()
@click.argument("phase", type=PHASE)
@click.option("--server", metavar="CMD", help="Test this command instead of work/phaseN.")
@click.option("--task", type=TASK, help="Only this task, written or not.")
@click.option("--unit", is_flag=True, help="Only the unit tests.")
def test(phase: int, server: str | None, task: Task | None, unit: bool) -> None:
    """Build PHASE as you wrote it and check it, task by task.

    It is built with warnings as errors and with sanitizers. Then the tests of each task that is
    written run from outside, over a socket, until one fails: that one is explained. When all have
    passed, the unit tests run too. What has passed is ticked in ROADMAP.md.

    A server in another language: ./learn test 3 --server "python3 mine.py"
    """
    book = Workbook()
    if task and task.phase != phase:
        screen.stop(f"Task {task.number} is of phase {task.phase}.", f"./learn test {task.phase}")
    if not one_round(book, phase, server, task, unit):
        sys.exit(1)


@click.command()
@click.argument("phase", type=PHASE)
@click.option("--task", type=TASK, help="Only this task.")
def watch(phase: int, task: Task | None) -> None:
    """Test PHASE each time you save a file of it. Ctrl-C ends it."""
    from watchdog.events import FileSystemEvent, FileSystemEventHandler
    from watchdog.observers import Observer

    book = Workbook()
    if not book.is_started(phase):
        screen.stop(f"Phase {phase} is not laid out yet.", f"./learn start {phase}")
    saved: queue.Queue[str] = queue.Queue()

    class Handler(FileSystemEventHandler):  # type: ignore[misc]
        def on_any_event(self, event: FileSystemEvent) -> None:
            names = [event.src_path, getattr(event, "dest_path", "")]
            if event.event_type in ("created", "modified", "moved", "deleted"):
                for name in names:
                    if Path(name).suffix in (".cpp", ".hpp") and not Path(name).name.startswith(
                        "."
                    ):
                        saved.put(name)

    observer = Observer()
    observer.schedule(Handler(), str(book.copy(phase)))
    observer.start()
    try:
        while True:
            one_round(book, phase, None, task)
            screen.say(f"\nwatching {book.shown(book.copy(phase))}; Ctrl-C ends it", "dim")
            saved.get()
            _drain(saved)
            screen.say()
    except KeyboardInterrupt:
        screen.say()
    finally:
        observer.stop()
        observer.join()
    screen.next_step(*progress.next_for(book, phase))


def _drain(saved: "queue.Queue[str]") -> None:
    """An editor writes in several steps: the round begins when it has been quiet for a moment."""
    while True:
        try:
            saved.get(timeout=0.15)
        except queue.Empty:
            return
