"""ClientHellos: a few hundred bytes for which the server computes a key exchange and a signature.

They are captured once and replayed: whoever attacks computes nothing, and no handshake ends.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections import deque

from harness.deadlines import REPLY, scaled, wait_until
from harness.failures import check
from harness.pace import span
from harness.server import Server
from harness.sockdiag import unread
from trust.aside import Task
from trust.bursts import send_at_once
from trust.hello import long_ones, one_group_each
from trust.sockets import HELLO, connect, dial, record, reset, try_send
from trust.trial import Trial, attack

CHEAP = "X25519"  # what all others are compared with
DEAR, DEAR_LONG = 4, 40  # times its work that a hello may cost, and one of 64 KiB
FAST = 1_000_000  # a second: as fast as it goes
HELD = 100  # sockets that an attacker keeps, so that the answers come
UNFINISHED = 2  # seconds that a handshake may take


def cost(server: Server, hello: bytes, count: int) -> float:
    """Seconds of CPU that the server spends on it."""
    before = server.cpu()
    for _ in range(count):
        with connect(server, True) as sock:
            sock.sendall(hello)
            sock.recv(100)
            reset(sock)
    wait_until(server.asleep)
    return (server.cpu() - before) / count


@attack("costs of hellos", "what the server computes for each ClientHello that can be asked for")
def costs_of_hellos(trial: Trial) -> None:
    server, count = trial.start(), trial.many(20, 3)
    short = one_group_each()
    long = {name: hello.encode() for name, hello in long_ones().items()}
    cheap = cost(server, short[CHEAP], 20)
    costs = {name: cost(server, hello, count) for name, hello in {**short, **long}.items()}
    trial.count = count * len(costs)
    told = [f"{name} {each / cheap:.1f}" for name, each in costs.items()]
    trial.tell(f"{CHEAP}: {cheap * 1000:.2f} ms; times that: {', '.join(told)}")
    dear = [name for name in short if costs[name] > DEAR * cheap]
    dear += [name for name in long if costs[name] > DEAR_LONG * cheap]
    words = f"{DEAR} times the work for {CHEAP} at most, and {DEAR_LONG} times for 64 KiB"
    check(server.sanitized() or not dear, words, f"more for {', '.join(dear)}", server=server)


# --- replayed -------------------------------------------------------------------------------------


def replay(task: Task, server: Server, names: list[str], rate: float, seconds: float) -> int:
    """Those hellos in turn, so many a second, each by a connection that is soon reset; how many."""
    known = one_group_each()
    hellos = [known[name] for name in names if name in known]
    held: deque[socket.socket] = deque()
    count, begin = 0, time.monotonic()
    task.ready()
    while (now := time.monotonic() - begin) < seconds:
        if now < count / rate:
            time.sleep(count / rate - now)
        held.append(dial(server))
        try_send(held[-1], hellos[count % len(hellos)])
        count += 1
        if len(held) > HELD:
            reset(held.popleft())
    for sock in held:
        reset(sock)
    return count


@attack("replayed hellos", "for each key exchange, 5, 20 and 300 a second; at 300 by turns")
def replayed_hellos(trial: Trial) -> None:
    names = [*one_group_each()]
    server, seconds = trial.start_watched(), trial.many(3.0, 1.0)
    rounds = [([name], rate) for name in names for rate in trial.many([5, 20], [])]
    for chosen, rate in [*rounds, (names, 20), (names, 300)]:
        trial.count += sum(trial.assault((replay, server, chosen, rate, seconds)))


@attack("hellos at full speed", "the cheapest ClientHellos, replayed as fast as they go")
def hellos_at_full_speed(trial: Trial) -> None:
    server, seconds = trial.start_watched(), trial.many(6.0, 1.0)
    for name in ("X25519", "P-256"):
        trial.count += sum(trial.assault((replay, server, [name], FAST, seconds)))


def say_hello_together(task: Task, server: Server, count: int, rounds: int) -> int:
    """They connect, then all send a ClientHello at once, and go when it is answered."""
    task.ready()
    for _ in range(rounds):
        socks = [dial(server) for _ in range(count)]
        for sock in socks:
            try_send(sock, HELLO)
        for sock in socks:
            sock.settimeout(scaled(REPLY))
            with contextlib.suppress(OSError):
                sock.recv(1)
            reset(sock)
    return count * rounds


@attack("hellos all at once", "a thousand connections, whose ClientHellos come at the same moment")
def hellos_all_at_once(trial: Trial) -> None:
    server = trial.start_watched()
    trial.count += sum(trial.assault((say_hello_together, server, 1_000, trial.many(10, 2))))


# --- unfinished -----------------------------------------------------------------------------------


def hold_half(task: Task, server: Server, count: int, seconds: float) -> int:
    """Half a ClientHello each; whoever is cut off comes again. How many were."""
    socks = [dial(server) for _ in range(count)]
    for sock in socks:
        try_send(sock, HELLO[:100])
    task.ready()
    cut, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.01)
        for number, sock in enumerate(socks):
            if is_over(sock):
                sock.close()
                socks[number] = dial(server)
                try_send(socks[number], HELLO[:100])
                cut += 1
    return cut


def is_over(sock: socket.socket) -> bool:
    try:
        return sock.recv(100) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


DESCRIPTORS = 1_000
HALVES = 700  # of them, at which others still get in


@attack("unfinished handshakes", f"half a ClientHello by {HALVES}, where {DESCRIPTORS} may be open")
def unfinished_handshakes(trial: Trial) -> None:
    """Others get in, by TLS when the first of the halves are given up."""
    limit = ["sh", "-c", f'ulimit -n {DESCRIPTORS} && exec "$@"', "sh"]
    server = trial.start_watched("--handshake-timeout", span(UNFINISHED), under=limit)
    seconds = scaled(UNFINISHED) * trial.many(5, 1.5)
    trial.count = HALVES + sum(trial.assault((hold_half, server, HALVES, seconds)))
    honest, _ = trial.watches[-1].figures()
    most, slowest = scaled(UNFINISHED) + scaled(1), honest.slowest_visit
    told = f"one took {slowest:.1f} s"
    check(slowest <= most, f"every visit within {most:.1f} s", told, server=server)
    trial.tell(f"{honest.visits} visits meanwhile, {slowest:.1f} s at most")


# --- in pieces ------------------------------------------------------------------------------------


def in_pieces(task: Task, server: Server, way: str, connections: int) -> int:
    """A flood of records within the handshake, by each at once; how many records."""
    data = PIECES[way]()
    socks = [connect(server, True) for _ in range(connections)]
    task.ready()
    send_at_once(socks, [data] * connections)
    wait_until(lambda: not any(unread(sock) for sock in socks))
    for sock in socks:
        reset(sock)
    return connections * len(data) // 6


PIECES = {
    "crumbs": lambda: long_ones()["groups, 64 KiB"].encode(1),
    "ChangeCipherSpecs": lambda: HELLO + record(20, b"\1") * 200_000,
}


@attack("hellos in crumbs", "ClientHellos of 64 KiB in records of a byte, sent at once")
def hellos_in_crumbs(trial: Trial) -> None:
    server = trial.start_watched()
    for connections in trial.many([1, 20, 100], [20]):
        trial.count += sum(trial.assault((in_pieces, server, "crumbs", connections)))


@attack("ChangeCipherSpecs", "200,000 behind a ClientHello, where TLS 1.3 is to ignore them")
def change_cipher_specs(trial: Trial) -> None:
    server = trial.start_watched()
    for connections in trial.many([1, 20, 100], [10]):
        trial.count += sum(trial.assault((in_pieces, server, "ChangeCipherSpecs", connections)))
