"""The load generator of bench/: as many clients as wanted, who check every byte."""

from __future__ import annotations

import json
import subprocess

from harness.failures import CheckFailed
from harness.server import Server
from trust import TOP

PROGRAM = "build/release/bench/load"


class Load:
    """It runs from here on. `options` are its flags: connections=50 is --connections 50."""

    def __init__(self, server: Server, tls: bool, **options: float) -> None:
        self.server = server
        scheme = "wss" if tls else "ws"
        host, port = server.addresses[scheme]
        words = [str(TOP / PROGRAM), "--url", f"{scheme}://{host}:{port}/", "--binary", "--verify"]
        for name, value in options.items():
            words += ["--" + name.replace("_", "-"), str(value)]
        self.process = subprocess.Popen(
            [*words, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

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
