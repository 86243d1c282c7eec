"""The lines of strace -f -yy as calls: name, descriptor, result, and who is at the other end."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# `strace -f -e trace=network` of the checklist, and what an epoll loop adds to it.
TRACED = (
    "network,epoll_create1,epoll_ctl,epoll_wait,epoll_pwait,epoll_pwait2,read,write,readv,writev,close,"
    "fcntl,ioctl,signalfd4,timerfd_create,timerfd_settime,poll,ppoll,select,pselect6"
)
READS = frozenset({"read", "recvfrom", "recvmsg", "readv"})
WRITES = frozenset({"write", "sendto", "sendmsg", "writev"})
WAITS = frozenset(
    {"epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect6"}
)
ACCEPTS = frozenset({"accept4", "accept"})

_LINE = re.compile(
    r"^(?:(?P<pid>\d+) +)?(?P<name>\w+)\((?P<arguments>.*)\) += "
    r"(?P<result>-?\d+|0x[0-9a-f]+|\?)(?P<at><(?:[^<>\"]|(?<=-)>)*>)?(?: (?P<error>E[A-Z0-9]+))?(?P<rest>.*)$"
)
_DECORATED = re.compile(r"(?<![\w\"\\])(\d+)<((?:[^<>\"]|(?<=-)>)*)>")
_PEER = re.compile(r"->.*:(\d+)\]")
_UNFINISHED, _RESUMED = " <unfinished ...>", re.compile(r"^(\d+ +)<\.\.\. \w+ resumed>(.*)$")


@dataclass(frozen=True)
class Call:
    text: str  # as strace tells it, without what -yy adds
    name: str
    arguments: str  # the same
    result: int | None
    error: str  # EAGAIN, or ""
    injected: bool
    fds: tuple[tuple[int, str], ...]  # the descriptors among the arguments, and what they are

    @property
    def fd(self) -> int | None:
        return self.fds[0][0] if self.fds else None

    @property
    def kind(self) -> str:
        """What the first descriptor is, as -yy tells: TCP:[127.0.0.1:8080], anon_inode:[eventpoll]."""
        return self.fds[0][1] if self.fds else ""

    @property
    def on_socket(self) -> bool:
        return self.kind.startswith(("TCP", "socket"))

    @property
    def is_read(self) -> bool:
        return self.name in READS and self.on_socket

    @property
    def is_write(self) -> bool:
        return self.name in WRITES and self.on_socket

    @property
    def offered(self) -> int | None:
        """How many bytes a write offers, or a read has room for."""
        if self.name in ("sendmsg", "writev", "recvmsg", "readv"):
            sizes = [int(size) for size in re.findall(r"iov_len=(\d+)", self.arguments)]
            return sum(sizes) if sizes and "...]" not in self.arguments else None
        # The text of the bytes may hold anything; the size is the first number behind it.
        tail = re.sub(r'"(?:[^"\\]|\\.)*"(?:\.\.\.)?', '""', self.arguments)
        found = re.search(r"^\d+, [^,]+, (\d+)", tail)
        return int(found.group(1)) if found else None

    @property
    def is_short(self) -> bool:
        """A write that took a part of what it was offered."""
        offered = self.offered
        return (
            self.name in WRITES
            and offered is not None
            and self.result is not None
            and 0 <= self.result < offered
        )


def parse(line: str) -> Call | None:
    found = _LINE.match(line)
    if not found:
        return None
    arguments = found["arguments"]
    decorated = _DECORATED.findall(arguments)
    result = found["result"]
    if found["at"]:
        decorated.append((result, found["at"][1:-1]))
    number = None if result == "?" else int(result, 0)
    plain = _DECORATED.sub(r"\1", arguments)
    error = found["error"] or ""
    text = f"{found['name']}({plain}) = {result}" + (f" {error}" if error else "")
    fds = tuple((int(fd), kind) for fd, kind in decorated)
    return Call(text, found["name"], plain, number, error, "(INJECTED)" in found["rest"], fds)


def peer_port(kind: str) -> int | None:
    """The other end's port, out of TCP:[127.0.0.1:8080->127.0.0.1:40000]."""
    found = _PEER.search(kind)
    return int(found.group(1)) if found else None


class Tape:
    """What strace has written so far, read piece by piece."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._offset = 0
        self._halves: dict[str, str] = {}  # of calls that another thread's line has cut, by pid

    def size(self) -> int:
        return self.file.stat().st_size

    def lines(self) -> list[str]:
        """The whole lines since the last time."""
        with self.file.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        end = data.rfind(b"\n") + 1
        self._offset += end
        return list(self._joined(data[:end].decode("utf-8", "replace").splitlines()))

    def calls(self) -> list[Call]:
        return [call for line in self.lines() if (call := parse(line))]

    def _joined(self, lines: Iterable[str]) -> Iterable[str]:
        for line in lines:
            pid = line.split(" ", 1)[0]
            if line.endswith(_UNFINISHED):
                self._halves[pid] = line[: -len(_UNFINISHED)]
            elif found := _RESUMED.match(line):
                yield self._halves.pop(pid, found.group(1)) + found.group(2)
            else:
                yield line
