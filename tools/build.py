"""Builds what the learner wrote, and says shortly why it does not compile."""

import os
import re
import subprocess
from dataclasses import dataclass

from tools import screen
from tools.workbook import Workbook

DIAGNOSTIC = re.compile(r"^(\S+?):(\d+)(?::\d+)?: (?:fatal )?(error|warning): (.*)$")
UNDEFINED = re.compile(r"undefined reference to `(.*)'")


@dataclass
class Build:
    ok: bool
    output: str


def build(book: Workbook, target: str) -> Build:
    """`target` is phase3 or phase3_unit_tests."""
    jobs = f"-j{os.cpu_count() or 1}"
    command = ["make", "-s", "-k", jobs, "--output-sync=target", "-f", "tools/work.mk"]
    result = subprocess.run(
        [*command, f"work/build/{target}"],
        cwd=book.root,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    return Build(result.returncode == 0, result.stdout + result.stderr)


def explain(output: str) -> list[str]:
    """The first error with its lines of source, and how many more there are."""
    lines = output.splitlines()
    errors = [i for i, line in enumerate(lines) if DIAGNOSTIC.match(line)]
    if not errors:
        missing = sorted(set(UNDEFINED.findall(output)))
        if missing:
            return ["the linker misses " + name for name in missing[:5]] + [
                "A function that is called is not defined: has its signature changed?"
            ]
        return lines[-15:]
    first = min(errors, key=lambda i: (not lines[i].startswith("work/"), i))
    shown = _with_place(lines, first)
    for line in lines[first + 1 : first + 4]:
        if re.match(r"^\s*\d* \|", line):
            shown.append(line)
    notes = lines[first + 1 : first + 12]
    shown += [line for line in notes if re.match(r"^work/\S+:\d+:\d+:\s+required from", line)][:2]
    if len(errors) > 1:
        shown.append(f"… and {len(errors) - 1} more; mend this one first.")
    return shown


def _with_place(lines: list[str], index: int) -> list[str]:
    match = DIAGNOSTIC.match(lines[index])
    assert match
    place = f"{match[1]}:{match[2]}: {match[4]}"
    before = lines[index - 1] if index else ""
    inside = re.match(r"^\S+?: In (.*):$", before)
    origin = _origin(lines, index) if not match[1].startswith("work/") else ""
    within = [f"    in {inside[1]}"] if inside else []
    return [place, *within, *([origin] if origin else [])]


def _origin(lines: list[str], index: int) -> str:
    """Where in the learner's files an error begins that shows up in somebody else's."""
    around = lines[max(0, index - 40) : index + 12]
    places = [found[1] for line in around if (found := re.search(r"(work/\S+?:\d+)", line))]
    return f"    from {places[0]}" if places else ""


def show_failure(output: str, what: str) -> None:
    screen.bad(f"{what} does not compile")
    screen.say()
    for index, line in enumerate(explain(output)):
        screen.say(line, "bold" if index == 0 else "")
