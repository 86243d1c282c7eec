"""A connection that remembers what it did: bytes out, bytes in, and a report when they are wrong."""

from __future__ import annotations

import select
import socket
import ssl
from typing import Iterable

from harness import diagnose, frames
from harness.deadlines import REPLY, Deadline, scaled, wait_until
from harness.failures import CheckFailed
from harness.frames import BINARY, CLOSE, Frame
from harness.server import Server
from harness.sockdiag import wait_until_read
from harness.tls import TlsStream

_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_KEPT_STEPS = 24


class Connection:
    def __init__(self, server: Server, narrow: bool = False, plain: bool = False) -> None:
        """Connect. A narrow client has tiny socket buffers, and so makes the server's tiny too.

        `plain`: to the first port that the server told, even if the test is about the TLS port.
        """
        self.server = server
        self.tls = server.tls and not plain
        self.inbox = bytearray()
        self.ended = False  # the server's end of stream has been read
        self.half_closed = False
        self.reset = False
        self.upgraded = False
        self.sent: list[Frame] = []
        self.pieces = 1
        self._steps: list[str] = []
        self._left_out = 0
        self.sock = self._connect(narrow)
        host, port = self.sock.getpeername()[:2]
        self._step(f"connected to {host} port {port}" + (" by TLS" if self.tls else ""))

    def _connect(self, narrow: bool) -> socket.socket | TlsStream:
        addresses = self.server.addresses
        host, port = self.server.address if self.tls else next(iter(addresses.values()))
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        if narrow:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1000)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(Deadline().seconds)
        try:
            sock.connect((host, port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                sock = self._wrap(sock)
        except OSError as error:
            sock.close()
            raise CheckFailed(
                "the server to accept a connection",
                f"it did not: {error}",
                server=self.server,
            )
        sock.setblocking(False)
        return sock

    def _wrap(self, sock: socket.socket) -> TlsStream:
        """TLS on a connected socket; harness/libssl.py has a client that does it in its own way."""
        return TlsStream(sock)

    @property
    def local_address(self) -> str:
        host, port = self.sock.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def _step(self, text: str) -> None:
        self._steps.append(text)
        if len(self._steps) > _KEPT_STEPS:
            del self._steps[2]
            self._left_out += 1

    def transcript(self) -> list[str]:
        numbers = [1, 2, *range(3 + self._left_out, 99999)]
        lines = [f"{number:>3}  {text}" for number, text in zip(numbers, self._steps)]
        if self._left_out:
            lines.insert(2, f"     … {self._left_out} steps")
        return lines

    def fail(
        self,
        expected: str,
        but: str,
        rule: str = "",
        drawn: list[str] | None = None,
        cause: str | None = None,
    ):
        raise CheckFailed(expected, but, rule, drawn or [], cause, self)

    # --- sending ------------------------------------------------------------

    def _wait(self, events: int, deadline: Deadline) -> bool:
        poll = select.poll()
        poll.register(self.sock, events)
        return bool(poll.poll(deadline.left_ms()))

    def try_send(self, data: bytes | memoryview) -> int:
        """What the kernel takes of it now; 0 if it takes nothing."""
        try:
            return self.sock.send(data)
        except _WOULD_BLOCK:
            return 0

    def try_stuck_send(self, data: bytes | memoryview) -> int:
        """The same, of a client that does not read: it must be kept waiting, not cut off."""
        try:
            return self.try_send(data)
        except OSError as error:
            self._step(f"the connection broke: {error.strerror}")
            self.fail(
                "the server to keep the connection of a client that does not read",
                f"it broke: {error.strerror}",
                cause="EAGAIN was taken for an error: send() says that the socket is full for now. Keep "
                "the rest, and wait for EPOLLOUT.",
            )

    def _push(self, data: bytes, reading: bool, deadline: Deadline) -> None:
        view = memoryview(data)
        while view:
            try:
                sent = self.try_send(view)
            except OSError as error:
                self._drain()
                self._step(
                    f"the connection broke while {len(view)} bytes were still to be sent: {error.strerror}"
                )
                self._fail_ended(
                    f"the server to take all {len(data)} bytes",
                    "it ended the connection meanwhile",
                    cause=self._why_ended(),
                )
            view = view[sent:]
            if sent:
                continue
            if reading:
                self._drain()
            if not self._wait(select.POLLOUT | (select.POLLIN if reading else 0), deadline):
                done = len(data) - len(view)
                self.fail(
                    f"the server to take {len(data)} bytes",
                    f"it stopped reading after {done}",
                    cause="it does not read on, though its answers are being read.",
                )

    def send_bytes(
        self,
        data: bytes,
        cuts: Iterable[int] = (),
        *,
        reading: bool = True,
        what: str = "",
        seconds: float = REPLY,
    ) -> None:
        """Send; with `cuts`, in pieces, each after the server has read the one before.

        `reading`: take in what comes back meanwhile, so that two full pipes cannot block each other.
        """
        edges = sorted({cut for cut in cuts if 0 < cut < len(data)})
        pieces = [data[a:b] for a, b in zip([0, *edges], [*edges, len(data)])]
        self.pieces = len(pieces)
        in_pieces = (
            f" in {len(pieces)} pieces, cut at {', '.join(map(str, edges[:6]))}" if edges else ""
        )
        in_pieces += "…" if len(edges) > 6 else ""
        self._step(f"sent {len(data)} bytes{in_pieces}: {what or repr(data[:40])[1:]}")
        deadline = Deadline(seconds)
        for index, piece in enumerate(pieces):
            if index:
                wait_until_read(self.sock)
            self._push(piece, reading, deadline)

    def send_until_stuck(self, data: bytes, most: int) -> int:
        """Send `data` again and again, reading nothing, until the server takes no more; how much went."""
        return send_until_stuck([self], data, most)[0]

    def half_close(self) -> None:
        """End our direction only (over TLS: by a close_notify, and then the TCP stream)."""
        self._step("ended our direction of the connection")
        self.half_closed = True
        try:
            if isinstance(self.sock, TlsStream):
                self.sock.end_sending()
            else:
                self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def wait_until_end_has_come(self) -> None:
        """After half_close(): all that was sent, and the end of it, is in the server's kernel."""
        on_its_way = (b"\1", b"\4")  # ESTABLISHED, FIN_WAIT1: the first byte of struct tcp_info
        tcp_info = (socket.IPPROTO_TCP, socket.TCP_INFO, 1)
        wait_until(lambda: self.sock.getsockopt(*tcp_info) not in on_its_way)

    def abort(self) -> None:
        """Break the connection with a reset, without a goodbye."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def close(self) -> None:
        self.sock.close()

    # --- receiving ------------------------------------------------------------

    def _read_once(self) -> bool:
        """Take in what is there; False if nothing is there now."""
        if self.ended or self.reset:
            return False
        try:
            data = self.sock.recv(262144)
        except _WOULD_BLOCK:
            return False
        except OSError as error:
            self.reset = True
            self._step(f"the connection broke: {error.strerror}")
            return False
        if data:
            self.inbox += data
        else:
            self.ended = True
            self._step("the server ended the connection")
        return True

    def _drain(self) -> None:
        while self._read_once():
            pass

    def read_more(self, deadline: Deadline) -> bool:
        """Wait for more; False at the end of the stream, at a reset and past the deadline."""
        while not self.ended and not self.reset:
            before = len(self.inbox)
            if self._read_once():
                if len(self.inbox) > before:
                    return True
                continue
            # Over TLS, what we have sent may still be on its way, and come first.
            events = select.POLLIN | select.POLLOUT * getattr(self.sock, "wants_write", False)
            if self.reset or deadline.over() or not self._wait(events, deadline):
                return False
        return False

    def _fail_ended(
        self, expected: str, but: str, rule: str = "", cause: str | None = None
    ) -> None:
        drawn = []
        if self.inbox and self.sent:
            drawn = frames.draw(bytes(self.inbox))
            last = frames.decode_all(bytes(self.inbox))[0][-1:]
            if last and last[0].opcode == CLOSE:
                cause = cause or diagnose.frame(Frame(BINARY, b""), last[0], self.sent)
        self.fail(expected, but, rule, drawn, cause)

    def _why_ended(self) -> str | None:
        if self.half_closed or (self.sent and not self.inbox):
            return None  # it may have had a reason
        return "bytes were owed: EAGAIN (-1) is neither the end of the stream, which is 0, nor an error."

    def _fail_waiting(
        self,
        expected: str,
        deadline: Deadline,
        rule: str,
        cause: str | None,
        late: str | None = None,
    ) -> None:
        """The stream ended, broke or stayed silent: which of them, and what there was of it.

        `late`: the cause if it is silence.
        """
        have = f" after {len(self.inbox)} bytes of it" if self.inbox else ""
        if self.reset:
            but = f"the connection was reset{have}"
            cause = (
                cause
                or "close() with unread bytes resets the connection: shutdown(SHUT_WR), then read until EOF (RFC 9112 §9.6)."
            )
        elif self.ended:
            but = f"the server ended the connection{have}"
            cause = cause or self._why_ended()
        else:
            but = f"nothing more came within {deadline.seconds:.0f} s{have}"
            cause = (
                cause
                or late
                or diagnose.silence(self.sent, self.pieces, bytes(self.inbox[:10]), len(self.inbox))
            )
        self.fail(
            expected,
            but,
            rule,
            frames.draw(bytes(self.inbox[:4096])) if self.sent else [],
            cause,
        )

    def expect_bytes(
        self,
        expected: bytes,
        rule: str = "",
        cause: str | None = None,
        seconds: float = REPLY,
    ) -> None:
        """Exactly these bytes come next."""
        deadline = Deadline(seconds)
        while len(self.inbox) < len(expected) and expected.startswith(bytes(self.inbox[:64])):
            if not self.read_more(deadline):
                break
        got = bytes(self.inbox[: len(expected)])
        if got == expected:
            del self.inbox[: len(expected)]
            self._step(f"received {len(got)} bytes: {frames.show(got)}")
            return
        words = f"{frames.show(expected)}"
        found = diagnose.stream(expected, got) or cause
        if expected.startswith(got):
            self._fail_waiting(words, deadline, rule, found)
        self.fail(
            words,
            "other bytes came",
            rule,
            frames.draw_difference(expected, got),
            found,
        )

    def stays_open(self) -> bool:
        """Whether the server has read all that was sent, and has not ended the connection."""
        wait_until_read(self.sock)
        self._drain()
        return not self.ended and not self.reset

    def expect_open(self, rule: str = "") -> None:
        if not self.stays_open():
            self._fail_ended("the connection to stay open", "the server ended it", rule)

    def expect_eof(
        self,
        rule: str = "",
        cause: str | None = None,
        seconds: float = REPLY,
        late: str | None = None,
    ) -> None:
        """Nothing more comes but the end of the stream, and no reset; `late`: the cause of silence."""
        deadline = Deadline(seconds)
        while not self.inbox and self.read_more(deadline):
            pass
        words = "the server to end the connection"
        if self.inbox:
            drawn = (
                frames.draw(bytes(self.inbox[:300]))
                if self.sent
                else [frames.show(bytes(self.inbox))]
            )
            self.fail(
                f"nothing more, and {words}",
                f"{len(self.inbox)} bytes came",
                rule,
                drawn,
                cause,
            )
        if not self.ended:
            self._fail_waiting(words, deadline, rule, cause, late)

    def expect_patience(self) -> None:
        """The server has half-closed, but reads on: sending to it brings no reset."""
        expected = (
            "the server to read on until our end of stream, after it has ended its own direction"
        )
        cause = "it closed the socket: unread bytes reset the connection, and the peer loses the code. shutdown(SHUT_WR), then read and discard until EOF."
        for _ in range(3):
            try:
                self.sock.send(b"more bytes on their way")
                wait_until_read(self.sock)
            except _WOULD_BLOCK:
                pass
            except OSError as error:
                self._step(f"sent on: {error.strerror}")
                self.fail(
                    expected,
                    f"the connection broke: {error.strerror}",
                    "RFC 9112 §9.6",
                    cause=cause,
                )


def send_until_stuck(clients: list[Connection], data: bytes, most: int) -> list[int]:
    """Each sends `data` over and over, up to `most` bytes, and reads nothing, until all are stuck:
    no socket takes more, and the server sleeps and has not woken up meanwhile."""
    sent = [0] * len(clients)
    deadline = Deadline(30)
    while True:
        moved, wakeups = False, clients[0].server.wakeups()
        for index, client in enumerate(clients):
            while sent[index] < most:
                at = sent[index] % len(data)
                count = client.try_stuck_send(memoryview(data)[at : at + most - sent[index]])
                sent[index] += count
                moved = moved or count > 0
                if not count:
                    break
        if deadline.over():
            clients[0].fail(
                f"the server to stop taking bytes from {len(clients)} clients that read nothing",
                f"it still took some after {deadline.seconds:.0f} s",
                cause="reading must pause while answers pile up, or they take memory without a bound.",
            )
        if moved:
            continue
        poll = select.poll()
        for index, client in enumerate(clients):
            if sent[index] < most:
                poll.register(client.sock, select.POLLOUT)
        if not poll.poll(int(scaled(100))) and clients[0].server.wakeups() == wakeups:
            break
    for client, count in zip(clients, sent):
        client._step(f"sent {count} bytes without reading, until no more were taken")
    return sent
