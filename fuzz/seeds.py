"""Makes the first inputs of each target from the vectors of the phases."""

import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / "tests_py"))

from harness import vectors  # noqa: E402

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
MOST = 4096  # a longer one is slow, and says nothing that a shorter one does not


def requests() -> list[bytes]:
    return [
        vectors.request_of([line for step in vector.steps for line in step.sent])
        for vector in vectors.read(2)
    ]


def frames() -> list[bytes]:
    return [
        b"".join(vectors.bytes_of(line) for step in vector.steps for line in step.sent)
        for phase in (3, 4)
        for vector in vectors.read(phase)
    ]


def frame(first: int, size: int) -> bytes:
    """A masked frame whose key is zero: the fuzzer sees through it."""
    long = size > 125
    length = bytes([0xFE]) + size.to_bytes(2, "big") if long else bytes([0x80 | size])
    return bytes([first]) + length + bytes(4) + b"a" * size


def edges() -> list[bytes]:
    """Messages in two pieces, just within 125 bytes and just over them."""
    sizes = [(1, 124), (1, 125), (125, 0), (125, 1), (0, 126), (60, 66)]
    return [frame(1, first) + frame(0x80, last) + frame(0x89, 3) for first, last in sizes]


def chunks(data: bytes) -> bytes:
    """A connection's bytes as the server target takes them: "send so many of what follows"."""
    pieces = [data[at : at + 127] for at in range(0, len(data), 127)]
    return b"".join(bytes([SEND, 0, len(piece)]) + piece for piece in pieces)


# The server target's input: see fuzz/world.hpp.
SETTINGS = b"\0" * 4
CONNECT, CONNECT_TLS, SEND, HANDSHAKE, GO = 0, 1, 3, 4, 15


def sessions() -> list[bytes]:
    found = []
    for connect in (CONNECT, CONNECT_TLS):
        begin = SETTINGS + bytes([connect, 0, GO, HANDSHAKE, 0, GO])
        found += [begin + chunks(data) + bytes([GO]) for data in frames()]
    return found


def seeds(target: str) -> list[bytes]:
    return {
        "http": [b"\0\0" + data for data in requests()],
        "frame": [b"\0\0" + data for data in frames()],
        "protocol": [bytes(5) + data for data in frames()]
        + [b"\0\0\0\0\1" + data for data in requests()]
        + [b"\1\0\0\0\0" + data for data in edges() + frames()],
        "server": sessions(),
    }[target]


def write(target: str, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds(target)):
        if len(data) <= MOST:
            (directory / f"vector-{number:03}").write_bytes(data)
