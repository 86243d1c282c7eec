"""`diff`: what a phase adds to the one before, as a patch."""

import subprocess

import click

from tools import screen
from tools.params import PHASE
from tools.workbook import Workbook

STYLES = {"+++": "bold", "---": "bold", "@@": "cyan", "+": "green", "-": "red", "diff": "bold"}


@click.command()
@click.argument("phase", type=PHASE)
def diff(phase: int) -> None:
    """What PHASE adds to the finished code of the phase before: the lesson as a patch.

    The same as `make diff PHASE=N`. It shows the solutions; read it when yours works.
    """
    book = Workbook()
    if phase == 0:
        screen.stop("There is nothing before phase 0.", "./learn diff 1")
    command = ["make", "-s", "diff", f"PHASE={phase}"]
    result = subprocess.run(
        command, cwd=book.root, capture_output=True, encoding="utf-8", check=False
    )
    if result.returncode != 0:
        screen.stop(f"make diff failed: {result.stderr.strip()}", "make help")
    for line in result.stdout.splitlines():
        screen.say(line, next((s for mark, s in STYLES.items() if line.startswith(mark)), ""))
    screen.next_step((f"./learn start {phase}", "to write it yourself"))
