"""The harness itself: what it starts does not stay behind."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.server import GUARD

TESTS = Path(__file__).resolve().parent
STARTER = """
import signal, sys
from pathlib import Path
from harness.server import Target, launch

server, *under = sys.argv[1:]
print(launch(Target(1, False, (server,), Path.cwd()), under=under).pid, flush=True)
signal.pause()
"""


@pytest.mark.skipif(not GUARD, reason="there is no setpriv(1) here")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP], ids=["SIGKILL", "SIGHUP"])
@pytest.mark.parametrize("under", [[], ["strace", "-f", "-o", "/dev/null"]], ids=["", "strace"])
def test_a_server_ends_with_its_tests(
    pytestconfig, tmp_path: Path, number: signal.Signals, under: list[str]
):
    """pytest is killed, or its terminal closed, in the middle of a test: the server ends, too."""
    server = TESTS.parent / (pytestconfig.getoption("--build") or "") / "phase1"
    words = [sys.executable, "-c", STARTER, str(server), *under]
    place = {**os.environ, "TMPDIR": str(tmp_path)}  # for what is left behind
    with subprocess.Popen(words, cwd=TESTS, stdout=subprocess.PIPE, env=place) as starter:
        pid = int(starter.stdout.readline())
        ended = os.pidfd_open(pid)
        starter.send_signal(number)
        poll = select.poll()
        poll.register(ended, select.POLLIN)
        gone = poll.poll(10_000)
        os.close(ended)
        if not gone:
            os.kill(pid, signal.SIGKILL)
    assert gone, f"the server still runs after {number.name}"
