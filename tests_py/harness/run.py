"""The servers and clients of one test, so that none outlives it."""

from __future__ import annotations

from pathlib import Path

from harness.client import Client
from harness.server import Server, Target, launch


class Run:
    def __init__(self, target: Target, task: str) -> None:
        self.target = target
        self.task = task
        self.servers: list[Server] = []
        self.clients: list[Client] = []
        self.files: list[Path] = []  # to be removed at the end

    @property
    def last_server(self) -> Server | None:
        return self.servers[-1] if self.servers else None

    def missing_task(self) -> str | None:
        """What the first server without a task that it came to needs has said."""
        return next(filter(None, (server.missing_task() for server in self.servers)), None)

    def start(self, *flags: str, **options) -> Server:
        server = launch(self.target, *flags, **options)
        server.task = self.task
        self.servers.append(server)
        return server

    def connect(self, server: Server | None = None, **options) -> Client:
        """A raw client of this server, or of one that is started for it without flags."""
        client = Client(server or self.last_server or self.start(), **options)
        self.clients.append(client)
        return client

    def expect_served(self, client: Client, text: str = "anybody there?") -> None:
        """This phase's sign of life: the echo of a line, a handshake, the echo of a message."""
        if self.target.phase == 1:
            client.send_bytes(text.encode() + b"\n")
            client.expect_bytes(text.encode() + b"\n")
            return
        if not client.upgraded:
            client.handshake()
        if self.target.phase > 2:
            client.echo(text.encode())

    def finish(self) -> None:
        """After a test that passed: every server ends on SIGTERM, with 0, and without a report."""
        self._close_clients()
        for server in self.servers:
            if not server.stopped:
                server.stop()

    def clean_up(self) -> None:
        self._close_clients()
        for server in self.servers:
            server.kill()
            server.process.stdout.close()
            server.stderr_file.unlink(missing_ok=True)
        for file in self.files:
            file.unlink(missing_ok=True)

    def _close_clients(self) -> None:
        for client in self.clients:
            client.close()
