"""The server stopped, continued, reloaded and ended amid its work."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from harness.certificates import Files, fingerprint_of, issue
from harness.failures import check
from harness.frames import BINARY, PING, PONG, TEXT, UNMASKED, encode
from harness.http import request
from harness.pace import span
from harness.server import Server
from harness.tls_clients import TlsClient
from trust.load import Load
from trust.sessions import reload
from trust.sockets import connect_upgraded, expect, fill, pause, read
from trust.trial import MIB, Trial, attack

MESSAGE = encode(BINARY, bytes(60_000))
GRACE = 2.0  # seconds that the server waits for its clients at the end


@attack("stopped and continued", "SIGSTOP amid work; clients go on and new ones come; then SIGCONT")
def stop_and_continue(trial: Trial) -> None:
    server = trial.start_watched(timed=False)
    for _ in range(trial.many(20, 3)):
        clients = [trial.connect(server, plain=n % 2 == 0).handshake() for n in range(20)]
        server.signal(signal.SIGSTOP)
        message = trial.random.randbytes(5_000)
        for client in clients:
            client.send_frame(BINARY, message)
        late = [trial.connect(server, plain=True) for _ in range(20)]
        for client in late:
            client.send_bytes(request() + encode(BINARY, message), what="a request and a message")
        server.signal(signal.SIGCONT)
        for client in late:
            client.expect_upgrade()
        for client in clients + late:
            client.expect_frame(BINARY, message)
            client.goodbye()
            client.close()
            trial.count += 1


QUIET, SILENCE = 0.3, 0.3  # seconds until a PING, and after it until the end
SENT, BACK = encode(TEXT, b"still here"), encode(TEXT, b"still here", mask=UNMASKED)
ALIVE, ASKED = encode(PONG), encode(PING, mask=UNMASKED)


@attack(
    "stopped for too long", "SIGSTOP amid the PINGs; PONGs come, and all deadlines pass; SIGCONT"
)
def stop_for_too_long(trial: Trial) -> None:
    """Nobody is given up whose sign of life has come, because the server was late to look."""
    server = trial.start("--ping-interval", span(QUIET), "--idle-timeout", span(SILENCE))
    for count in trial.many([1, 10, 100, 200, 400] * 4, [1, 100, 200, 200, 400]):
        socks = [connect_upgraded(server, number % 10 == 0) for number in range(count)]
        for sock in socks:
            trial.closers.callback(sock.close)
        with stopped(server):  # so that the server hears of all at once, and asks all at once
            for sock in socks:
                sock.sendall(SENT)
        for sock in socks:
            expect(sock, BACK)
        select.select(socks, [], [])
        with stopped(server):
            for sock in socks:
                sock.sendall(ALIVE + SENT)
            pause(QUIET + 2 * SILENCE)
        for sock in socks:
            start = read(sock, len(ASKED))
            expect_still_here(sock, read(sock, len(ASKED)) if start == ASKED else start)
            sock.close()
            trial.count += 1


def expect_still_here(sock: socket.socket, start: bytes) -> None:
    came = start + read(sock, len(BACK) - len(start))
    check(came == BACK, f"the echo {BACK!r}", f"this came: {came!r}")


@contextlib.contextmanager
def stopped(server: Server) -> Iterator[None]:
    server.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.signal(signal.SIGCONT)


@attack(
    "reloads", "SIGHUP under load, with good and with bad files: each told, none costs a client"
)
def reloads(trial: Trial) -> None:
    directory = trial.closers.enter_context(tempfile.TemporaryDirectory())
    files = Files.at(Path(directory))
    shown = files.write(issue("first"))
    server = trial.start_watched(*files.flags)
    loads = [Load(server, tls, connections=20, seconds=600) for tls in (False, True)]
    for load in loads:
        trial.closers.callback(load.close)
    rounds = trial.many(300, 60)
    for number in range(rounds):
        if number == rounds // 5:
            before = server.rss()
        if number % 2:
            files.certificate.write_bytes(trial.random.choice(BAD))
        else:
            shown = files.write(issue(f"number {number}"))
        reload(server)
        kept = "the old certificate stays" in server.stderr().splitlines()[-1]
        check(kept == bool(number % 2), "a line that says whether it was taken", "it does not")
        client = trial.keep(TlsClient(server)).handshake()
        came = fingerprint_of(client.certificate())
        check(came == shown, f"the certificate {shown}", f"{came} came", client=client)
        client.goodbye()
        client.close()
        trial.count += 1
    trial.bound_memory(server, before, MIB // 4, f"{rounds - rounds // 5} reloads")
    for load in loads:
        check(load.running(), "the load to go on", "it ended", server=server)
        load.close()


BAD = [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]


@attack(
    "SIGTERM under load", "clients that send, are stuck or silent: it ends all the same, with 0"
)
def terminate(trial: Trial) -> None:
    slowest = 0.0
    for _ in range(trial.many(10, 1)):
        server = trial.start("--max-buffered", "65536")
        honest = [trial.connect(server, plain=n % 2 == 0).handshake() for n in range(50)]
        stuck = [trial.connect(server, plain=n % 2 == 0, narrow=True) for n in range(6)]
        silent = [trial.connect(server, plain=n % 2 == 0) for n in range(6)]
        for client in stuck:
            fill(client.handshake().sock, MESSAGE)
        load = Load(server, True, connections=20, seconds=600)
        trial.closers.callback(load.close)
        begin = time.monotonic()
        server.signal(signal.SIGTERM)
        for client in honest:
            client.expect_close(1001)
            client.send_close(1001)
            client.expect_eof()
        ended = server.wait(4 * GRACE) == 0
        slowest = max(slowest, time.monotonic() - begin)
        check(ended, "the server to end, with 0", f"it is {server.ending()}", server=server)
        for client in honest + stuck + silent:
            client.close()
            trial.count += 1
        load.close()
    trial.tell(f"over in {slowest:.2f} s at most, of which it may wait {GRACE:.0f}")
