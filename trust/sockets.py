"""Plain and TLS sockets without the harness's transcripts: cheap enough for thousands."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import time

from harness.deadlines import REPLY, scaled
from harness.failures import CheckFailed
from harness.http import request
from harness.server import Server
from harness.tls_clients import client_hello, context

REQUEST = request()
HELLO = client_hello()
HEAD = b"GET / HTTP/1.1\r\nX: " + b"x" * 2000  # the start of one, to be sent slowly
_NO_LINGER = struct.pack("ii", 1, 0)
SETTINGS = context()


def connect(
    server: Server, tls_port: bool = False, narrow: bool = False, patience: float = REPLY
) -> socket.socket:
    """To one of the two ports; a narrow one has small buffers. Calls on it block, for so long."""
    sock = socket.socket()
    if narrow:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1000)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(scaled(patience))
    sock.connect(server.addresses["wss" if tls_port else "ws"])
    return sock


def dial(server: Server, tls_port: bool = True) -> socket.socket:
    """One that waits for nothing: it may not be connected yet when this returns, or never be."""
    sock = socket.socket()
    sock.setblocking(False)
    sock.connect_ex(server.addresses["wss" if tls_port else "ws"])
    return sock


def try_send(sock: socket.socket, data: bytes) -> None:
    """As much as goes, if it is connected."""
    with contextlib.suppress(OSError):
        sock.send(data)


def secure(sock: socket.socket) -> ssl.SSLSocket:
    return SETTINGS.wrap_socket(sock, server_hostname="localhost")


def upgrade(sock: socket.socket) -> socket.socket:
    sock.sendall(REQUEST)
    read_upgrade(sock)
    return sock


def read_upgrade(sock: socket.socket) -> None:
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        if not (data := sock.recv(4096)):
            break
        answer += data
    if not answer.startswith(b"HTTP/1.1 101 "):
        raise CheckFailed("an upgrade", f"this came: {answer[:80]!r}")


def read(sock: socket.socket, size: int) -> bytes:
    """So many bytes, or fewer where the stream ends."""
    data = b""
    while len(data) < size and (piece := sock.recv(size - len(data))):
        data += piece
    return data


def expect(sock: socket.socket, wanted: bytes) -> None:
    """Exactly these bytes come next."""
    if (data := read(sock, len(wanted))) != wanted:
        raise CheckFailed(f"{wanted[:40]!r}", f"this came: {data[:40]!r}")


def connect_upgraded(
    server: Server, tls: bool = False, narrow: bool = False, patience: float = REPLY
) -> socket.socket:
    sock = connect(server, tls, narrow, patience)
    return upgrade(secure(sock) if tls else sock)


def pause(seconds: float) -> None:
    """The pace of a slow attacker."""
    time.sleep(scaled(seconds))


def record(kind: int, data: bytes, version: bytes = b"\3\3") -> bytes:
    """A TLS record as it is on the wire (RFC 8446 §5.1)."""
    return bytes([kind]) + version + len(data).to_bytes(2, "big") + data


def reset(sock: socket.socket) -> None:
    """End it with a RST, whatever is still on the way."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    sock.close()


def fill(sock: socket.socket, data: bytes, most: int = 64 << 20) -> int:
    """Sends `data` over and over, without reading, until no more is taken; how many bytes went."""
    sent, poll = 0, select.poll()
    poll.register(sock, select.POLLOUT)
    while sent < most:
        try:
            sent += sock.send(data[sent % len(data) :])
        except (BlockingIOError, ssl.SSLWantWriteError):
            if not poll.poll(scaled(20)):
                return sent
    raise CheckFailed("a peer who does not read to be stopped", f"it sent {sent} bytes")


def read_to_end(sock: socket.socket) -> tuple[bytes, str]:
    """All that still comes, and how it ended: "end", "reset", or what went wrong in TLS."""
    data = b""
    try:
        while piece := sock.recv(65536):
            data += piece
        return data, "end"
    except ConnectionError:
        return data, "reset"
    except ssl.SSLError as error:
        return data, error.reason or str(error)
