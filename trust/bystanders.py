"""Two clients who do nothing wrong, one on each port: their echoes must go on whatever others do."""

from __future__ import annotations

import os
import select
import threading
import time

from harness.client import Client
from harness.failures import CheckFailed
from harness.server import Server

EVERY = 0.01  # seconds between one message and the next


class Bystanders(threading.Thread):
    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self._clients = [Client(server, plain=True), Client(server)]
        self._over, self._end = os.pipe()
        self._failure: CheckFailed | None = None
        self.echoes, self._longest = 0, 0.0
        for client in self._clients:
            client.handshake().echo()
        self.start()

    def run(self) -> None:
        poll = select.poll()
        poll.register(self._over, select.POLLIN)
        try:
            while not poll.poll(int(EVERY * 1000)):
                self._echo()
        except CheckFailed as error:
            self._failure = error

    def _echo(self) -> None:
        for client in self._clients:
            begin = time.monotonic()
            client.echo(os.urandom(100))
            self._longest = max(self._longest, time.monotonic() - begin)
            self.echoes += 1

    def _be_over(self) -> None:
        if self._end >= 0:
            os.close(self._end)
            self._end = -1
        self.join()

    def finish(self) -> str:
        """They say goodbye; raises what went wrong for them on the way."""
        self._be_over()
        if self._failure:
            raise self._failure
        for client in self._clients:
            client.goodbye()
            client.close()
        return f"bystanders {self.echoes} echoes, slowest {self._longest * 1000:.0f} ms"

    def close(self) -> None:
        self._be_over()
        for client in self._clients:
            client.close()
        if self._over >= 0:
            os.close(self._over)
            self._over = -1
