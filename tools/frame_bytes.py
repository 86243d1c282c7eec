"""A frame of RFC 6455 §5.2 taken apart: also one that is cut short, or wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tools import suite  # noqa: F401
from harness import frames

_DECORATION = re.compile(r"[\s:,;{}\[\]\"'|_-]+")


class NotHex(ValueError):
    """What was typed is no hexadecimal."""


def bytes_of(text: str) -> bytes:
    """Hexadecimal as people paste it: spaces, colons, 0x, \\x, the braces of a C array."""
    data = b""
    for word in filter(None, _DECORATION.split(text.replace("\\x", " "))):
        digits = word[2:] if word[:2].lower() == "0x" else word
        if re.fullmatch(r"[0-9A-Fa-f]", digits) and digits != word:
            digits = "0" + digits
        if not re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", digits):
            odd = re.fullmatch(r"[0-9A-Fa-f]+", digits)
            why = "has an odd number of digits" if odd else "is no hexadecimal"
            raise NotHex(f"{word!r} {why}: two digits are a byte, as in 81 05 48 65 6c 6c 6f")
        data += bytes.fromhex(digits)
    return data


@dataclass(frozen=True)
class Seen:
    """As much of a frame as is there."""

    raw: bytes
    masked: bool = False
    short: int | None = None  # the 7-bit length; None: its byte is missing
    extended: bytes = b""  # of 2 or 8 bytes, if the short length calls for them
    size: int | None = None  # of the payload, as the header tells it; None: not told yet
    key: bytes = b""
    payload: bytes = b""  # unmasked
    missing: int = 0  # at least so many bytes are not there

    @property
    def fin(self) -> bool:
        return bool(self.raw[0] & 0x80)

    @property
    def rsv(self) -> int:
        return self.raw[0] >> 4 & 7

    @property
    def opcode(self) -> int:
        return self.raw[0] & 0x0F

    @property
    def name(self) -> str:
        known = frames.NAMES.get(self.opcode)
        return known or ("reserved control" if self.is_control else "reserved data")

    @property
    def is_control(self) -> bool:
        return self.opcode >= 8

    @property
    def header_size(self) -> int:
        return len(self.raw) - len(self.payload)

    @property
    def on_the_wire(self) -> bytes:
        """The payload as it was sent."""
        return self.raw[self.header_size :]

    @property
    def width(self) -> int:
        """How many bytes the extended length has, or should have."""
        return {126: 2, 127: 8}.get(self.short or 0, 0)


def take_apart(data: bytes) -> Seen:
    """The first frame in `data`, which has a byte at least."""
    if len(data) < 2:
        return Seen(data, missing=1)
    masked, short = bool(data[1] & 0x80), data[1] & 0x7F
    at = 2
    width = {126: 2, 127: 8}.get(short, 0)
    extended = data[at : at + width]
    at += len(extended)
    if len(extended) < width:
        missing = width - len(extended) + (4 if masked else 0)
        return Seen(data[:at], masked, short, extended, missing=missing)
    size = int.from_bytes(extended, "big") if width else short
    key = data[at : at + 4] if masked else b""
    at += len(key)
    if masked and len(key) < 4:
        return Seen(data[:at], masked, short, extended, size, key, missing=4 - len(key) + size)
    wire = data[at : at + size]
    payload = frames.xor(wire, key)
    raw = data[: at + len(wire)]
    return Seen(raw, masked, short, extended, size, key, payload, size - len(wire))


def split(data: bytes) -> list[Seen]:
    """All frames in a row; only the last can be cut short."""
    found = []
    while data:
        found.append(take_apart(data))
        data = data[len(found[-1].raw) :]
    return found
