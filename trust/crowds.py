"""Very many connections at once, and more of them than there are descriptors."""

from __future__ import annotations

import contextlib
import select
import signal
import ssl
import subprocess
import tempfile
from pathlib import Path

from harness.certificates import Files, issue
from harness.deadlines import REPLY, scaled, wait_until
from harness.failures import check
from harness.frames import CLOSE, PING, TEXT, UNMASKED, encode
from harness.pace import span
from harness.server import Server
from trust.aside import Task
from trust.load import Load
from trust.sockets import REQUEST, SETTINGS, connect, connect_upgraded, expect, read_upgrade, reset
from trust.trial import MIB, Trial, attack

DESCRIPTORS = 64
SIZE = 16_000  # of a message: nothing of it is kept by who is idle afterwards

# libssl holds 14 KB of an idle connection in version 3.0, and 30 KB in 3.5: each direction has a
# record layer of 4.4 KB, and the ML-KEM key of its key exchange, with what it was sent in, is 8 KB.
TLS_BYTES = 40_000 if ssl.OPENSSL_VERSION_INFO >= (3, 5) else 20_000


@attack("crowd, plain", "connections open at once, of which a twentieth talks")
def plain_crowd(trial: Trial) -> None:
    crowd(trial, tls=False, bytes_each=1024)


@attack("crowd, TLS", "the same over TLS")
def tls_crowd(trial: Trial) -> None:
    crowd(trial, tls=True, bytes_each=TLS_BYTES)


def crowd(trial: Trial, tls: bool, bytes_each: int) -> None:
    server = trial.start()
    descriptors, memory = server.descriptors(), server.rss()
    total = trial.many(10_000, 1_000)
    talking = total // 20
    seconds = trial.many(5, 1)
    flags = {"connections": talking, "idle": total - talking, "size": SIZE}
    load = Load(server, tls, **flags, seconds=seconds)
    trial.closers.callback(load.close)
    most = largest = 0
    while load.running():
        most, largest = max(most, server.descriptors()), max(largest, server.rss())
        try:
            load.process.wait(0.1)
        except subprocess.TimeoutExpired:
            pass
    figures = load.result()
    trial.count = most - descriptors
    check(trial.count >= total, f"{total} connections at once", f"{trial.count} were the most")
    each = (largest - memory) / total
    fits = server.sanitized() or each <= bytes_each + MIB / total
    check(fits, f"at most {bytes_each} bytes of memory each", f"it is {each:.0f}", server=server)
    echoes = int(figures["messages"]) + total
    trial.tell(f"{echoes:,} echoes right, {each:.0f} bytes each, p99 {figures['p99_us']:.0f} µs")
    gone = wait_until(lambda: server.descriptors() <= descriptors)
    check(gone, "every descriptor to be closed", f"{server.descriptors()} are open", server=server)


@attack(
    "no descriptor left", f"clients where there are {DESCRIPTORS} descriptors: all served, in turn"
)
def out_of_descriptors(trial: Trial) -> None:
    files = Files.at(Path(trial.closers.enter_context(tempfile.TemporaryDirectory())))
    files.write(issue("localhost"))
    server = trial.start(*files.flags)
    server.limit_descriptors(DESCRIPTORS)
    room = DESCRIPTORS - server.descriptors()
    waiting = [Waiting(server, tls=number % 2 == 0) for number in range(200)]
    for client in waiting:
        trial.closers.callback(client.sock.close)
    full = wait_until(lambda: len(answered(waiting)) == room)
    check(full, f"{room} of the clients to be answered", f"{len(answered(waiting))} are")
    server.expect_idle("clients wait for a descriptor", "accept4 fails: look away", wakeups=2)
    server.signal(signal.SIGHUP)  # files can't be opened now, and the clients stay
    while waiting:
        served = answered(waiting, seconds=REPLY)
        check(served, f"the other {len(waiting)} to be served", "nobody is", server=server)
        for client in served:
            client.echo()
            client.sock.close()
            waiting.remove(client)
            trial.count += 1
    trial.tell(f"{room} at a time, asleep while the others waited")


# --- all at once ----------------------------------------------------------------------------------

ASKED = encode(PING, mask=UNMASKED)


def act_together(task: Task, server: Server, count: int, deed: str) -> int:
    """A crowd, a tenth of it by TLS, of which all do the same at the same moment."""
    socks = [connect_upgraded(server, number % 10 == 0) for number in range(count)]
    task.ready()
    for sock in socks:
        sock.sendall(encode(TEXT, b"all"))
    for sock in socks:
        expect(sock, encode(TEXT, b"all", mask=UNMASKED))
    if deed == "are asked":
        for sock in socks:
            expect(sock, ASKED)
    for sock in socks:
        if deed == "say goodbye":
            sock.sendall(encode(CLOSE, b"\x03\xe8"))
        else:
            reset(sock)
    return count


@attack(
    "crowd at once", "a crowd that is due for a PING, says goodbye or is gone at the same moment"
)
def crowd_at_once(trial: Trial) -> None:
    server = trial.start_watched("--ping-interval", span(1))
    count = trial.many(8_000, 1_000)
    for deed in ("are asked", "say goodbye", "are gone"):
        trial.count += sum(trial.assault((act_together, server, count, deed)))


class Waiting:
    """A client that has asked for something and can't know whether it is let in."""

    def __init__(self, server: Server, tls: bool) -> None:
        self.sock = connect(server, tls)
        self.tls = tls
        if not tls:
            self.sock.sendall(REQUEST)
            return
        self.sock = SETTINGS.wrap_socket(self.sock, do_handshake_on_connect=False)
        self.sock.setblocking(False)
        with contextlib.suppress(ssl.SSLWantReadError):
            self.sock.do_handshake()

    def echo(self) -> None:
        self.sock.settimeout(scaled(REPLY))
        if self.tls:
            self.sock.do_handshake()
            self.sock.sendall(REQUEST)
        read_upgrade(self.sock)
        self.sock.sendall(encode(TEXT, b"at last"))
        expect(self.sock, encode(TEXT, b"at last", mask=UNMASKED))


def answered(clients: list[Waiting], seconds: float = 0) -> list[Waiting]:
    """Those for whom something has come; waits for the first of them."""
    poll = select.poll()
    by_descriptor = {client.sock.fileno(): client for client in clients}
    for descriptor in by_descriptor:
        poll.register(descriptor, select.POLLIN)
    return [by_descriptor[found] for found, _ in poll.poll(scaled(seconds) * 1000)]
