"""A raw client that remembers what it did: bytes out, frames in, and a report when they are wrong."""

from __future__ import annotations

import select
import socket
from typing import Iterable

from harness import diagnose, frames, http
from harness.deadlines import REPLY, Deadline, scaled
from harness.failures import CheckFailed
from harness.frames import BINARY, CLOSE, CONTINUATION, MASK, PING, PONG, TEXT, Frame
from harness.server import Server
from harness.sockdiag import wait_until_read
from harness.tls import TlsStream

_KEPT_STEPS = 24


class Client:
    def __init__(
        self, server: Server, narrow: bool = False, plain: bool = False
    ) -> None:
        """Connect. A narrow client has tiny socket buffers, and so makes the server's tiny too.

        `plain`: to the first port that the server told, even if the test is about the TLS port.
        """
        self.server = server
        self.tls = server.tls and not plain
        self.inbox = bytearray()
        self.ended = False  # the server's end of stream has been read
        self.reset = False
        self.upgraded = False
        self.sent: list[Frame] = []
        self.pieces = 1
        self._steps: list[str] = []
        self._left_out = 0
        self._raw_received = 0
        self.sock = self._connect(narrow)
        self.stream = self._start_tls() if self.tls else self.sock
        host, port = self.sock.getpeername()[:2]
        self._step(f"connected to {host} port {port}" + (" by TLS" if self.tls else ""))

    def _connect(self, narrow: bool) -> socket.socket:
        addresses = self.server.addresses
        host, port = self.server.address if self.tls else next(iter(addresses.values()))
        sock = socket.socket(
            socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM
        )
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

    def _start_tls(self) -> TlsStream:
        try:
            return TlsStream(self.sock)
        except OSError as error:
            self.sock.close()
            but = f"it did not go through: {error}"
            raise CheckFailed("a TLS handshake", but, "RFC 8446 §2", server=self.server)

    def _wrap(self, sock: socket.socket) -> socket.socket:
        """TLS on a connected socket; harness/tls.py has clients that do it in ways of their own."""
        return _tls_context().wrap_socket(sock, server_hostname="localhost")

    @property
    def local_address(self) -> str:
        host, port = self.sock.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    # --- the transcript -------------------------------------------------------------------------

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

    # --- sending -----------------------------------------------------------------------------------

    def _wait(self, events: int, deadline: Deadline) -> bool:
        poll = select.poll()
        poll.register(self.sock, events)
        return bool(poll.poll(deadline.left_ms()))

    def try_send(self, data: bytes | memoryview) -> int:
        """What the kernel takes of it now; 0 if it takes nothing."""
        try:
            return self.stream.send(data)
        except BlockingIOError:
            return 0

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
                )
            view = view[sent:]
            if sent:
                continue
            if reading:
                self._drain()
            if not self._wait(
                select.POLLOUT | (select.POLLIN if reading else 0), deadline
            ):
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
            f" in {len(pieces)} pieces, cut at {', '.join(map(str, edges[:6]))}"
            if edges
            else ""
        )
        in_pieces += "…" if len(edges) > 6 else ""
        self._step(f"sent {len(data)} bytes{in_pieces}: {what or repr(data[:40])[1:]}")
        deadline = Deadline(seconds)
        for index, piece in enumerate(pieces):
            if index:
                wait_until_read(self.sock)
            self._push(piece, reading, deadline)

    def send_frames(self, data: bytes, cuts: Iterable[int] = (), **options) -> None:
        """Bytes that are frames: remembered for the diagnosis, and drawn in the transcript."""
        found, used = frames.decode_all(data[:70000] if len(data) > 2000000 else data)
        rest = [] if used == len(data) or used > 70000 else [_unfinished(data[used:])]
        self.sent = (self.sent + found + rest)[-64:]
        self.send_bytes(data, cuts, what=frames.describe_all(data), **options)

    def send_frame(
        self, opcode: int, payload: bytes = b"", *, cuts: Iterable[int] = (), **options
    ) -> None:
        """One frame; the options are those of frames.encode, and mask=UNMASKED sends it unmasked."""
        self.send_frames(frames.encode(opcode, payload, **options), cuts)

    def send_text(self, text: str | bytes, **options) -> None:
        self.send_frame(
            TEXT, text.encode() if isinstance(text, str) else text, **options
        )

    def send_close(
        self, code: int | None = 1000, reason: bytes = b"", **options
    ) -> None:
        self.send_frames(frames.encode_close(code, reason, **options))

    def send_until_stuck(self, data: bytes, most: int) -> int:
        """Send `data` again and again, reading nothing, until the server takes no more; how much went."""
        return send_until_stuck([self], data, most)[0]

    def half_close(self) -> None:
        """End our direction only (over TLS: by a close_notify, and then the TCP stream)."""
        if isinstance(self.stream, TlsStream):
            self.stream.end_sending()
        self._step("ended our direction of the connection")
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def abort(self) -> None:
        """Break the connection with a reset, without a goodbye."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def close(self) -> None:
        self.sock.close()

    # --- receiving -----------------------------------------------------------------------------------

    def _read_once(self) -> bool:
        """Take in what is there; False if nothing is there now."""
        if self.ended or self.reset:
            return False
        try:
            data = self.stream.recv(262144)
        except BlockingIOError:
            return False
        except OSError as error:
            self.reset = True
            self._step(f"the connection broke: {error.strerror}")
            return False
        if data:
            self._raw_received += len(data)
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
            if self.reset or deadline.over() or not self._wait(select.POLLIN, deadline):
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

    def _fail_waiting(
        self, expected: str, deadline: Deadline, rule: str, cause: str | None
    ) -> None:
        """The stream ended, broke or stayed silent: which of them, and what there was of it."""
        have = f" after {len(self.inbox)} bytes of it" if self.inbox else ""
        if self.reset:
            but = f"the connection was reset{have}"
            cause = (
                cause
                or "close() with unread bytes resets the connection: shutdown(SHUT_WR), then read until EOF (RFC 9112 §9.6)."
            )
        elif self.ended:
            but = f"the server ended the connection{have}"
        else:
            but = f"nothing more came within {deadline.seconds:.0f} s{have}"
            cause = cause or diagnose.silence(self.sent, self.pieces)
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
        while len(self.inbox) < len(expected) and expected.startswith(
            bytes(self.inbox[:64])
        ):
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

    def next_frame(
        self,
        expected: str,
        rule: str = "",
        cause: str | None = None,
        seconds: float = REPLY,
    ) -> Frame:
        """The next whole frame, whatever it is."""
        deadline = Deadline(seconds)
        while (frame := frames.decode(self.inbox)) is None:
            if not self.read_more(deadline):
                self._fail_waiting(expected, deadline, rule, cause)
        del self.inbox[: len(frame.raw)]
        self._step(f"received {len(frame.raw)} bytes: {frames.describe(frame)}")
        return frame

    def expect_frame(
        self,
        opcode: int,
        payload: bytes = b"",
        rule: str = "RFC 6455 §5.2",
        *,
        cause: str | None = None,
        seconds: float = REPLY,
    ) -> None:
        """The next frame is exactly this one: whole, unmasked, its length in the shortest form."""
        words = f"a {frames.name(opcode)} frame with {frames.show(payload)}"
        frame = self.next_frame(words, rule, cause, seconds)
        wanted = Frame(
            opcode, payload, raw=frames.encode(opcode, payload, mask=frames.UNMASKED)
        )
        if frame.raw == wanted.raw:
            return
        why = diagnose.frame(wanted, frame, self.sent) or cause
        if frame.length_form != wanted.length_form and frame.payload == payload:
            why = "the length is not in its shortest form: 7 bits up to 125, 16 up to 65535, then 64 (§5.2)."
        drawn = frames.draw_difference(wanted.raw, frame.raw) + [
            "",
            *frames.draw(frame.raw),
        ]
        self.fail(words, f"this came: {frames.describe(frame)}", rule, drawn, why)

    def expect_text(self, text: str, rule: str = "RFC 6455 §5.6", **options) -> None:
        self.expect_frame(TEXT, text.encode(), rule, **options)

    def expect_close(
        self,
        code: int | None,
        rule: str = "RFC 6455 §5.5.1",
        *,
        cause: str | None = None,
        seconds: float = REPLY,
    ) -> None:
        """A CLOSE with this code comes next (None: empty); its reason is free, if it is UTF-8."""
        words = f"a CLOSE with code {code}" if code else "an empty CLOSE"
        frame = self.next_frame(words, rule, cause, seconds)
        body = b"" if code is None else code.to_bytes(2, "big")
        wanted = Frame(CLOSE, body)
        whole = (
            frame.opcode == CLOSE
            and frame.fin
            and not frame.rsv
            and not frame.mask
            and frame.length_form == 7
        )
        if whole and frame.payload[:2] == body and (code or not frame.payload):
            self._check_reason(frame, words, rule)
            return
        why = (
            diagnose.frame(wanted, frame, self.sent) if frame.opcode == CLOSE else None
        )
        reason = frame.payload[2:] if frame.opcode == CLOSE and code else b""
        raw = frames.encode_close(code, reason, mask=frames.UNMASKED)
        drawn = frames.draw_difference(raw, frame.raw) + ["", *frames.draw(frame.raw)]
        self.fail(
            words, f"this came: {frames.describe(frame)}", rule, drawn, why or cause
        )

    def _check_reason(self, frame: Frame, words: str, rule: str) -> None:
        try:
            reason = frame.payload[2:].decode("utf-8")
        except UnicodeDecodeError:
            self.fail(words, "its reason is not UTF-8", rule, frames.draw(frame.raw))
        if "\0" in reason:
            cause = "bytes of the server's memory follow the code: send the reason's own length."
            self.fail(
                words, "its reason has NUL bytes", rule, frames.draw(frame.raw), cause
            )

    def expect_eof(
        self, rule: str = "", cause: str | None = None, seconds: float = REPLY
    ) -> None:
        """Nothing more comes but the end of the stream, and no reset."""
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
            self._fail_waiting(words, deadline, rule, cause)

    def expect_failure(self, code: int, rule: str, cause: str | None = None) -> None:
        """The server fails the connection: a CLOSE with this code, then the end of the stream at once."""
        self.expect_close(code, rule, cause=cause)
        late = "after the CLOSE the server half-closes at once: shutdown(SHUT_WR); it does not wait for the peer's CLOSE."
        self.expect_eof("RFC 6455 §7.1.7", late)

    # --- HTTP --------------------------------------------------------------------------------------------

    def send_request(
        self, data: bytes | None = None, cuts: Iterable[int] = (), **options
    ) -> None:
        data = http.request() if data is None else data
        self.send_bytes(
            data,
            cuts,
            what=repr(data[:60])[1:] + ("…" if len(data) > 60 else ""),
            **options,
        )

    def expect_response(
        self,
        status: int | tuple[int, ...],
        rule: str = "RFC 6455 §4.2",
        cause: str | None = None,
    ) -> http.Response:
        """A response head with this status (or one of these) comes next, and the body that it promises."""
        statuses = status if isinstance(status, tuple) else (status,)
        deadline = Deadline()
        words = f"an HTTP response with status {' or '.join(map(str, statuses))}"
        while (end := self.inbox.find(b"\r\n\r\n")) < 0:
            if not self.read_more(deadline):
                bare = (
                    "a head ends with an empty line, CRLF CRLF."
                    if b"\n\n" in self.inbox
                    else None
                )
                self._fail_waiting(words, deadline, rule, bare or cause)
        try:
            response = http.parse_head(bytes(self.inbox[:end]))
        except ValueError as error:
            self.fail(words, str(error), "RFC 9112 §4", [repr(bytes(self.inbox[:end]))])
        del self.inbox[: end + 4]
        if response.status != 101:
            self._read_body(response, words, deadline)
        self._step(
            f"received {response.version} {response.status} {response.reason}".rstrip()
        )
        if response.status not in statuses or response.version != "HTTP/1.1":
            said = response.body.decode("utf-8", "replace").strip()[:200]
            line = f"{response.version} {response.status} {response.reason}"
            self.fail(
                words,
                f"this came: {line}" + (f" (“{said}”)" if said else ""),
                rule,
                cause=cause,
            )
        return response

    def _read_body(
        self, response: http.Response, words: str, deadline: Deadline
    ) -> None:
        length = response.header("Content-Length")
        if length is None or not length.isdigit():
            self.fail(
                f"{words} with a Content-Length",
                f"Content-Length is {length}",
                "RFC 9112 §6.3",
            )
        while len(self.inbox) < int(length):
            if not self.read_more(deadline):
                self._fail_waiting(
                    f"a body of {length} bytes, as Content-Length says",
                    deadline,
                    "RFC 9112 §6.3",
                    None,
                )
        response.body = bytes(self.inbox[: int(length)])
        del self.inbox[: int(length)]

    def expect_upgrade(
        self, key: str = http.KEY, cause: str | None = None
    ) -> http.Response:
        """101 with all that it owes, and the right Sec-WebSocket-Accept."""
        response = self.expect_response(101, "RFC 6455 §4.2.2", cause)
        for name, token in (("Upgrade", "websocket"), ("Connection", "upgrade")):
            if token not in response.tokens(name):
                self.fail(
                    f"the header {name}: {token}",
                    f"it is {response.header(name)!r}",
                    "RFC 6455 §4.2.2",
                )
        accept, wanted = response.header("Sec-WebSocket-Accept"), http.accept_value(key)
        if accept != wanted:
            why = (
                diagnose.accept(key, accept or "")
                or "base64(SHA-1(key + GUID)), of the key exactly as it was sent (§4.2.2)."
            )
            drawn = draw_text(wanted, accept or "")
            self.fail(
                f"Sec-WebSocket-Accept: {wanted}",
                f"it is {accept!r}",
                "RFC 6455 §4.2.2",
                drawn,
                why,
            )
        for name in ("Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"):
            if response.header(name) is not None:
                self.fail(
                    f"no {name}: none was agreed on",
                    f"it is {response.header(name)!r}",
                    "RFC 6455 §4.2.2",
                )
        return response

    def expect_refusal(
        self,
        *statuses: int,
        rule: str = "RFC 6455 §4.2.1",
        cause: str | None = None,
        **headers: str,
    ) -> http.Response:
        """A whole response with one of these statuses, why in its body, Connection: close; then the end."""
        words = " or ".join(map(str, statuses))
        response = self.expect_response(statuses, rule, cause)
        for name, token in {"Connection": "close", **headers}.items():
            name = name.replace("_", "-")
            if token.lower() not in response.tokens(name):
                told = f"it is {response.header(name)!r}"
                self.fail(
                    f"the header {name}: {token} in the {response.status}", told, rule
                )
        if not response.body.strip():
            self.fail(
                f"a body of the {words} that says what is wrong",
                "it is empty",
                "RFC 9110 §15.5",
            )
        self.expect_eof(
            "RFC 9112 §9.6", "after a refusal: flush, then shutdown(SHUT_WR)."
        )
        return response

    def handshake(self, target: str = "/") -> Client:
        self.send_request(http.request(target=target))
        self.expect_upgrade()
        self.upgraded = True
        return self

    # --- whole conversations ----------------------------------------------------------------------------

    def ping_pong(
        self, payload: bytes = b"are you there", cause: str | None = None
    ) -> None:
        """An event that bounds silence: whatever else was to come would have come before this PONG."""
        self.send_frame(PING, payload)
        self.expect_frame(PONG, payload, "RFC 6455 §5.5.3", cause=cause)

    def echo(
        self, payload: bytes = b"still here", opcode: int = BINARY, **options
    ) -> None:
        self.send_frame(opcode, payload)
        self.expect_frame(opcode, payload, **options)

    def expect_patience(self) -> None:
        """The server has half-closed, but reads on: sending to it brings no reset."""
        expected = "the server to read on until our end of stream, after it has ended its own direction"
        cause = "it closed the socket: unread bytes reset the connection, and the peer loses the code. shutdown(SHUT_WR), then read and discard until EOF."
        for _ in range(3):
            try:
                self.stream.send(b"more bytes on their way")
                wait_until_read(self.sock)
            except BlockingIOError:
                pass
            except OSError as error:
                self._step(f"sent on: {error.strerror}")
                self.fail(
                    expected,
                    f"the connection broke: {error.strerror}",
                    "RFC 9112 §9.6",
                    cause=cause,
                )

    def goodbye(self, code: int | None = 1000) -> None:
        """The closing handshake, from our side."""
        self.send_close(code)
        self.expect_close(code)
        self.expect_eof(
            "RFC 6455 §7.1.1", "the server closes the TCP connection first."
        )


def send_until_stuck(clients: list[Client], data: bytes, most: int) -> list[int]:
    """Each sends `data` over and over, up to `most` bytes, and reads nothing, until all are stuck:
    no socket takes more, and the server sleeps and has not woken up meanwhile."""
    sent = [0] * len(clients)
    deadline = Deadline(30)
    while True:
        moved, wakeups = False, clients[0].server.wakeups()
        for index, client in enumerate(clients):
            while sent[index] < most:
                at = sent[index] % len(data)
                count = client.try_send(memoryview(data)[at : at + most - sent[index]])
                sent[index] += count
                moved = moved or count > 0
                if not count:
                    break
        if moved or deadline.over():
            if deadline.over():
                break
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


def _unfinished(data: bytes) -> Frame:
    """The start of a frame whose rest is not sent: enough of it for the diagnosis."""
    opcode = data[0] & 15 if data else CONTINUATION
    return Frame(
        opcode, b"", mask=MASK if len(data) > 1 and data[1] & 0x80 else frames.UNMASKED
    )


def draw_text(expected: str, received: str) -> list[str]:
    at = frames.first_difference(expected.encode(), received.encode())
    return [
        f"expected  {expected}",
        f"received  {received}",
        " " * (10 + (at or 0)) + "^ the first wrong character",
    ]
