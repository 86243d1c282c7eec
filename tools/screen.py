"""What ./learn shows: in colour on a terminal, plain in a pipe, and always with what to type next."""

import sys
from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

LABELS = ("expected", "but", "likely cause:", "replay", "hint", "the bytes", "what happened")

console = Console(highlight=False, soft_wrap=True)


def on_terminal() -> bool:
    return console.is_terminal


def in_colour() -> bool:
    """Whether escape codes may be sent; rich asks the same for what it prints."""
    return on_terminal() and not console.is_dumb_terminal and not console.no_color


def say(text: str = "", style: str = "") -> None:
    """A line as it is: no markup is read in it, and nothing is wrapped or cut."""
    console.print(Text(text, style=style))


def title(text: str) -> None:
    say(text, "bold")


def good(text: str) -> None:
    say(f"✓ {text}", "green")


def bad(text: str) -> None:
    say(f"✗ {text}", "bold red")


def next_step(*steps: str | tuple[str, str]) -> None:
    """The last lines of a screen: what to type, and what it is for where there is a choice."""
    pairs = [(step, "") if isinstance(step, str) else step for step in steps]
    width = max(len(command) for command, _ in pairs)
    say()
    for index, (command, purpose) in enumerate(pairs):
        line = Text().append("next  " if index == 0 else "  or  ", style="dim")
        line.append(command.ljust(width if purpose else 0), style="bold cyan")
        line.append(f"   {purpose}" if purpose else "")
        console.print(line)


def stop(message: str, *steps: str | tuple[str, str]) -> None:
    """It can't be done: why, and what to type instead. Ends the program with 1."""
    bad(message)
    if steps:
        next_step(*steps)
    sys.exit(1)


def report(text: str) -> None:
    """A failed check as the suite tells it, with its labels in bold."""
    for line in text.splitlines():
        style = "bold red" if line.startswith("✗") else ""
        shown = Text(line, style=style)
        for label in LABELS:
            if line.startswith(label):
                shown.stylize("bold", 0, len(label))
        console.print(shown)


def code(text: str) -> None:
    """C++ that can be copied from the screen: never wrapped, framed or cut."""
    if in_colour():
        from pygments import highlight
        from pygments.formatters import TerminalFormatter
        from pygments.lexers import CppLexer

        sys.stdout.write(highlight(text, CppLexer(), TerminalFormatter()))
    else:
        sys.stdout.write(text)
    sys.stdout.flush()


def markdown(text: str) -> None:
    if on_terminal():
        from rich.markdown import Markdown

        console.print(Markdown(text), soft_wrap=False, width=min(console.width, 96))
    else:
        say(text)


def columns(rows: Iterable[tuple[str, ...]], styles: Iterable[str] = ()) -> None:
    """Rows in columns as wide as they need."""
    lines = list(rows)
    widths = [max(len(cell) for cell in column) for column in zip(*lines)]
    for row, style in zip(lines, [*styles] or [""] * len(lines)):
        cells = (cell.ljust(width) for cell, width in zip(row, widths))
        say("  ".join(cells).rstrip(), style)
