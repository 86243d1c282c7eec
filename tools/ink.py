"""Several colours in one line: good, bad and dim words (tools/screen.py has the lines and the ends)."""

import click

from tools.screen import in_colour, next_step

__all__ = ["bad", "bold", "dim", "good", "next_step", "plural", "say", "warn"]


def say(text: str = "") -> None:
    click.echo(text, color=in_colour())


def bold(text: str) -> str:
    return click.style(text, bold=True)


def good(text: str) -> str:
    return click.style(text, fg="green")


def bad(text: str) -> str:
    return click.style(text, fg="red")


def warn(text: str) -> str:
    return click.style(text, fg="yellow")


def dim(text: str) -> str:
    return click.style(text, dim=True)


def plural(count: int, word: str) -> str:
    return f"{count:,} {word}" + ("" if count == 1 else "s")
