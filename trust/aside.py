"""A part of an attack that runs in a process of its own, where its Python does not slow the rest.

    python3 -m trust.aside MODULE FUNCTION NICE SCALE ARGUMENTS      ARGUMENTS: a list, as JSON

The function gets a Task and the arguments. What it returns is printed as JSON.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from harness import deadlines
from harness.failures import CheckFailed
from harness.server import Server
from trust import TOP

NICE = 10  # the attackers share the machine with the server and its honest clients, for want of another


class Task:
    """What the function is given: it says when it begins, and asks whether it may go on."""

    def ready(self) -> None:
        print("ready", flush=True)

    def over(self, seconds: float = 0) -> bool:
        """Whether to end, which may be waited for."""
        return bool(select.select([sys.stdin], [], [], seconds)[0])


class Aside:
    """It runs from here on, as `function(task, *arguments)`."""

    def __init__(self, function: Callable, *arguments, nice: int = NICE) -> None:
        self.call = (function, *arguments)
        told = json.dumps([_told(argument) for argument in arguments])
        words = [function.__module__, function.__name__, str(nice), str(deadlines.scaled(1)), told]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        command = [sys.executable, "-m", "trust.aside", *words]
        self.process = subprocess.Popen(command, cwd=TOP, text=True, **pipes)

    def running(self) -> bool:
        return self.process.poll() is None

    def wait_ready(self) -> None:
        """Returns when it says that it begins."""
        if self.process.stdout.readline() != "ready\n":
            self._fail()

    def ask(self, line: str):
        """The answer to a line that it is sent."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        if not (answer := self.process.stdout.readline()):
            self._fail()
        return json.loads(answer)

    def result(self):
        """Asks it to end, and returns what it made; CheckFailed where it failed."""
        self.process.stdin.close()
        return self.finish()

    def finish(self):
        """The same, when it ends by itself."""
        lines = [line for line in self.process.stdout if line != "ready\n"]
        if self.process.wait() or not lines:
            self._fail()
        return json.loads(lines[-1])

    def _fail(self) -> None:
        said = self.process.stderr.read().strip()
        raise CheckFailed(f"{self.call[0].__name__} to do its work", said or "it ended")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()


def _told(argument):
    if isinstance(argument, Server):
        return {"pid": argument.pid, "tls": argument.tls, "addresses": argument.addresses}
    return argument


def _heard(argument):
    """A server that another process has started is told as a dictionary."""
    if not isinstance(argument, dict):
        return argument
    addresses = {scheme: tuple(address) for scheme, address in argument["addresses"].items()}
    pid, tls = argument["pid"], argument["tls"]
    return Server([], None, Path("/dev/null"), tls, pid, addresses=addresses)


def main() -> None:
    module, name, nice, scale, arguments = sys.argv[1:]
    os.nice(int(nice))
    deadlines.set_scale(float(scale))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    function = getattr(importlib.import_module(module), name)
    try:
        made = function(Task(), *map(_heard, json.loads(arguments)))
    except (CheckFailed, OSError) as error:
        client = error.client if isinstance(error, CheckFailed) else None
        sys.exit("\n".join([str(error), *(client.transcript()[-8:] if client else [])]))
    print(json.dumps(made), flush=True)


if __name__ == "__main__":
    main()
