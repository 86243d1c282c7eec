"""Real clients that nobody here wrote: nc, telnet, curl, wscat, python websockets."""

from __future__ import annotations

import os
import select
import shutil
import socket
import subprocess
from contextlib import contextmanager
from typing import Iterator

import pytest

from harness.deadlines import Deadline, scaled
from harness.failures import CheckFailed
from harness.server import Server


def need(name: str) -> str:
    """The path of a tool; a missing one fails the test with the way to get it."""
    path = shutil.which(name)
    if path is None:
        raise CheckFailed(f"the tool {name} on PATH", "it is not installed: make setup brings it")
    return path


def need_ipv6() -> None:
    """Skips the test where the machine has no IPv6, as in many a container."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        pytest.skip(f"this machine has no IPv6: {error.strerror}")


class Tool:
    """A running program whose standard input and output are pipes."""

    def __init__(self, server: Server | None, *arguments: str) -> None:
        self.server = server
        self.arguments = arguments
        self.said = ""
        need(arguments[0])
        pipes = {
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
        }
        self.process = subprocess.Popen(arguments, bufsize=0, **pipes)

    def type(self, text: str) -> None:
        self.process.stdin.write(text.encode())

    def end_input(self) -> None:
        self.process.stdin.close()

    def expect(self, text: str, rule: str = "") -> None:
        """Its output comes to hold `text`; what stands before and in it counts as read."""
        deadline = Deadline(15)
        out = self.process.stdout.fileno()
        poll = select.poll()
        poll.register(out, select.POLLIN)
        while text not in self.said:
            ready = poll.poll(min(deadline.left_ms(), 50))
            fell = self.server is not None and self.server.fell()
            if not ready and not fell and not deadline.over():
                continue
            data = os.read(out, 65536) if ready else b""
            if not data:
                command = " ".join(self.arguments)
                but = f"`{command}` printed {self.said[-500:]!r}"
                raise CheckFailed(
                    f"{self.arguments[0]} to print {text!r}",
                    but,
                    rule,
                    server=self.server,
                )
            self.said += data.decode("utf-8", "replace")
        self.said = self.said.partition(text)[2]

    def wait(self) -> int:
        return self.process.wait(scaled(15))


@contextmanager
def tool(server: Server | None, *arguments: str) -> Iterator[Tool]:
    running = Tool(server, *arguments)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
        running.process.wait()
        for pipe in (running.process.stdin, running.process.stdout):
            if not pipe.closed:
                pipe.close()


def run_tool(*arguments: str, seconds: float = 15, **options) -> subprocess.CompletedProcess:
    """A program that ends by itself, with its output as text."""
    need(arguments[0])
    options = {"capture_output": True, "text": True, **options}
    return subprocess.run(arguments, timeout=scaled(seconds), **options)


def wscat(url: str, message: str) -> list[str]:
    """The arguments that make wscat send a message at once and then stay until its input ends.

    Before wscat 6.1, which Debian 12 and 13 have not, `-x` is heard once, and `-w -1` does not wait.
    """
    return ["wscat", "--no-check", "-c", url, "-x", message, "-w", "60"]
