"""What the kernel knows of the server's end of a connection: the bytes it has not read (sock_diag(7)).

It makes a partial read certain: the next piece is sent when the server has taken the one before.
"""

import ipaddress
import os
import socket
import struct

from harness.deadlines import wait_until

_SOCK_DIAG, _DIAG_BY_FAMILY, _NLM_F_REQUEST, _NLMSG_ERROR, _SKMEMINFO = 4, 20, 1, 2, 7


def unread(client: socket.socket) -> int | None:
    """Bytes that wait in the receive queue of the peer of `client`; None if that cannot be told."""
    answer = _ask(client, extensions=0)
    return answer and struct.unpack_from("=I", answer, 16 + 4 + 48 + 4)[0]


def kernel_memory(client: socket.socket) -> tuple[int, int] | None:
    """Bytes that the kernel holds for the peer of `client`, with all that it keeps around them: what
    was received and not read, and what is to be sent; None if that cannot be told."""
    answer = _ask(client, extensions=1 << _SKMEMINFO - 1)
    at = 16 + 72  # the attributes begin behind both headers
    while answer and at < len(answer):
        size, kind = struct.unpack_from("=HH", answer, at)
        if kind == _SKMEMINFO:
            received, _, _, _, _, queued = struct.unpack_from("=6I", answer, at + 4)
            return received, queued
        at += (size + 3) & ~3
    return None


def _ask(client: socket.socket, extensions: int) -> bytes | None:
    """The kernel's answer about the peer of `client`."""
    try:
        here, there = client.getsockname(), client.getpeername()
    except OSError:
        return None  # the server is gone, and with it the connection
    source, target = (ipaddress.ip_address(end[0]).packed.ljust(16, b"\0") for end in (there, here))
    identity = (
        struct.pack("!HH", there[1], here[1])
        + source
        + target
        + struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)
    )
    wanted = (client.family, socket.IPPROTO_TCP, extensions, 0, 0xFFFFFFFF)
    body = struct.pack("=BBBBI", *wanted) + identity
    header = struct.pack("=IHHII", 16 + len(body), _DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as netlink:
            netlink.settimeout(1)
            netlink.send(header + body)
            answer = netlink.recv(4096)
    except OSError:
        return None
    return None if struct.unpack_from("=IH", answer)[1] == _NLMSG_ERROR else answer


def wait_until_read(client: socket.socket) -> None:
    """Return when the server has read all that was sent, or soon if it reads no more."""
    for _ in range(200):
        if not unread(client):
            return
        os.sched_yield()
    wait_until(lambda: not unread(client), 0.5)
