"""The exercises are cut out of the finished code: functions under a `// Task 3.1: ` comment.

    python3 -m tools.exercises check            all that must hold of every task
    python3 -m tools.exercises check --quick    a sample of it, in less than two minutes

A comment of whole lines stands above the function; its body ends at the first `}` in column 0.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import click

from tools.workbook import Workbook

COMMENT = re.compile(r"^// Task (\d\.\d): ")
NAME = re.compile(r"([\w:~]+)\(")
TODO = re.compile(r'\btodo\("(\d\.\d)"\)')


@dataclass(frozen=True)
class Function:
    """A function that a learner writes. Lines count from 0."""

    task: str
    file: str  # its name: "frame.cpp"
    comment: tuple[str, ...]
    signature: tuple[str, ...]  # the last line ends with "{"
    first: int  # line of the comment
    opens: int  # line of the "{"
    ends: int  # line of the "}"

    @property
    def name(self) -> str:
        """What it is called where it is defined: Protocol::on_ping."""
        found = NAME.search(" ".join(self.signature))
        return found[1] if found else self.signature[0]

    @property
    def line(self) -> int:
        """Where its signature begins, as editors count."""
        return self.first + len(self.comment) + 1


class NotAFunction(ValueError):
    """A task's comment stands above something else."""


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.split("\n")]


def functions_in(text: str, file: str) -> list[Function]:
    """All functions of the tasks, in their order. Throws NotAFunction."""
    lines = _lines(text)
    found = []
    for index, line in enumerate(lines):
        if match := COMMENT.match(line):
            found.append(_function_at(lines, index, match[1], file))
    return found


def _function_at(lines: list[str], first: int, task: str, file: str) -> Function:
    start = first
    while start < len(lines) and lines[start].startswith("//"):
        start += 1
    opens = start
    while opens < len(lines) and lines[opens].strip() and not lines[opens].endswith("{"):
        opens += 1
    if opens >= len(lines) or opens == start and not lines[opens].strip():
        raise NotAFunction(f"{file}:{first + 1}: no function below the comment of task {task}")
    if not lines[opens].endswith("{"):
        raise NotAFunction(f"{file}:{opens + 1}: expected a line that ends with an open brace")
    ends = next((i for i in range(opens + 1, len(lines)) if lines[i].startswith("}")), None)
    if ends is None:
        raise NotAFunction(f"{file}:{opens + 1}: no closing brace in column 0")
    comment, signature = tuple(lines[first:start]), tuple(lines[start : opens + 1])
    return Function(task, file, comment, signature, first, opens, ends)


def find(text: str, wanted: Function) -> Function | None:
    """The same function in a learner's text, by its signature: the comment may be gone."""
    lines = _lines(text)
    count = len(wanted.signature)
    for index in range(len(lines) - count + 1):
        if tuple(lines[index : index + count]) == wanted.signature:
            first = index
            while first > 0 and lines[first - 1].startswith("//"):
                first -= 1
            try:
                return _function_at(lines, first, wanted.task, wanted.file)
            except NotAFunction:
                return None
    return None


def body_of(text: str, function: Function) -> str:
    return "\n".join(_lines(text)[function.opens + 1 : function.ends])


def code_of(text: str, function: Function) -> str:
    """The whole function, with its comment."""
    return "\n".join(_lines(text)[function.first : function.ends + 1]) + "\n"


def blanked(text: str, functions: Iterable[Function]) -> str:
    """The text with these functions still to be written."""
    lines = text.split("\n")
    chosen = sorted(functions, key=lambda function: -function.opens)
    for function in chosen:
        lines[function.opens + 1 : function.ends] = [f'    todo("{function.task}");']
    return _with_include("\n".join(lines)) if chosen else text


def _with_include(text: str) -> str:
    """Includes common/todo.hpp: behind the last of common/, else behind the last of our own."""
    line = '#include "common/todo.hpp"'
    lines = text.split("\n")
    if line in lines:
        return text
    ours = [i for i, other in enumerate(lines) if other.startswith('#include "')]
    common = [i for i in ours if lines[i].startswith('#include "common/')]
    if common:
        lines.insert(common[-1] + 1, line)
    elif ours and (ours[-1] > 0 or lines[ours[-1] + 1 :][:1] != [""]):
        lines.insert(ours[-1] + 1, line)
    elif ours:
        lines[ours[-1] + 1 : ours[-1] + 1] = ["", line]
    else:
        system = [i for i, other in enumerate(lines) if other.startswith("#include <")]
        at = system[-1] + 1 if system else 0
        lines[at:at] = ["", line] if system else [line, ""]
    return "\n".join(lines)


# --- the exercises of the reference -----------------------------------------------------------


def sources(directory: Path) -> list[Path]:
    """Everything of a phase that is compiled, its unit tests too. A test that is a link is not: it
    has run where its source was taught."""
    return sorted(
        path
        for path in directory.iterdir()
        if path.suffix in (".cpp", ".hpp")
        and not (path.is_symlink() and path.name.endswith("_test.cpp"))
    )


def functions_of_phase(book: Workbook, phase: int) -> list[Function]:
    """What a learner writes in a phase: only its own tasks, and only in its own files."""
    found = []
    for path in sources(book.reference(phase)):
        if not path.is_symlink() and not path.name.endswith("_test.cpp"):
            found += functions_in(path.read_text(encoding="utf-8"), path.name)
    own = [function for function in found if int(function.task[0]) == phase]
    return sorted(own, key=lambda function: function.task)


def functions_of_task(book: Workbook, number: str) -> list[Function]:
    return [f for f in functions_of_phase(book, int(number[0])) if f.task == number]


@click.group()
def main() -> None:
    """The exercises."""


@main.command()
@click.option("--quick", is_flag=True, help="One task a phase, and compile the others.")
@click.option("--phase", "phases", type=click.IntRange(0, 5), multiple=True, help="Only these.")
@click.option("--task", "tasks", metavar="N.M", multiple=True, help="Only these.")
def check(quick: bool, phases: tuple[int, ...], tasks: tuple[str, ...]) -> None:
    """Prove of each task, blanked alone: it builds, its tests name it, earlier tests pass."""
    from tools.check_exercises import run

    run(quick, set(phases), set(tasks))


if __name__ == "__main__":
    main()
