"""The tests of the exercises: each task alone is blanked in the finished code, and then

- every file that it touches compiles without a warning, also with the phase's other tasks blank;
- its own tests fail, each within a second, with the todo message and nothing else;
- the tests of the phase's earlier tasks pass;
- it has an entry in ROADMAP.md, three hints that are written down, and a test.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import click

from tools import exercises, hints
from tools.exercises import Function
from tools.testing import Run, run_suite
from tools.workbook import Task, Workbook

SAMPLE = {"0.1", "1.3", "2.2", "3.1", "4.3", "5.3"}  # for --quick
MOST_FUNCTIONS = 4
MOST_LINES = 40  # of a function: a screen
JOBS = 2


@dataclass
class Result:
    """What was found out about one task."""

    task: str
    problems: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)


# --- what is written down -------------------------------------------------------------------------


def written_problems(book: Workbook) -> Iterator[str]:
    """Tasks without an entry, without hints, without a function, or with too large a one."""
    entries = {task.number for task in book.tasks}
    phases = {task.phase for task in book.tasks}
    functions = [f for phase in sorted(phases) for f in exercises.functions_of_phase(book, phase)]
    for function in functions:
        if function.task not in entries:
            yield f"{function.file}: task {function.task} is not in ROADMAP.md"
        if function.file.endswith(".hpp"):
            yield f"{function.file}: {function.name} is in a header; every source would change"
        if function.ends - function.opens > MOST_LINES:
            yield f"{function.file}: {function.name} does not fit on a screen"
    for task in book.tasks:
        own = [function for function in functions if function.task == task.number]
        if not own and task.number != "0.2":
            yield f"{task.number}: no function to write"
        if len(own) > MOST_FUNCTIONS:
            yield f"{task.number}: {len(own)} functions, more than {MOST_FUNCTIONS}"
        missing = {1, 2, 3} - set(hints.texts_of(book, task.number))
        if missing:
            yield f"{task.number}: no hint of level {', '.join(map(str, sorted(missing)))}"


def untested(book: Workbook, phases: Iterable[int]) -> Iterator[str]:
    for phase in phases:
        tests = collected(book, phase)
        for task in book.tasks_of(phase):
            if not tests.get(task.number):
                yield f"{task.number}: no test"


def collected(book: Workbook, phase: int) -> dict[str, int]:
    """How many tests each task has."""
    receive, send = os.pipe()
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "tools.recorder"]
    command += ["--record-to", str(send), "--server", "true", f"tests_py/test_phase{phase}.py"]
    subprocess.run(command, cwd=book.root, pass_fds=[send], capture_output=True, check=False)
    os.close(send)
    with open(receive, encoding="utf-8") as events:
        found: dict[str, int] = json.loads(events.readline() or "{}").get("tests", {})
    return found


# --- building -------------------------------------------------------------------------------------


@cache
def compile_command(root: Path) -> list[str]:
    """As ./learn compiles."""
    command = ["make", "-s", "--no-print-directory", "-f", "tools/work.mk", "flags"]
    return shlex.split(subprocess.check_output(command, cwd=root, encoding="utf-8"))


def build_reference(book: Workbook, phases: Iterable[int]) -> None:
    """The objects that all tasks share: those of `make check`."""
    targets = [f"build/sanitized/phase{phase}" for phase in phases]
    subprocess.run(["make", "-s", f"-j{JOBS}", "SANITIZED=1", *targets], cwd=book.root, check=True)


def compile_blank(book: Workbook, source: Path, functions: list[Function], target: Path) -> str:
    """Compiles one file with these functions blank. Returns what the compiler says: nothing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    blank = target.with_suffix(".cpp")
    blank.write_text(exercises.blanked(source.read_text(encoding="utf-8"), functions))
    # Its headers lie where the finished file does.
    include = ["-iquote", str(source.parent)]
    command = [*compile_command(book.root), *include, "-c", "-o", str(target), str(blank)]
    result = subprocess.run(
        command, cwd=book.root, capture_output=True, encoding="utf-8", check=False
    )
    return result.stderr.strip()


def link(book: Workbook, phase: int, changed: dict[str, Path], target: Path) -> str:
    built = book.root / "build" / "sanitized"
    directory = book.reference(phase)
    paths = [path for path in directory.glob("*.cpp") if not path.name.endswith("_test.cpp")]
    objects = [changed.get(p.name) or built / directory.name / f"{p.stem}.o" for p in paths]
    helpers = [path for path in (book.root / "common").glob("*.cpp") if "test" not in path.name]
    objects += [built / "common" / f"{path.stem}.o" for path in helpers]
    command = ["g++", "-fsanitize=address,undefined", "-o", str(target), *map(str, objects)]
    command += ["-Wl,--as-needed", "-lssl", "-lcrypto"]
    result = subprocess.run(
        command, cwd=book.root, capture_output=True, encoding="utf-8", check=False
    )
    return result.stderr.strip()


def build_blank(book: Workbook, task: Task, place: Path) -> Iterator[str]:
    """The phase's server with this task blank, in `place`; what is wrong with it."""
    functions = exercises.functions_of_task(book, task.number)
    changed = {}
    for name in sorted({function.file for function in functions}):
        source = book.reference(task.phase) / name
        changed[name] = place / f"{Path(name).stem}.o"
        own = [function for function in functions if function.file == name]
        if said := compile_blank(book, source, own, changed[name]):
            yield f"{name} with {task.number} blank: {said.splitlines()[0]}"
    if said := link(book, task.phase, changed, place / f"phase{task.phase}"):
        yield f"{task.number} blank does not link: {said.splitlines()[0]}"


def compile_all_blank(book: Workbook, phase: int, place: Path) -> Iterator[str]:
    """What `./learn start` lays out."""
    functions = exercises.functions_of_phase(book, phase)
    for name in sorted({function.file for function in functions}):
        own = [function for function in functions if function.file == name]
        if len({function.task for function in own}) == 1:
            continue  # it was compiled like this already
        source = book.reference(phase) / name
        if said := compile_blank(book, source, own, place / f"{Path(name).stem}.o"):
            yield f"{name} with all of phase {phase} blank: {said.splitlines()[0]}"


# --- testing --------------------------------------------------------------------------------------


def test_blank(book: Workbook, task: Task, place: Path, earlier: bool) -> Result:
    result = Result(task.number)
    build = str(place.relative_to(book.root))
    own = run_suite(book, task.phase, [task.number], build=build, stop=False)
    result.problems += own_problems(task, own)
    before = [t.number for t in book.tasks_of(task.phase) if t.number < task.number]
    before = [number for number in before if number != "0.2"]
    result.words.append(words_of(own))
    if before and earlier:
        run = run_suite(book, task.phase, before, build=build, stop=False)
        result.problems += [
            f"{task.number} blank: {event['test']} of {event['task']} fails"
            for event in run.failures
        ]
        result.problems += pytest_problems(task, run)
        result.words.append(f"{', '.join(before)}: {sum(run.passed.values())} tests pass")
    return result


def words_of(run: Run) -> str:
    slowest = max((event["seconds"] for event in run.failures), default=0.0)
    passed = sum(run.passed.values())
    also = f", {passed} pass without it" if passed else ""
    return f"{len(run.failures)} tests fail, the slowest in {slowest:.1f} s{also}"


def gist(report: str) -> str:
    """One line of it: what was checked, or the exception that was raised."""
    lines = report.strip().splitlines()
    return next((line for line in lines if line.startswith(("✗", "E "))), lines[0] if lines else "")


def own_problems(task: Task, run: Run) -> Iterator[str]:
    limit = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    for event in run.failures:
        if f"task {task.number} is not written yet" not in event["report"]:
            why = gist(event["report"])
            yield f"{task.number} blank: {event['test']} fails otherwise: {why}"
        elif event["seconds"] > limit:
            yield f"{task.number} blank: {event['test']} takes {event['seconds']:.1f} s to fail"
    if not run.failures:
        yield f"{task.number} blank: all of its tests pass"
    yield from pytest_problems(task, run)


def pytest_problems(task: Task, run: Run) -> Iterator[str]:
    if run.status not in (0, 1):
        last = run.words.strip().splitlines()[-1:]
        yield f"{task.number}: pytest ended with {run.status}: {last}"


# --- all of it ------------------------------------------------------------------------------------


def run(quick: bool, phases: set[int], tasks: set[str]) -> None:
    """Check these phases and tasks (none given: all), and exit with 1 if something is wrong."""
    began = time.monotonic()
    book = Workbook()
    chosen = [task for task in book.tasks if is_chosen(book, task, quick, phases, tasks)]
    numbers = sorted({task.phase for task in chosen})
    problems = [*written_problems(book), *untested(book, numbers)]
    build_reference(book, numbers)
    for result in results(book, chosen, quick):
        mark = "✗" if result.problems else "✓"
        click.echo(f"{mark} {result.task}  {'; '.join(result.words)}")
        problems += result.problems
    for problem in problems:
        click.echo(f"✗ {problem}", err=True)
    seconds = time.monotonic() - began
    click.echo(f"exercises: {len(chosen)} tasks, {len(problems)} problems, {seconds:.0f} s")
    sys.exit(1 if problems else 0)


def is_chosen(book: Workbook, task: Task, quick: bool, phases: set[int], tasks: set[str]) -> bool:
    if tasks or phases:
        named = task.number in tasks or task.phase in phases
    else:
        named = not quick or task.number in SAMPLE
    return named and bool(exercises.functions_of_task(book, task.number))


def results(book: Workbook, tasks: list[Task], quick: bool) -> Iterator[Result]:
    place = book.root / "build" / "exercises"
    jobs = [partial(check_task, book, task, place, not quick) for task in tasks]
    if not quick:
        phases = sorted({task.phase for task in tasks})
        jobs += [partial(check_phase, book, phase, place) for phase in phases]
    with ThreadPoolExecutor(JOBS) as pool:
        yield from pool.map(lambda job: job(), jobs)


@contextmanager
def fresh(place: Path) -> Iterator[Path]:
    """A directory of its own, so that two checks at a time don't meet."""
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place) as name:
        yield Path(name)


def check_task(book: Workbook, task: Task, place: Path, earlier: bool) -> Result:
    with fresh(place) as directory:
        problems = list(build_blank(book, task, directory))
        if problems:
            return Result(task.number, problems, ["does not build"])
        return test_blank(book, task, directory, earlier)


def check_phase(book: Workbook, phase: int, place: Path) -> Result:
    with fresh(place) as directory:
        problems = list(compile_all_blank(book, phase, directory))
    return Result(f"phase {phase}", problems, ["compiles with all of its tasks blank"])


if __name__ == "__main__":
    exercises.main(["check", *sys.argv[1:]])
