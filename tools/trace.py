"""`./learn trace N`: a server under strace, and what each of its calls means."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from tools.ink import bad, bold, dim, good, next_step, plural, say, warn
from tools.params import PHASE

if TYPE_CHECKING:
    from tools.live import Session, Target
    from tools.trace_reader import Note
    from harness.failures import CheckFailed

_BY_HAND = "network,epoll_wait,epoll_ctl,read,write,close"
_SHOWN = 12  # calls of a step; of more, the first two of each sort


def _shorten(text: str, width: int = 96) -> str:
    """A call in one line: long texts of bytes are cut, the end stays."""
    from tools.trace_reader import DATA, data_of

    text = re.sub(r'"((?:[^"\\]|\\.){24})(?:[^"\\]|\\.)+"(?:\.\.\.)?', r'"\1"…', text)
    text = re.sub(r"\{sa_family=\w+, sin6?_port=htons\((\d+)\)[^}]*\}", r"{port \1}", text)
    text = re.sub(DATA, lambda found: f"data={data_of(found[1])}", text)
    text = re.sub(
        r"\{it_interval=\{[^}]*\}, it_value=\{tv_sec=(\d+), tv_nsec=\d+\}\}", r"{at \1 s}", text
    )
    text = re.sub(r"msg_name=NULL, msg_namelen=0, |, msg_controllen=0|, msg_flags=\w+", "", text)
    return text if len(text) <= width else text[: width - 24] + " … " + text[-21:]


def _say_note(note: Note) -> None:
    from tools.trace_reader import BAD, GOOD

    mark = {GOOD: good("✓"), BAD: bad("✗")}.get(note.mark, " ")
    say(f"  {_shorten(note.call.text)}")
    for index, line in enumerate(textwrap.wrap(note.text, 90)):
        say(f"      {mark if not index else ' '} {dim(line) if note.mark != BAD else bad(line)}")


def _say_notes(notes: list[Note]) -> None:
    """All of a few; of many, the first two of each sort."""
    if len(notes) <= _SHOWN:
        for note in notes:
            _say_note(note)
        return
    seen: Counter = Counter()
    left: Counter = Counter()
    for note in notes:
        seen[note.sort] += 1
        if seen[note.sort] <= 2:
            _say_note(note)
        else:
            left[note.call.name] += 1
    if left:
        told = ", ".join(f"{name} × {count}" for name, count in left.most_common())
        say(dim(f"  … and more of the same: {told}"))


class _Story:
    """The steps of a conversation, each with the calls that the server answers it with."""

    def __init__(self, session: Session, phase: int) -> None:
        from tools.trace_reader import Reader
        from tools.trace_talks import Talk

        self.session, self.phase = session, phase
        self.reader = Reader()
        self.talk = Talk(session, phase, self.reader)
        self.notes: list[Note] = []

    def take(self) -> list[Note]:
        for number, client in enumerate(self.talk.clients, 1):
            with suppress(OSError):  # it may be gone
                self.reader.introduce(client.sock.getsockname()[1], f"client {number}")
        found = [note for call in self.session.calls() if (note := self.reader.read(call))]
        self.notes += found
        return found

    def start(self) -> None:
        self.session.quiet(0.05, 0.6)
        say(bold("it starts"))
        _say_notes(self.take())

    def step(self, title: str, action: Callable[[], object]) -> None:
        say()
        say(bold(title))
        action()
        rested = self.session.quiet(0.05, 0.6)
        _say_notes(self.take())
        if not rested:
            say(
                f"      {bad('✗ it does not come to rest: call after call, though nothing happens')}"
            )

    def silence(self) -> bool:
        """For a while nobody says anything."""
        say()
        say(bold("nobody says anything, for 0.3 s"))
        self.session.quiet(0.3, 0.32)
        notes = self.take()
        _say_notes(notes)
        if not notes:
            say(f"      {good('✓')} {dim('not a single call: it sleeps in epoll_wait')}")
        return not notes

    def stop(self) -> None:
        say()
        say(bold("SIGTERM"))
        self.session.server.signal(signal.SIGTERM)
        self.session.quiet(0.05, 1.0)
        for client in self.talk.clients:
            client.half_close()
        status = self.session.server.wait(4)
        _say_notes(self.take())
        if status == 0:
            say(f"      {good('✓')} {dim('exit status 0')}")
        else:
            say(
                f"      {bad('✗')} it ended with {status}"
                if status is not None
                else f"      {bad('✗')} it still runs"
            )


def _say_cost(story: _Story) -> None:
    """The same message again and again, by a client of its own."""
    from tools.trace_talks import MESSAGES

    client = story.talk.newcomer()
    story.session.quiet(0.05, 0.6)
    story.take()
    for number in range(MESSAGES):
        story.talk.message(client, number)
    story.session.quiet(0.05, 0.6)
    counted = Counter(note.call.name for note in story.take())
    each = ", ".join(f"{name} {count / MESSAGES:.1f}" for name, count in counted.most_common(5))
    per = sum(counted.values()) / MESSAGES
    least = 4 if story.phase == 5 else 3
    verdict = good("✓") if per < least + 0.5 else warn("!") if per < 2 * least else bad("✗")
    say(f"  {verdict} {per:.1f} calls a message over {MESSAGES} messages: {each}")
    more = "; over TLS one read more, until it wants to read" if least == 4 else ""
    say(f"    {dim(f'epoll_wait, a read and a write are enough{more}')}")


def _say_bill(story: _Story, quiet: bool) -> None:
    """What a message costs, and what stood out."""
    from tools.trace_reader import BAD

    say()
    say(bold("summary"))
    if story.phase != 2:
        _say_cost(story)
    reader = story.reader
    mark = good("✓") if reader.nodelay >= reader.sockets else warn("!")
    say(f"  {mark} TCP_NODELAY on {reader.nodelay} of {plural(reader.sockets, 'accepted socket')}")
    say(
        f"  {good('✓') if quiet else bad('✗')} {'no call' if quiet else 'calls'} while nobody says anything"
    )
    wrong = Counter(note.text for note in story.notes if note.mark == BAD)
    for text, count in wrong.most_common(5):
        say(f"  {bad('✗')} {plural(count, 'time')}: {text}")


def _trace_hello(command: list[str]) -> None:
    """Phase 0 is no server: its few calls."""
    result = subprocess.run(
        ["strace", "-e", "trace=execve,write,exit_group", *command],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    meanings = {
        "execve": "the kernel replaces this process by the program",
        "write": "1 is standard output; the number behind = is how many bytes it took",
        "exit_group": "the exit status: 0 is success",
    }
    say(bold("phase 0 under strace"))
    for line in result.stderr.splitlines():
        if name := next((name for name in meanings if line.startswith(name)), None):
            say(f"  {_shorten(line)}")
            say(f"        {dim(meanings[name])}")
    say(f"  stdout: {result.stdout.strip()}")


def _say_break(failure: CheckFailed, again: str) -> None:
    """The conversation broke off: where, why, and what the server said last."""
    from tools.live import fate_of

    fate = fate_of(failure)
    told = f"expected {failure.expected}, but {failure.but}"
    say(f"\n{bad('✗')} the conversation broke off: {told}")
    if failure.cause:
        say(f"  likely cause: {failure.cause}")
    for line in fate.stderr[-4:] if fate else []:
        say(f"  {line}")
    next_step(f"./learn hint {fate.todo}" if fate and fate.todo else again)


def _follow(target: Target, again: str) -> None:
    from tools.live import Session
    from harness.failures import CheckFailed

    flags = ["--max-buffered", "32768"] if target.phase > 2 else []
    flags += ["--ping-interval", "0.6"] if target.phase == 5 else []
    quiet = True
    try:
        with Session(target, *flags, traced=True) as session:
            story = _Story(session, target.phase)
            story.start()
            for number, (title, action) in enumerate(story.talk.steps()):
                story.step(title, action)
                if number == 1:
                    quiet = story.silence()
            _say_bill(story, quiet)
            story.stop()
    except CheckFailed as failure:
        _say_break(failure, again)
        sys.exit(1)


@click.command()
@click.argument("phase", type=PHASE)
@click.option(
    "--server",
    metavar="CMD",
    help="Trace this command instead: any language, if it keeps the contract.",
)
def trace(phase: int, server: str | None) -> None:
    """Run a server under strace, talk to it, and read its system calls together.

    The flags are those of the debugging checklist (-f -e trace=network -s 200), and what epoll adds. One
    client or two hold a short conversation that fits the phase; below each of their steps stand the calls
    that the server made, with what each means: ✓ is as it should be, ✗ is not.

    It takes what you wrote in work/phaseN, or the reference ./phaseN while there is nothing.

    \b
      ./learn trace 1
      ./learn trace 3 --server "python3 mine.py"
      ./learn trace 5 | less                             the handshake of TLS, records, timers
    """
    from tools.live import NotBuilt, choose, why_no_strace
    from tools.screen import stop

    if why := why_no_strace():
        stop(f"strace: {why}", "./learn doctor")
    try:
        target, name = choose(phase, server)
    except NotBuilt as missing:
        stop(str(missing), *missing.steps)
    if phase == 0:
        _trace_hello(list(target.command))
        next_step("./learn start 1")
        return
    again = f"./learn review {phase}" + (f" --server {shlex.quote(server)}" if server else "")
    typed = " ".join(target.command)
    say(f"{bold(f'Trace of phase {phase}')}: {name}")
    say(dim(f"by hand: strace -f -e trace={_BY_HAND} -s 200 {typed}"))
    say()
    _follow(target, again)
    next_step((again, "the whole checklist"))


if __name__ == "__main__":
    trace()
