"""The load generator of bench/: honest clients, as many as wanted, who check every byte."""

from __future__ import annotations

import json
import os
import subprocess

from harness.failures import CheckFailed
from harness.server import Server
from trust import TOP

PROGRAM = "build/release/bench/load"


class Load:
    """It runs from here on. `idle` clients have each had one message echoed, then the others talk."""

    def __init__(self, server: Server, tls: bool, connections: int, seconds: float, idle=0) -> None:
        self.server = server
        scheme = "wss" if tls else "ws"
        host, port = server.addresses[scheme]
        words = [str(TOP / PROGRAM), "--url", f"{scheme}://{host}:{port}/", "--verify", "--json"]
        words += ["--binary", "--connections", str(connections), "--idle", str(idle)]
        words += ["--seconds", str(seconds)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def running(self) -> bool:
        return self.process.poll() is None

    def result(self) -> dict[str, float]:
        """Its figures; CheckFailed where an echo was wrong or a connection ended."""
        out, err = self.process.communicate()
        if self.process.returncode:
            raise CheckFailed("every echo to be right", err.decode().strip(), server=self.server)
        return json.loads(out)

    def close(self) -> None:
        if self.running():
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


def niced() -> None:
    """For attackers that share a CPU with those whom they must not disturb by that alone."""
    os.nice(10)
