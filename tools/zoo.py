"""The bug zoo: bugs that people write, each a small change of the finished code, in zoo/.

    python3 -m tools.zoo check              each is built and run: its test fails, and names the cause
    python3 -m tools.zoo check --quick      every tenth of them, in less than a minute
    python3 -m tools.zoo check --only phase3-mask-restarts --report
    python3 -m tools.zoo list

zoo/README.md says how a bug is written down.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import click

from tools.workbook import Workbook

SAMPLED = 10  # --quick takes every tenth
CHANCES = 3  # for bugs that show only at times: a busy machine may hide them
LONGEST = 240.0  # seconds that the tests of one bug may take
FIELD = re.compile(r"^(\w+): *(.*)$")
CHANGE = re.compile(
    r"^In `([\w.]+)`, instead of\n+```cpp\n(.*?)^```\n+it says\n+```cpp\n(.*?)^```\n", re.M | re.S
)
MANY = {"covers", "test", "words"}  # fields that may be repeated
ONCE = {"phase", "task", "answer", "keywords"}
COMPILE = "-std=c++20 -O1 -Wall -Wextra -Werror -Wno-unused-parameter -Wno-unused-function -c"


class BadBug(ValueError):
    """A file of the catalogue that does not say what it must, or does not fit the code any more."""


@dataclass(frozen=True)
class Change:
    """In a file of the phase, one piece of text becomes another; how it is wrapped does not matter."""

    file: str
    old: str
    new: str

    def apply(self, text: str) -> str:
        pattern = r"\s+".join(map(re.escape, self.old.split()))
        found = list(re.finditer(pattern, text))
        if len(found) != 1:
            raise BadBug(f"{self.file} has this {len(found)} times, not once:\n{self.old}")
        return text[: found[0].start()] + self.new.strip() + text[found[0].end() :]


@dataclass(frozen=True)
class Bug:
    name: str  # of its file: "phase3-mask-restarts"
    title: str
    phase: int
    task: str
    answer: str  # what it is, in a sentence
    keywords: tuple[tuple[str, ...], ...]  # an answer has one word out of each group
    covers: tuple[str, ...]  # items of the lists that the zoo must have
    test: tuple[str, ...]  # pytest nodes; one of them must fail
    words: tuple[str, ...]  # what its message must say
    scale: float  # of the deadlines: short where the test waits for what never comes
    hole: str  # "not caught yet: …" or "not named yet: …", as long as the suites have one
    lesson: str
    changes: tuple[Change, ...]


# --- the catalogue ------------------------------------------------------------------------------


def catalogue(book: Workbook) -> list[Bug]:
    files = sorted((book.root / "zoo").glob("phase*.md"))
    return [parse(path.stem, path.read_text(encoding="utf-8")) for path in files]


def parse(name: str, text: str) -> Bug:
    head, _, body = text.partition("\n\n")[2].partition("\n\n")
    fields: dict[str, list[str]] = {}
    for line in head.splitlines():
        if not (found := FIELD.match(line)):
            raise BadBug(f"{name}: {line!r} is no field")
        fields.setdefault(found[1], []).append(found[2].strip())
    unknown = set(fields) - MANY - ONCE - {"hole", "scale"}
    missing = (MANY | ONCE) - set(fields)
    changes = tuple(Change(*found) for found in CHANGE.findall(body))
    if unknown or missing or not changes or not text.startswith("# "):
        raise BadBug(f"{name}: missing {sorted(missing)}, unknown {sorted(unknown)}, or no change")
    groups = fields["keywords"][0].split(";")
    return Bug(
        name=name,
        title=text.partition("\n")[0].removeprefix("# ").strip(),
        phase=int(fields["phase"][0]),
        task=fields["task"][0],
        answer=fields["answer"][0],
        keywords=tuple(
            tuple(word.strip().lower() for word in group.split("|")) for group in groups
        ),
        covers=tuple(fields["covers"]),
        test=tuple(fields["test"]),
        words=tuple(fields["words"]),
        scale=float(fields.get("scale", ["1"])[0]),
        hole=" ".join(fields.get("hole", [])),
        lesson=body[: CHANGE.search(body).start()].strip(),  # type: ignore[union-attr]
        changes=changes,
    )


def patched(book: Workbook, bug: Bug) -> dict[str, str]:
    """The files that it changes, as they are with it. Throws BadBug."""
    texts: dict[str, str] = {}
    for change in bug.changes:
        path = book.reference(bug.phase) / change.file
        if change.file not in texts and not path.is_file():
            raise BadBug(f"{bug.name}: there is no {path.name}")
        text = texts.get(change.file) or path.read_text(encoding="utf-8")
        try:
            texts[change.file] = change.apply(text)
        except BadBug as error:
            raise BadBug(f"{bug.name}: {error}") from error
    return texts


# --- building -----------------------------------------------------------------------------------


def build_reference(book: Workbook, phases: Iterable[int], jobs: int) -> None:
    """The objects that all bugs share: those of `make`."""
    targets = [f"build/release/phase{phase}" for phase in sorted(set(phases))]
    command = ["make", "-s", f"-j{jobs}", *targets]
    subprocess.run(command, cwd=book.root, check=True, stdout=subprocess.DEVNULL)


def build(book: Workbook, bug: Bug, directory: Path) -> Path:
    """`directory`/phaseN, a server with this bug; only what it changes is compiled. Throws BadBug."""
    home = book.reference(bug.phase)
    sources = directory / home.name
    shutil.copytree(home, sources, ignore=shutil.ignore_patterns("*_test.cpp", "*.md"))
    changed = patched(book, bug)
    for file, text in changed.items():
        (sources / file).write_text(text, encoding="utf-8")
    objects = book.root / "build" / "release"
    linked = sorted((objects / "common").glob("*.o"))
    linked = [path for path in linked if "test" not in path.stem]
    for source in sorted(sources.glob("*.cpp")):
        built = objects / home.name / f"{source.stem}.o"
        if _is_touched(source.name, built.with_suffix(".d"), changed):
            built = directory / f"{source.stem}.o"
            command = [*COMPILE.split(), "-I", str(book.root), "-o", str(built), str(source)]
            _run_compiler(bug, command)
        linked.append(built)
    server = directory / f"phase{bug.phase}"
    libraries = ["-Wl,--as-needed", "-lssl", "-lcrypto"]
    _run_compiler(bug, ["-s", "-o", str(server), *map(str, linked), *libraries])
    return server


def _is_touched(name: str, dependencies: Path, changed: dict[str, str]) -> bool:
    """Whether a source, or a header that it includes, is changed."""
    included = {Path(word).name for word in dependencies.read_text().split()}
    return name in changed or any(file.endswith(".hpp") and file in included for file in changed)


def _run_compiler(bug: Bug, arguments: list[str]) -> None:
    command = [os.environ.get("CXX", "g++"), *arguments]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    if result.returncode != 0:
        raise BadBug(f"{bug.name} does not compile:\n{result.stderr[:2000]}")


@contextmanager
def fresh(book: Workbook) -> Iterator[Path]:
    """A directory of its own, so that two checks at a time don't meet."""
    place = book.root / "build" / "zoo"
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place) as name:
        yield Path(name)


# --- one bug ------------------------------------------------------------------------------------


@dataclass
class Result:
    bug: Bug
    caught: bool = False
    missing: list[str] = field(default_factory=list)  # words that its message does not say
    seconds: float = 0.0
    report: str = ""
    problem: str = ""  # why it could not be checked

    @property
    def good(self) -> bool:
        return self.caught and not self.missing and not self.problem and not self.bug.hole

    def words(self) -> str:
        if self.problem:
            return self.problem
        if self.caught and not self.missing:
            return "caught and named" + (", so it is no hole any more" if self.bug.hole else "")
        known = f" ({self.bug.hole})" if self.bug.hole else ""
        if not self.caught:
            return f"NOT CAUGHT{known}"
        return f"caught, NOT NAMED: {'; '.join(map(repr, self.missing))}{known}"


def check_bug(book: Workbook, bug: Bug, scale: float | None = None) -> Result:
    result, began = Result(bug), time.monotonic()
    try:
        with fresh(book) as directory:
            build(book, bug, directory)
            for _ in range(CHANCES):
                status, result.report = run_tests(book, bug, directory, scale)
                result.caught = status == 1
                told = said(result.report)
                result.missing = [words for words in bug.words if words.lower() not in told]
                if result.caught and not result.missing:
                    break
    except BadBug as error:
        result.problem = str(error)
    else:
        if status not in (0, 1):
            result.problem = f"pytest ended with {status}"
    result.seconds = time.monotonic() - began
    return result


def run_tests(book: Workbook, bug: Bug, build_in: Path, scale: float | None) -> tuple[int, str]:
    """Exit status of pytest and what it printed."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    command += ["--build", str(build_in), *bug.test]
    busy = os.getloadavg()[0] / (os.cpu_count() or 1)
    command += ["--deadline-scale", f"{bug.scale * (scale or max(1.0, min(busy, 5.0))):.2f}"]
    process = subprocess.Popen(
        command,
        cwd=book.root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    try:
        return _finish(process)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def _finish(process: "subprocess.Popen[str]") -> tuple[int, str]:
    try:
        output, _ = process.communicate(timeout=LONGEST)
    except subprocess.TimeoutExpired as error:
        raise BadBug(f"its tests took more than {LONGEST:.0f} s") from error
    return process.returncode, output


def said(report: str) -> str:
    """What tells the cause: not the name of the test, nor the commands."""
    lines = report.splitlines()
    kept = [line for line in lines if not re.match(r"replay |hint |FAILED |ERROR |_{3,}", line)]
    return " ".join(" ".join(kept).lower().split())


# --- all of it ----------------------------------------------------------------------------------


def chosen(bugs: list[Bug], quick: bool, only: tuple[str, ...], phase: int | None) -> list[Bug]:
    if only:
        return [bug for bug in bugs if any(part in bug.name for part in only)]
    found = [bug for bug in bugs if phase in (None, bug.phase)]
    return [bug for bug in found if not bug.hole][::SAMPLED] if quick else found


def summary(results: list[Result], seconds: float) -> Iterator[str]:
    yield ""
    for phase in sorted({result.bug.phase for result in results}):
        mine = [result for result in results if result.bug.phase == phase]
        caught = [result for result in mine if result.caught]
        named = [result for result in caught if not result.missing]
        yield f"phase {phase}   {len(mine):3} bugs   {len(caught):3} caught   {len(named):3} named"
    bad = [result for result in results if not result.good]
    yield f"zoo: {len(results)} bugs, {len(bad)} problems, {seconds:.0f} s"


@click.group()
def main() -> None:
    """The bug zoo of zoo/."""


@main.command("list")
def list_bugs() -> None:
    """Every bug, its task and its title."""
    for bug in catalogue(Workbook()):
        click.echo(f"{bug.task}  {bug.name:36} {bug.title}" + (f"  [{bug.hole}]" * bool(bug.hole)))


@main.command()
@click.option("--only", multiple=True, metavar="NAME", help="Those with NAME in their names.")
@click.option("--phase", type=int, metavar="N", help="Those of one phase.")
@click.option("--quick", is_flag=True, help=f"Every {SAMPLED}th of those that are no holes.")
@click.option("-j", "jobs", default=2, show_default=True, help="How many at a time.")
@click.option("--report", is_flag=True, help="Show what the tests say, too.")
@click.option("--deadline-scale", type=float, metavar="FACTOR", help="Of the suites.")
def check(
    only: tuple[str, ...],
    phase: int | None,
    quick: bool,
    jobs: int,
    report: bool,
    deadline_scale: float | None,
) -> None:
    """Each bug is caught by its test, whose message names the cause; else exit with 1."""
    book, began = Workbook(), time.monotonic()
    try:
        bugs = chosen(catalogue(book), quick, only, phase)
    except BadBug as error:
        raise click.ClickException(str(error)) from error
    if not bugs:
        raise click.UsageError("no bug of that name")
    build_reference(book, (bug.phase for bug in bugs), jobs)
    results = []
    with ThreadPoolExecutor(jobs) as pool:
        work = partial(check_bug, book, scale=deadline_scale)
        for result in pool.map(work, bugs):
            results.append(result)
            mark = "✓" if result.good else "✗"
            click.echo(f"{mark} {result.bug.name:36} {result.seconds:5.1f} s  {result.words()}")
            if report:
                click.echo(result.report)
    for line in summary(results, time.monotonic() - began):
        click.echo(line)
    sys.exit(0 if all(result.good for result in results) else 1)


if __name__ == "__main__":
    main()
