"""`hint`: four for each task, each going deeper; the last is the code itself.

The first three stand in tools/hints/phaseN.md, under `## 3.1 …` and `### 1 …`; the fourth is cut
out of the reference when it is asked for.
"""

import re
from pathlib import Path

import click

from tools import exercises, screen, store
from tools.params import TASK
from tools.workbook import Task, Workbook

NAMES = {1: "a question", 2: "where it is written, and an example", 3: "pseudocode", 4: "the code"}
LAST = 4


def hints_file(book: Workbook, phase: int) -> Path:
    return book.root / "tools" / "hints" / f"phase{phase}.md"


def texts_of(book: Workbook, number: str) -> dict[int, str]:
    """The hints of a task that are written down, by their levels."""
    text = hints_file(book, int(number[0])).read_text(encoding="utf-8")
    section = re.search(rf"^## {re.escape(number)} .*?$(.*?)(?=^## |\Z)", text, re.M | re.S)
    if not section:
        return {}
    parts = re.split(r"^### (\d).*$", section[1], flags=re.M)[1:]
    return {int(level): body.strip("\n") for level, body in zip(parts[::2], parts[1::2])}


def code_of_task(book: Workbook, number: str) -> list[tuple[exercises.Function, str]]:
    found = []
    for function in exercises.functions_of_task(book, number):
        text = (book.reference(int(number[0])) / function.file).read_text(encoding="utf-8")
        found.append((function, exercises.code_of(text, function)))
    return found


@click.command()
@click.argument("task", type=TASK)
@click.option("--level", type=click.IntRange(1, LAST), help="This one, rather than the next.")
@click.option("--again", is_flag=True, help="The one that was shown last.")
def hint(task: Task, level: int | None, again: bool) -> None:
    """The next hint for TASK: asked again, it goes deeper.

    \b
      1  a question that leads there
      2  the section of the RFC or the manual page, and an example
      3  pseudocode
      4  the code

    How many you took is remembered, and shown by ./learn status; nobody minds.
    """
    book = Workbook()
    with store.update(book) as record:
        taken = record["hints"].get(task.number, 0)
        asked = level or (max(taken, 1) if again else min(taken + 1, LAST))
        record["hints"][task.number] = max(taken, asked)
    screen.title(f"{task.number}  {task.title}: hint {asked} of {LAST}, {NAMES[asked]}")
    screen.say()
    texts = texts_of(book, task.number)
    if asked in texts:
        screen.markdown(texts[asked])
        vectors = book.root / "vectors" / f"phase{task.phase}.txt"
        if asked == 2 and vectors.exists():
            screen.say()
            screen.say(f"More examples, as bytes: {book.shown(vectors)}")
    else:
        _show_code(book, task)
    screen.next_step(*_steps(book, task, asked))


def _show_code(book: Workbook, task: Task) -> None:
    for function, text in code_of_task(book, task.number):
        path = book.copy(task.phase) / function.file
        screen.say(f"In {book.shown(path)}:", "bold")
        screen.say()
        screen.code(text)
        screen.say()
    screen.say("Put it in place of what is there, and see whether you could defend each line.")


def _steps(book: Workbook, task: Task, level: int) -> list[tuple[str, str]]:
    check = (f"./learn test {task.phase}", "when it is written")
    if not book.is_started(task.phase) and exercises.functions_of_task(book, task.number):
        check = (f"./learn start {task.phase}", f"lays out work/phase{task.phase}")
    deeper = (f"./learn hint {task.number}", f"the next: {NAMES[min(level + 1, LAST)]}")
    return [check] if level == LAST else [check, deeper]
