"""A raw WebSocket client: frames and handshakes, right or wrong, and what must come back."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Iterable

from harness import diagnose, frames, http
from harness.connection import Connection, send_until_stuck
from harness.deadlines import REPLY, Deadline
from harness.frames import BINARY, CLOSE, CONTINUATION, MASK, PING, PONG, TEXT, Frame

__all__ = ["Client", "send_until_stuck"]


class Client(Connection):
    asks_head = False  # an answer has no content (RFC 9110 §9.3.2)

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
        self.send_frame(TEXT, text.encode() if isinstance(text, str) else text, **options)

    def send_close(self, code: int | None = 1000, reason: bytes = b"", **options) -> None:
        self.send_frames(frames.encode_close(code, reason, **options))

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
        wanted = Frame(opcode, payload, raw=frames.encode(opcode, payload, mask=frames.UNMASKED))
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
        why = diagnose.frame(wanted, frame, self.sent) if frame.opcode == CLOSE else None
        reason = frame.payload[2:] if frame.opcode == CLOSE and code else b""
        raw = frames.encode_close(code, reason, mask=frames.UNMASKED)
        drawn = frames.draw_difference(raw, frame.raw) + ["", *frames.draw(frame.raw)]
        self.fail(words, f"this came: {frames.describe(frame)}", rule, drawn, why or cause)

    def _check_reason(self, frame: Frame, words: str, rule: str) -> None:
        try:
            reason = frame.payload[2:].decode("utf-8")
        except UnicodeDecodeError:
            self.fail(words, "its reason is not UTF-8", rule, frames.draw(frame.raw))
        if "\0" in reason:
            cause = "bytes of the server's memory follow the code: send the reason's own length."
            self.fail(words, "its reason has NUL bytes", rule, frames.draw(frame.raw), cause)

    def expect_failure(self, code: int, rule: str, cause: str | None = None) -> None:
        """The server fails the connection: a CLOSE with this code, then the end of the stream at once."""
        self.expect_close(code, rule, cause=cause)
        late = "after the CLOSE the server half-closes at once: shutdown(SHUT_WR); it does not wait for the peer's CLOSE."
        self.expect_eof("RFC 6455 §7.1.7", late=late)

    # --- HTTP ------------------------------------------------------------

    def send_request(self, data: bytes | None = None, cuts: Iterable[int] = (), **options) -> None:
        data = http.request() if data is None else data
        self.asks_head = data.startswith(b"HEAD ")
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
                    "a head ends with an empty line, CRLF CRLF." if b"\n\n" in self.inbox else None
                )
                self._fail_waiting(words, deadline, rule, bare or cause)
        try:
            response = http.parse_head(bytes(self.inbox[:end]))
        except ValueError as error:
            self.fail(words, str(error), "RFC 9112 §4", [repr(bytes(self.inbox[:end]))])
        del self.inbox[: end + 4]
        if response.status >= 200:
            self._check_date(response, words)
            self._read_body(response, words, deadline)
        self._step(f"received {response.version} {response.status} {response.reason}".rstrip())
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

    def _check_date(self, response: http.Response, words: str) -> None:
        """RFC 9110 §6.6.1: a server that has a clock says what it shows."""
        date = response.header("Date")
        if http.age_of(date or "") > 300:
            form = datetime.now(timezone.utc).strftime(http.DATE)
            told = f"it is {date!r}"
            self.fail(f"{words}, with a Date like {form}", told, "RFC 9110 §6.6.1, §5.6.7")

    def _read_body(self, response: http.Response, words: str, deadline: Deadline) -> None:
        if self.asks_head:
            return
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

    def expect_upgrade(self, key: str = http.KEY, cause: str | None = None) -> http.Response:
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
                self.fail(f"the header {name}: {token} in the {response.status}", told, rule)
        if not response.body.strip() and not self.asks_head:
            self.fail(
                f"a body of the {words} that says what is wrong",
                "it is empty",
                "RFC 9110 §15.5",
            )
        late = "after a refusal: flush, then shutdown(SHUT_WR)."
        content = self.asks_head and self.inbox
        cause = "what answers HEAD has no content (RFC 9110 §9.3.2)." if content else None
        self.expect_eof("RFC 9112 §9.6", late=late, cause=cause)
        return response

    def handshake(self, target: str = "/") -> Client:
        self.send_request(http.request(target=target))
        self.expect_upgrade()
        self.upgraded = True
        return self

    # --- whole conversations --------------------------------------------------

    def ping_pong(self, payload: bytes = b"are you there", cause: str | None = None) -> None:
        """An event that bounds silence: whatever else was to come would have come before this PONG."""
        self.send_frame(PING, payload)
        self.expect_frame(PONG, payload, "RFC 6455 §5.5.3", cause=cause)

    def echo(self, payload: bytes = b"still here", opcode: int = BINARY, **options) -> None:
        self.send_frame(opcode, payload)
        self.expect_frame(opcode, payload, **options)

    def goodbye(self, code: int | None = 1000) -> None:
        """The closing handshake, from our side."""
        self.send_close(code)
        self.expect_close(
            code,
            cause="a CLOSE is answered with its own code. Was it taken for a wrong one (§7.4)?",
        )
        self.expect_eof("RFC 6455 §7.1.1", late="the server closes the TCP connection first.")


def _unfinished(data: bytes) -> Frame:
    """The start of a frame whose rest is not sent: enough of it for the diagnosis."""
    opcode = data[0] & 15 if data else CONTINUATION
    return Frame(opcode, b"", mask=MASK if len(data) > 1 and data[1] & 0x80 else frames.UNMASKED)


def draw_text(expected: str, received: str) -> list[str]:
    at = frames.first_difference(expected.encode(), received.encode())
    return [
        f"expected  {expected}",
        f"received  {received}",
        " " * (10 + (at or 0)) + "^ the first wrong character",
    ]
