"""What RFC 6455 says against a frame, alone and in its place among others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tools import suite  # noqa: F401
from tools.frame_bytes import Seen
from harness import frames
from harness.frames import CLOSE, CONTINUATION, TEXT

CODES = {
    1000: "normal closure",
    1001: "going away",
    1002: "protocol error",
    1003: "unacceptable kind of data",
    1007: "data that does not fit its type, such as text that is not UTF-8",
    1008: "policy violation",
    1009: "message too big",
    1010: "an extension is missing",
    1011: "internal error",
    1012: "the service restarts",
    1013: "try again later",
    1014: "bad gateway",
}
_NEVER_SENT = {
    1004: "1004 is reserved",
    1005: "1005 means that there was no code; it is for programs and never sent",
    1006: "1006 means that the connection broke; it is for programs and never sent",
    1015: "1015 means that TLS failed; it is for programs and never sent",
}


@dataclass(frozen=True)
class Problem:
    text: str
    rule: str
    field: str  # of the figure
    code: int | None = None  # with which a server fails the connection


def code_problem(code: int) -> str | None:
    """Why this number may not stand in a CLOSE (§7.4.1, §7.4.2 and the registry of IANA)."""
    if code in CODES or 3000 <= code <= 4999:
        return None
    if code in _NEVER_SENT:
        return _NEVER_SENT[code]
    swapped = code >> 8 | (code & 0xFF) << 8
    if swapped in CODES:
        return (
            f"{code} is no close code; its bytes in the other order are {swapped}: network byte order "
            "puts the high byte first (htons)"
        )
    if code < 1000:
        return f"{code} is no close code: codes begin at 1000"
    if code < 3000:
        return f"{code} is not assigned (1016 to 2999 are kept for later versions)"
    return f"{code} is no close code: they end at 4999"


def utf8_problem(data: bytes, whole: bool) -> tuple[int, str] | None:
    """Where `data` stops being UTF-8, and how; a character cut at the end is wrong only in a whole text."""
    try:
        data.decode("utf-8")
        return None
    except UnicodeDecodeError as error:
        at = error.start
        if error.reason == "unexpected end of data":
            return (at, "the text ends in the middle of a character") if whole else None
    first, rest = data[at], data[at + 1 : at + 2]
    if 0x80 <= first < 0xC0:
        return at, f"{first:02x} continues a character, but none has begun"
    if first > 0xF4 or first == 0xF4 and rest >= b"\x90":
        return at, "it would be a character above U+10FFFF"
    if first == 0xED and rest[:1] >= b"\xa0" and rest < b"\xc0":
        return at, "it is a surrogate, one half of a UTF-16 pair"
    overlong = first in (0xC0, 0xC1) or (first, rest < b"\xa0") == (0xE0, True)
    if overlong or first == 0xF0 and rest < b"\x90":
        if first < 0xC2 or 0x80 <= rest[0] < 0xC0:
            return at, "the form is overlong: the character fits into fewer bytes"
    return at, f"{first:02x} begins a character that {data[at + 1]:02x} does not continue"


def _header(seen: Seen) -> Iterator[Problem]:
    for bit in (1, 2, 3):
        if seen.rsv & 8 >> bit:
            text = f"RSV{bit} is set, and no extension was agreed on that gives it a meaning"
            yield Problem(text, "RFC 6455 §5.2", f"RSV{bit}", 1002)
    if seen.opcode not in frames.NAMES:
        kind = "control" if seen.is_control else "data"
        text = f"opcode 0x{seen.opcode:X} is kept for {kind} frames of later versions"
        yield Problem(text, "RFC 6455 §5.2", "opcode", 1002)
    if seen.is_control and not seen.fin:
        yield Problem("a control frame is never fragmented", "RFC 6455 §5.5", "FIN", 1002)


def _length(seen: Seen) -> Iterator[Problem]:
    size = seen.size if seen.size is not None else seen.short or 0
    if seen.is_control and size > 125:
        text = f"a control frame has at most 125 bytes, and this one says {size:,}"
        yield Problem(text, "RFC 6455 §5.5", "length", 1002)
    if seen.size is None:
        return
    if seen.size >> 63:
        text = "the top bit of a 64-bit length is zero"
        yield Problem(text, "RFC 6455 §5.2", "length", 1002)
    least = {2: 126, 8: 65536}.get(seen.width, 0)
    if seen.size < least:
        fitting = "7 bits" if seen.size < 126 else "16 bits"
        text = f"{seen.size:,} is not in its shortest form: {fitting} are enough for it"
        yield Problem(text, "RFC 6455 §5.2", "length", 1002)


def _masking(seen: Seen, sender: str | None) -> Iterator[Problem]:
    if seen.short is None:
        return
    if sender == "client" and not seen.masked:
        text = "it is not masked: a client masks every frame, a server must refuse one that is not"
        yield Problem(text, "RFC 6455 §5.1", "MASK", 1002)
    if sender == "server" and seen.masked:
        text = "it is masked: a server masks no frame, a client must refuse one that is"
        yield Problem(text, "RFC 6455 §5.1", "MASK", 1002)


def _close(seen: Seen) -> Iterator[Problem]:
    if len(seen.payload) == 1 and not seen.missing:
        text = "one byte is no close code: the body is empty, or begins with two bytes of code"
        yield Problem(text, "RFC 6455 §5.5.1", "payload", 1002)
    if len(seen.payload) < 2:
        return
    if why := code_problem(int.from_bytes(seen.payload[:2], "big")):
        yield Problem(why, "RFC 6455 §7.4", "payload", 1002)
    if found := utf8_problem(seen.payload[2:], not seen.missing):
        text = f"the reason is not UTF-8 at byte {found[0] + 2} of the payload: {found[1]}"
        yield Problem(text, "RFC 6455 §5.5.1", "payload", 1007)


def _cut(seen: Seen) -> Iterator[Problem]:
    if not seen.missing:
        return
    least = " at least" if seen.size is None else ""
    plural = "" if seen.missing == 1 else "s"
    what = "the header goes on" if seen.size is None or len(seen.key) % 4 else "the payload goes on"
    if seen.masked and not seen.key:
        what = "the masking key and what follows are not there"
    text = f"it is cut short: {seen.missing:,} byte{plural}{least} missing, {what}"
    if seen.width and int.from_bytes(seen.extended, "little") == len(seen.payload):
        text += "; read low byte first the length would fit, but the high byte comes first"
    yield Problem(text, "RFC 6455 §5.2", "payload")


class Order:
    """What the frames before it say about the next frame."""

    def __init__(self) -> None:
        self._first = True
        self._opcode: int | None = None  # of the message that is open
        self._text = b""
        self._closed = False

    def problems(self, seen: Seen) -> Iterator[Problem]:
        if self._closed:
            text = "nothing may follow a CLOSE in the same direction"
            yield Problem(text, "RFC 6455 §5.5.1", "opcode")
        if seen.opcode == CLOSE:
            self._closed = True
        if not seen.is_control:
            yield from self._fragments(seen)
            yield from self._utf8(seen)
            self._opcode = None if seen.fin else self._opcode
        self._first = False

    def _fragments(self, seen: Seen) -> Iterator[Problem]:
        if seen.opcode != CONTINUATION:
            if self._opcode is not None:
                text = (
                    "a new message begins inside one that has not ended (no frame with FIN=1 yet)"
                )
                yield Problem(text, "RFC 6455 §5.4", "opcode", 1002)
            self._opcode, self._text = seen.opcode, b""
        elif self._opcode is None:
            self._opcode = CONTINUATION  # of a message that began before the first byte here
            if not self._first:
                text = "it continues a message, but none is open"
                yield Problem(text, "RFC 6455 §5.4", "opcode", 1002)

    def _utf8(self, seen: Seen) -> Iterator[Problem]:
        if self._opcode != TEXT:
            return
        before = len(self._text)
        self._text += seen.payload
        found = utf8_problem(self._text, seen.fin and not seen.missing)
        if not found:
            return
        at, why = found
        place = f"byte {at - before} of the payload" if at >= before else "the frame before"
        if before:
            place += f" (byte {at} of the message)"
        if at < len(self._text):
            place += f", {self._text[at:at + 4].hex(' ')}"
        self._opcode = None  # told once
        yield Problem(
            f"this text is not UTF-8 from {place}: {why}", "RFC 6455 §8.1", "payload", 1007
        )


def problems(seen: Seen, sender: str | None, order: Order) -> list[Problem]:
    found = [*_header(seen), *_masking(seen, sender), *_length(seen)]
    if seen.opcode == CLOSE:
        found += _close(seen)
    return [*found, *order.problems(seen), *_cut(seen)]
