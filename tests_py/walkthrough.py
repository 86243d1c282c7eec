"""A learner who follows the screen and nothing else, from a fresh copy to the last box.

    python3 tests_py/walkthrough.py               all phases, in a directory of its own
    python3 tests_py/walkthrough.py --until 2     phases 0 to 2

It types only what the last screen offered after `next` and `or`. Where something is to be written
it asks for hints till it has the code, and pastes that over the function of the same signature.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOT_COPIED = {".git", "build", "work", *(f"phase{n}" for n in range(6))}


class Lost(Exception):
    """The screen does not say what to do, or what it says does not help."""


@dataclass
class Screen:
    text: str
    status: int

    @property
    def offers(self) -> list[str]:
        """What it says to type, the first thing first."""
        found = re.findall(r"^(?:next|  or)  (\S.*?)(?:   .*)?$", self.text, re.M)
        return [command.strip() for command in found]

    def offer(self, verb: str) -> str | None:
        return next((o for o in self.offers if o.startswith(f"./learn {verb}")), None)


def fresh_copy(target: Path) -> None:
    """The repository as it is, without what was built or learned in it."""
    for path in ROOT.iterdir():
        if path.name in NOT_COPIED or (path.name.startswith(".") and path.is_dir()):
            continue
        if path.is_dir() and not path.is_symlink():
            ignore = shutil.ignore_patterns("__pycache__", ".*cache")
            shutil.copytree(path, target / path.name, symlinks=True, ignore=ignore)
        else:
            shutil.copy2(path, target / path.name, follow_symlinks=False)
    untick(target / "ROADMAP.md")


def untick(roadmap: Path) -> None:
    roadmap.write_text(roadmap.read_text().replace("- [x]", "- [ ]"))


def type_in(copy: Path, command: str) -> Screen:
    began = time.monotonic()
    result = subprocess.run(
        command, shell=True, cwd=copy, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    print(f"{time.monotonic() - began:6.1f} s  $ {command}", flush=True)
    return Screen(result.stdout + result.stderr, result.returncode)


def paste(copy: Path, text: str) -> None:
    """What a learner does with the code on the screen: over the function that is there."""
    for file, code in re.findall(r"^In (work/\S+):\n\n(.*?^}.*?$)", text, re.M | re.S):
        path = copy / file
        lines, new = path.read_text().split("\n"), code.split("\n")
        body = next(i for i, line in enumerate(new) if not line.startswith("//"))
        opening = next(line for line in new[body:] if line.endswith("{"))
        if lines.count(opening) != 1:
            raise Lost(f"{file} has no single line {opening!r} to put the code at")
        at = lines.index(opening)
        end = next(i for i in range(at, len(lines)) if lines[i].startswith("}"))
        lines[at : end + 1] = new[new.index(opening) :]
        path.write_text("\n".join(lines))


def boxes(copy: Path) -> tuple[list[str], list[str]]:
    """The tasks that are ticked in ROADMAP.md, and those that are not."""
    found = re.findall(
        r"^- \[([ x])\] (?:⊕ )?\*\*(\d\.\d) ", (copy / "ROADMAP.md").read_text(), re.M
    )
    return [n for mark, n in found if mark == "x"], [n for mark, n in found if mark == " "]


def choose(screen: Screen, pasted: set[str]) -> str:
    """A hint where something is to be written, or is wrong; else the first thing offered."""
    if not screen.offers:
        raise Lost("the screen does not say what to type next")
    hint = screen.offer("hint")
    if hint and "hint 4 of 4" not in screen.text:
        task = hint.split()[-1]
        if task in pasted:
            raise Lost(f"{task} was pasted from the hints, and still it does not pass")
        if re.search(rf"{re.escape(task)} .*to be written|to be written|hint \d of 4", screen.text):
            return hint
    return screen.offers[0]


def walk(copy: Path, until: int) -> None:
    pasted: set[str] = set()
    screen = type_in(copy, "./learn")
    while [task for task in boxes(copy)[1] if int(task[0]) <= until]:
        command = choose(screen, pasted)
        before = screen
        screen = type_in(copy, command)
        if (screen.text, command) == (before.text, before.text):
            raise Lost(f"{command} changes nothing")
        if "hint 4 of 4" in screen.text:
            paste(copy, screen.text)
            pasted.add(command.split()[2])
        elif screen.status not in (0, 1):
            raise Lost(f"{command} ended with {screen.status}")
        elif screen.status == 1 and "✗" in screen.text and "to be written" not in screen.text:
            raise Lost(f"{command} fails")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--until", type=int, default=5, help="the last phase to finish")
    parser.add_argument("--keep", type=Path, help="walk in this directory, or walk on there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        copy = options.keep or Path(directory)
        copy.mkdir(exist_ok=True)
        if not (copy / "learn").exists():
            fresh_copy(copy)
        try:
            walk(copy, options.until)
        except Lost as lost:
            screen = type_in(copy, "./learn")
            sys.exit(f"the learner is lost: {lost}\nwhere he is:\n\n{screen.text}")
        print(type_in(copy, "./learn status").text)
        ticked, left = boxes(copy)
        wrong = [task for task in left if int(task[0]) <= options.until]
        if wrong:
            sys.exit(f"not ticked at the end: {', '.join(wrong)}")
        print(f"{len(ticked)} boxes ticked, following the screen alone")


if __name__ == "__main__":
    main()
