"""Frames of RFC 6455 §5.2, encoded, decoded and drawn without any help from the server's code."""

from dataclasses import dataclass

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
NAMES = {0: "CONTINUATION", 1: "TEXT", 2: "BINARY", 8: "CLOSE", 9: "PING", 10: "PONG"}
MASK = bytes.fromhex("37fa213d")  # the key of the examples in §5.7
UNMASKED = b""


@dataclass(frozen=True)
class Frame:
    opcode: int
    payload: bytes  # unmasked
    fin: bool = True
    mask: bytes = UNMASKED
    rsv: int = 0
    raw: bytes = b""

    @property
    def header_size(self) -> int:
        return len(self.raw) - len(self.payload)

    @property
    def length_form(self) -> int:
        """How many bits spell the length: 7, 16 or 64."""
        return {126: 16, 127: 64}.get(self.raw[1] & 0x7F, 7)


def xor(data: bytes, key: bytes, phase: int = 0) -> bytes:
    """§5.3: byte i of the payload is taken with byte i mod 4 of the key."""
    if not key or not data:
        return data
    key = (key[phase % 4 :] + key[: phase % 4]) * (len(data) // 4 + 1)
    mixed = int.from_bytes(data, "big") ^ int.from_bytes(key[: len(data)], "big")
    return mixed.to_bytes(len(data), "big")


def encode(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    mask: bytes = MASK,
    rsv: int = 0,
    form: int | None = None,
    length: int | None = None,
) -> bytes:
    """One frame. `form` (7, 16, 64) and `length` override what the payload calls for: they can lie."""
    size = len(payload) if length is None else length
    if form is None:
        form = 7 if size < 126 else 16 if size < 65536 else 64
    if form == 7:
        short, extended = size, b""
    else:
        short, extended = (126, 2) if form == 16 else (127, 8)
        extended = size.to_bytes(extended, "big")
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    second = (0x80 if mask else 0) | short
    return bytes([first, second]) + extended + mask + xor(payload, mask)


def encode_close(code: int | None, reason: bytes = b"", **options) -> bytes:
    body = b"" if code is None else code.to_bytes(2, "big") + reason
    return encode(CLOSE, body, **options)


def decode(data: bytes | bytearray | memoryview, at: int = 0) -> Frame | None:
    """The frame that begins at `at`, or None while it is incomplete. It judges nothing."""
    if len(data) < at + 2:
        return None
    first, second = data[at], data[at + 1]
    end = at + 2
    size = second & 0x7F
    if size >= 126:
        width = 2 if size == 126 else 8
        size = int.from_bytes(data[end : end + width], "big")
        end += width
    if len(data) < end:
        return None
    mask = bytes(data[end : end + 4]) if second & 0x80 else UNMASKED
    end += len(mask)
    if second & 0x80 and len(mask) < 4 or len(data) < end + size:
        return None
    payload = xor(bytes(data[end : end + size]), mask)
    raw = bytes(data[at : end + size])
    return Frame(first & 0x0F, payload, bool(first & 0x80), mask, first >> 4 & 7, raw)


def decode_all(data: bytes) -> tuple[list[Frame], int]:
    """The whole frames at the front of `data`, and how many bytes they take."""
    frames, at = [], 0
    while (frame := decode(data, at)) is not None:
        frames.append(frame)
        at += len(frame.raw)
    return frames, at


def name(opcode: int) -> str:
    return NAMES.get(opcode, f"opcode {opcode:#x}")


def show(payload: bytes, limit: int = 40) -> str:
    """A payload in words: its size, and its text or its first bytes."""
    if not payload:
        return "no payload"
    head = payload[:limit]
    more = "…" if len(payload) > limit else ""
    printable = all(32 <= byte < 127 for byte in head)
    text = (
        f'"{head.decode()}{more}"'
        if printable
        else head[:16].hex(" ") + ("…" if len(payload) > 16 else "")
    )
    return f"{len(payload)} byte{'s' * (len(payload) != 1)} {text}"


def describe(frame: Frame) -> str:
    """A frame in one line, for the transcript."""
    parts = [name(frame.opcode)]
    if not frame.fin:
        parts.append("FIN=0")
    if frame.rsv:
        parts.append(f"RSV={frame.rsv:03b}")
    if frame.mask:
        parts.append(f"mask {frame.mask.hex()}")
    if frame.opcode == CLOSE and len(frame.payload) >= 2:
        parts.append(f"code {int.from_bytes(frame.payload[:2], 'big')}")
        if frame.payload[2:]:
            parts.append(show(frame.payload[2:]))
    else:
        parts.append(show(frame.payload))
    return ", ".join(parts)


def describe_all(data: bytes, limit: int = 4) -> str:
    """Bytes as frames in one line; what is no whole frame is given in hex."""
    frames, used = decode_all(data[:70000])
    told = [describe(frame) for frame in frames[:limit]]
    if len(frames) > limit:
        told.append(f"… {len(frames) - limit} frames more")
    elif used < len(data):
        rest = data[used : used + 16]
        told.append(f"an unfinished frame: {rest.hex(' ')}{'…' if len(data) - used > 16 else ''}")
    return " | ".join(told)


def _fields(frame: Frame) -> list[tuple[bytes, str]]:
    raw, at = frame.raw, 2
    first = (
        f"FIN={int(frame.fin)} RSV={frame.rsv:03b} opcode={frame.opcode:#x} {name(frame.opcode)}"
    )
    fields = [
        (raw[:1], first),
        (raw[1:2], f"MASK={raw[1] >> 7} length={raw[1] & 0x7F}"),
    ]
    if frame.length_form > 7:
        width = frame.length_form // 8
        fields.append((raw[2 : 2 + width], f"{frame.length_form}-bit length"))
        at += width
    if frame.mask:
        fields.append((frame.mask, "masking key"))
        at += 4
    what = "payload" if not frame.mask else "payload, unmasked: " + show(frame.payload)
    fields.append((raw[at:], what if frame.mask else f"payload: {show(frame.payload)}"))
    return [(data, text) for data, text in fields if data]


def draw(data: bytes, limit: int = 3) -> list[str]:
    """The frames in `data`, field by field."""
    lines = []
    frames, used = decode_all(data[:70000])
    for frame in frames[:limit]:
        for part, text in _fields(frame):
            shown = part[:12].hex(" ") + (" …" if len(part) > 12 else "")
            lines.append(f"{shown:<38} {text}")
    if len(frames) <= limit and used < len(data):
        lines.append(f"{data[used:used + 12].hex(' '):<38} an unfinished frame")
    return lines


def first_difference(expected: bytes, received: bytes) -> int | None:
    """The index of the first byte that is wrong, missing or too many; None if they are equal."""
    if expected == received:
        return None
    shorter = min(len(expected), len(received))
    if expected[:shorter] == received[:shorter]:
        return shorter
    low, high = 0, shorter  # bisect: a Python loop over megabytes would be slow
    while high - low > 1:
        middle = (low + high) // 2
        if expected[low:middle] == received[low:middle]:
            low = middle
        else:
            high = middle
    return low


def draw_difference(expected: bytes, received: bytes) -> list[str]:
    """Both rows of bytes around the first wrong one, which is marked and named."""
    at = first_difference(expected, received)
    start = 0 if at is None or at < 12 else at - 8
    rows = []
    for label, data in (("expected", expected), ("received", received)):
        window = data[start : start + 20]
        dots = "… " if start else ""
        more = " …" if len(data) > start + 20 else ""
        rows.append(f"{label}  {dots}{window.hex(' ')}{more}" if data else f"{label}  (nothing)")
    if at is not None:
        column = 10 + (2 if start else 0) + 3 * (at - start)
        said = (
            "is the first missing one"
            if at >= len(received)
            else "is one too many"
            if at >= len(expected)
            else f"is the first wrong one: {received[at]:02x}, not {expected[at]:02x}"
        )
        rows.append(" " * column + f"^^ byte {at} {said}")
    return rows
