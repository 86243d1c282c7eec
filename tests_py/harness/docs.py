"""Runs the shell blocks of a Markdown text and compares what they print with what the text shows.

In a block fenced as ```sh, a line that begins with "$ " is a command, one that begins with "> " goes
on with it, and the lines below are all that it prints, on stdout and stderr; a command without
lines below prints nothing. `…` stands for anything within a line, and alone on its line for any
lines. The blocks of a text run in order, in one shell.

For what a command in the background (`&`) prints, the session waits: it may come a little later.
"""

import os
import re
import select
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.deadlines import Deadline

FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# One shell for all commands; they come in by descriptor 3, so that none of them can read the next.
# `jobs` lets the shell forget those that have ended: bash 5.2.37 would count them, and %1 be another.
LOOP = r"""
while IFS= read -r -d '' -u 3 command; do
    eval "$command" 3<&-
    jobs >/dev/null
    printf '\0'
done
"""


class DocsError(Exception):
    """What is shown is not what happens; the message says where."""


@dataclass(frozen=True)
class Block:
    language: str
    line: int  # of its first line of content, counted from 1
    text: str


@dataclass(frozen=True)
class Step:
    line: int
    command: str
    shown: tuple[str, ...]


def blocks(text: str) -> list[Block]:
    """Every fenced block."""
    return [
        Block(found[1], text.count("\n", 0, found.start()) + 2, found[2])
        for found in FENCE.finditer(text)
    ]


def steps(block: Block) -> list[Step]:
    """The commands of a ```sh block, each with the lines that it is shown to print."""
    found: list[tuple[int, list[str], list[str]]] = []
    for line, text in enumerate(block.text.splitlines(), block.line):
        if text.startswith("$ "):
            found.append((line, [text[2:]], []))
        elif not found:
            raise DocsError(f"line {line}: a ```sh block begins with a command: $ …")
        elif text.startswith("> ") and not found[-1][2]:
            found[-1][1].append(text[2:])
        else:
            found[-1][2].append(text)
    return [Step(line, "\n".join(command), tuple(shown)) for line, command, shown in found]


def pattern(shown: tuple[str, ...]) -> re.Pattern[str]:
    """A regular expression for the lines shown."""
    parts = []
    for line in shown:
        if line.strip() == "…":
            parts.append(r"(?:[^\n]*\n)*?")
        else:
            words = [re.escape(part) for part in line.rstrip().split("…")]
            parts.append(r"[^\n]*".join(words) + r"[ \t]*\n")
    return re.compile("".join(parts))


def agrees(shown: tuple[str, ...], printed: str) -> bool:
    return pattern(shown).fullmatch(printed.replace("\r", "")) is not None


class Session:
    """A shell in a directory. `replace` turns names of the text into those that are free here."""

    def __init__(
        self,
        directory: Path,
        environment: dict[str, str],
        replace: dict[str, str],
        seconds: float = 60,
        patience: float = 3,
    ) -> None:
        self.replace = replace
        self.seconds = seconds  # that a command may take
        self.patience = patience  # … and what it leaves in the background, to print
        commands, self._input = os.pipe()
        self._output, output = os.pipe()
        silence, self._keyboard = os.pipe()  # a terminal at which nobody types
        only_as_3 = f"exec 3<&{commands} {commands}<&-" if commands != 3 else ":"
        self._shell = subprocess.Popen(
            ["bash", "-c", f"{only_as_3}; {LOOP}"],
            cwd=directory,
            env=environment,
            stdin=silence,
            stdout=output,
            stderr=output,
            pass_fds=[commands],
            start_new_session=True,
        )
        os.close(commands)
        os.close(output)
        os.close(silence)
        self._said = b""

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the shell, and everything that it has started."""
        os.close(self._input)
        os.close(self._keyboard)
        try:
            os.killpg(self._shell.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._shell.wait()
        os.close(self._output)

    def translate(self, text: str) -> str:
        for name, free in self.replace.items():
            text = text.replace(name, free)
        return text

    def run(self, step: Step) -> None:
        """Runs a command. Raises DocsError if it prints anything but what is shown."""
        command = with_free_ports(self.translate(step.command), self.replace)
        shown = tuple(self.translate(line) for line in step.shown)
        os.write(self._input, command.encode() + b"\0")
        if not self._read_until(lambda: b"\0" in self._said, self.seconds):
            raise DocsError(self._complaint(step, shown, "and does not come to an end"))
        before, _, after = self._said.partition(b"\0")
        self._said = before + after
        if not (
            self._read_until(lambda: agrees(shown, self._text()), 0.1)
            or agrees(shown, self._text() + "\n")  # its last line has no end
            or self._read_until(lambda: agrees(shown, self._text()), self.patience)
        ):
            raise DocsError(self._complaint(step, shown, "which is not what is shown"))
        self._said = b""

    def _text(self) -> str:
        return self._said.replace(b"\0", b"").decode("utf-8", "replace")

    def _read_until(self, done, seconds: float) -> bool:
        deadline = Deadline(seconds)
        while not done():
            ready, _, _ = select.select([self._output], [], [], deadline.left())
            data = os.read(self._output, 65536) if ready else b""
            if not data:
                return False
            self._said += data
        return True

    def _complaint(self, step: Step, shown: tuple[str, ...], what: str) -> str:
        printed = self._text().splitlines()[:40] or ["(nothing)"]
        lines = [f"line {step.line}: this command prints, {what}:"]
        lines += [f"    $ {step.command}"] + [f"    {line}" for line in printed]
        lines += ["shown:"] + [f"    {line}" for line in shown or ("(nothing)",)]
        return "\n".join(lines)


def with_free_ports(command: str, replace: dict[str, str]) -> str:
    """./phaseN takes the free ports also where the text leaves them to their defaults."""
    flags = {"--port": replace.get("8080"), "--tls-port": replace.get("8443")}

    def add(found: re.Match[str]) -> str:
        wanted = ["--port", "--tls-port"] if found[2] == "5" else ["--port"]
        return found[1] + "".join(f" {flag} {flags[flag]}" for flag in wanted)

    if None in flags.values():
        return command
    return re.sub(r"(?<!\S)(\S*/phase([1-5]))(?=\s|$)", add, command)
