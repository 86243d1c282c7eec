"""A log on stderr that nobody reads, or whose reader has gone: that must not stop the server."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

from harness.server import Server
from trust.aside import Task
from trust.sockets import connect_upgraded, reset
from trust.trial import Trial, attack

SMALL = 4096  # bytes in a pipe, after which whoever writes to it has to wait


def visit(task: Task, server: Server, count: int) -> int:
    """So many come and go, of whom each has its lines in the log."""
    task.ready()
    for number in range(count):
        reset(connect_upgraded(server, tls=number % 10 == 0))
    return count


def start_with_log(trial: Trial) -> tuple[Server, int]:
    """A server with -v, whose stderr is a small pipe, and the end at which it could be read."""
    directory = trial.closers.enter_context(tempfile.TemporaryDirectory())
    path = Path(directory) / "log"
    os.mkfifo(path)
    log = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(log, fcntl.F_SETPIPE_SZ, SMALL)
    under = ["sh", "-c", 'exec "$@" 2> "$0"', str(path)]
    return trial.start_watched("-v", under=under), log


@attack("log that nobody reads", "-v, and a pipe as stderr that is full: all goes on")
def log_that_nobody_reads(trial: Trial) -> None:
    server, log = start_with_log(trial)
    trial.closers.callback(os.close, log)
    trial.count += sum(trial.assault((visit, server, trial.many(3_000, 300))))


@attack("log whose reader has gone", "-v, and a pipe as stderr that nobody has open: all goes on")
def log_whose_reader_has_gone(trial: Trial) -> None:
    server, log = start_with_log(trial)
    os.close(log)
    trial.count += sum(trial.assault((visit, server, trial.many(3_000, 300))))
