"""The workbook's files: its phases, the tasks of ROADMAP.md, and where a learner's work lies."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAST_PHASE = 5
BOX = re.compile(r"^- \[([ x])\] (⊕ )?\*\*(\d\.\d) (.*?)\*\* ?(.*)$")
NO_LINKS = """\
This copy has no symbolic links, of which the phases are made. Clone it again, on a file system
of Linux: git clone -c core.symlinks=true"""


def has_links(root: Path = ROOT) -> bool:
    """False in a copy with texts in place of its symbolic links, as Git for Windows leaves them."""
    link = root / "phase2_handshake" / "poller.hpp"
    return not link.read_text(encoding="utf-8").startswith("../")


@dataclass(frozen=True)
class Task:
    """A box of ROADMAP.md."""

    number: str  # "3.1"
    title: str
    text: str  # what to do, with its "Done when" and its hints
    ticked: bool

    @property
    def phase(self) -> int:
        return int(self.number[0])


class Workbook:
    """A copy of the repository. All paths that are shown are relative to its root."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
        self.work = root / "work"
        self.roadmap_file = root / "ROADMAP.md"

    # --- the phases -------------------------------------------------------------------------

    def reference(self, phase: int) -> Path:
        """phase3_frames, for example."""
        return next(path for path in self.root.glob(f"phase{phase}_*") if path.is_dir())

    def copy(self, phase: int) -> Path:
        """Where the learner writes."""
        return self.work / f"phase{phase}"

    def is_started(self, phase: int) -> bool:
        return self.copy(phase).is_dir()

    def shown(self, path: Path) -> str:
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    # --- the roadmap --------------------------------------------------------------------------

    @cached_property
    def tasks(self) -> list[Task]:
        return parse_roadmap(self.roadmap_file.read_text(encoding="utf-8"))

    def tasks_of(self, phase: int) -> list[Task]:
        return [task for task in self.tasks if task.phase == phase]

    def task(self, number: str) -> Task | None:
        return next((task for task in self.tasks if task.number == number), None)

    def phase_title(self, phase: int) -> str:
        text = self.roadmap_file.read_text(encoding="utf-8")
        found = re.search(rf"^## Phase {phase} · (.*?)(?: \(`.*)?$", text, re.M)
        return found[1] if found else f"Phase {phase}"


def parse_roadmap(text: str) -> list[Task]:
    tasks: list[Task] = []
    lines = text.splitlines()
    for index, line in enumerate(lines):
        if found := BOX.match(line):
            body = [found[5]]
            for more in lines[index + 1 :]:
                if not more.startswith("  "):
                    break
                body.append(more)
            tasks.append(Task(found[3], found[4].rstrip("."), "\n".join(body), found[1] == "x"))
    return tasks


def with_ticks(text: str, passed: set[str]) -> str:
    """ROADMAP.md with the boxes of these tasks ticked, and no others."""

    def box(line: str) -> str:
        found = BOX.match(line)
        if not found:
            return line
        mark = "x" if found[3] in passed else " "
        return f"- [{mark}]" + line[5:]

    return "".join(
        box(line.rstrip("\n")) + line[len(line.rstrip("\n")) :] for line in text.splitlines(True)
    )
