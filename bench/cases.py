"""What is measured: each case is a set of the load generator's flags."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    name: str
    what: str
    flags: str
    tls: bool = False
    quick: bool = True  # part of the short form
    peers: bool = True  # measured with the peers too
    stretch: float = 1  # how much longer than the others: few messages make a coarse figure


CASES = [
    Case("b", "50 connections, 20 B", "--connections 50 --size 20"),
    Case("c", "50 connections, 20 B, 16 in flight", "--connections 50 --size 20 --in-flight 16"),
    Case("d", "50 connections, 1 KiB", "--connections 50 --size 1024", quick=False),
    Case("e", "10 connections, 64 KiB binary", "--connections 10 --size 65536 --binary"),
    Case("e text", "the same as text", "--connections 10 --size 65536", peers=False, quick=False),
    Case(
        "f", "2 connections, 1 MiB binary", "--connections 2 --size 1048576 --binary", stretch=1.5
    ),
    Case(
        "f text",
        "the same as text",
        "--connections 2 --size 1048576",
        peers=False,
        quick=False,
        stretch=1.5,
    ),
    Case(
        "g", "b beside 5000 idle connections", "--connections 50 --size 20 --idle 5000", quick=False
    ),
    Case("h", "connect, upgrade, close", "--connections 50 --handshakes"),
    Case("TLS b", "b with TLS", "--connections 50 --size 20", tls=True),
    Case("TLS e", "e with TLS", "--connections 10 --size 65536 --binary", tls=True),
]

WARM_UP = Case("warm-up", "as c", "--connections 50 --size 20 --in-flight 16", stretch=3)

# A new server each, for nothing that was freed before may be found again.
MEMORY = [
    Case("memory", "bytes of RSS an idle connection", "--memory --idle 5000"),
    Case("TLS memory", "the same with TLS", "--memory --idle 1000", tls=True),
]


def by_connections(count: int) -> Case:
    active = min(count, 100)
    flags = f"--connections {active} --idle {count - active} --size 20"
    return Case(f"connections={count}", f"{count} connections, {active} active", flags)


def by_size(size: int) -> Case:
    # 4 connections: at 16 MiB they fill what the kernel buffers, and no more than that is held.
    stretch = 3 if size > 1 << 20 else 1
    return Case(
        f"size={size}", f"{size} B", f"--connections 4 --size {size} --binary", stretch=stretch
    )


CONNECTIONS = [by_connections(count) for count in (10, 100, 1000, 10000)]
SIZES = [by_size(size) for size in (16, 256, 4096, 65536, 1 << 20, 1 << 24)]
