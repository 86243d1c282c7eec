"""Phase 5: timers, TLS, origins and the page. Tasks 5.1, 5.2 and 5.3 of ROADMAP.md."""

import base64
import hashlib
import itertools
import os
import re
import resource
import signal
import socket
import ssl
import sys
import time
from pathlib import Path
from typing import Callable, Iterator

import pytest

from harness import browser as browsers
from harness import strace, websockets_client
from harness import tls_clients as tls
from harness.certificates import (
    KINDS,
    Files,
    fingerprint_of,
    issue,
    plain,
    printed_fingerprint,
)
from harness.client import Client, send_until_stuck
from harness.deadlines import REPLY, Deadline, scaled, wait_until
from harness.failures import check
from harness.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    UNMASKED,
    encode,
    encode_close,
)
from harness.http import changed, request, upgrade_headers
from harness.libssl import LibsslClient
from harness.pace import (
    SLACK,
    expect_cut,
    expect_given_up,
    expect_silence,
    expect_took,
    fill,
    over,
    pace,
    read_slowly,
    skip_control,
    span,
)
from harness.run import Run
from harness.server import Server, Target, environment, run_to_end
from harness.sockdiag import wait_until_read
from harness.tls_clients import TLS1_1, TLS1_2, TLS1_3, TcpClient, TlsClient
from harness.tools import need_ipv6, run_tool, tool, wscat
from test_phase1 import drop_right, expect_one_line, told
from test_phase3 import numbered

task = pytest.mark.task
timed = pytest.mark.timed
plain_port = pytest.mark.port("plain")
tls_port = pytest.mark.port("tls")
how = pytest.mark.how
MIB = 1 << 20
VERSIONS = pytest.mark.parametrize("version", [TLS1_2, TLS1_3], ids=["1.2", "1.3"])


@pytest.fixture
def dial(run: Run) -> Callable[..., Client]:
    """A client of a kind of its own: dial(TlsClient, server, settings=…)."""

    def connect(kind: type[Client], server: Server | None = None, **options) -> Client:
        client = kind(server or run.last_server or run.start(), **options)
        run.clients.append(client)
        return client

    return connect


class Traffic:
    """Messages of one size, over and over, that tell their place; and their echoes."""

    def __init__(self, count: int, size: int) -> None:
        self.sent, self.echoes = numbered(count, size)
        self.frame, self.echo = len(self.sent) // count, len(self.echoes) // count

    def expected(self, sent: int) -> bytes:
        """What comes back for so many bytes of it."""
        size = sent // self.frame * self.echo
        return (self.echoes * (size // len(self.echoes) + 1))[:size]

    def next(self, sent: int, least: int = 0) -> bytes:
        """What follows after `sent` bytes, to the end of a message, `least` bytes or more."""
        size = least + -(sent + least) % self.frame
        at = sent % len(self.sent)
        return (self.sent * (2 + size // len(self.sent)))[at : at + size]


SMALL = Traffic(2000, 120)
LARGE = Traffic(50, 20_000)


def slow_reader(client: Client) -> Client:
    """A narrow client that is narrow in one direction only: it sends fast, and could read slowly."""
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MIB)
    return client.handshake()


# --- Task 5.1: the flags of the timers ------------------------------------------------------------

DURATIONS = ["handshake-timeout", "message-timeout", "ping-interval"]
DURATIONS += ["idle-timeout", "close-timeout"]
WRONG_TIMES = ["banana", "-1", "1s", "nan", "inf", ""]
FLAGS = [f"--{name}" for name in DURATIONS] + [
    "--tls-port",
    "--cert",
    "--key",
    "--max-connections",
    "--origin",
    "--max-message",
    "--max-buffered",
    "--when-full",
]


@task("5.1")
@plain_port
def test_help(target: Target):
    """--help tells every flag on stdout and exits 0."""
    result = run_to_end(target, "--help", exact=True)
    check(result.status == 0 and not result.stderr, "exit 0 and no stderr", told(result))
    for flag in FLAGS + ["--host", "--port", "-v"]:
        check(flag in result.stdout, f"{flag} in the help", told(result))


@task("5.1")
@plain_port
@pytest.mark.parametrize("flag", FLAGS)
def test_a_flag_without_its_value(target: Target, flag: str):
    """A flag without its value: one line on stderr that names it, and exit status 2."""
    expect_one_line(run_to_end(target, flag), 2, flag)


@task("5.1")
@plain_port
@pytest.mark.parametrize("flag", [f"--{name}" for name in DURATIONS])
def test_a_wrong_time(target: Target, flag: str):
    """A time that is no number of seconds: one line on stderr that names the flag, and exit status 2."""
    for value in WRONG_TIMES:
        expect_one_line(run_to_end(target, flag, value), 2, flag)


@task("5.1")
@plain_port
@pytest.mark.parametrize(
    "flags",
    [
        ["--tls-port", "65536"],
        ["--tls-port", "banana"],
        ["--tls-port", "-1"],
        ["--max-connections", "-1"],
        ["--max-connections", "many"],
        ["--origin", ""],
        ["--cert", ""],
    ],
    ids=" ".join,
)
def test_a_wrong_flag(target: Target, flags: list[str]):
    """A wrong value: one line on stderr that names the flag, and exit status 2."""
    expect_one_line(run_to_end(target, *flags), 2, flags[0])


@task("5.1")
@plain_port
@pytest.mark.parametrize("flag", ["--port", "--tls-port"])
def test_port_in_use(target: Target, start, flag: str):
    """Whichever port is taken: `phase5: cannot listen on ADDRESS:PORT: Address already in use`, exit 1."""
    taken = start().address[1]
    result = run_to_end(target, flag, str(taken))
    said = f"phase5: cannot listen on 127.0.0.1:{taken}: Address already in use"
    expect_one_line(result, 1, said)


@task("5.1")
@plain_port
def test_what_is_printed(start):
    """First the certificate's fingerprint, then a line for ws:// and one for wss://."""
    server = start()
    printed_fingerprint(server)
    lines = server.stdout.splitlines()[-2:]
    check(
        [line.partition(":")[0] for line in lines] == ["listening on ws", "listening on wss"],
        "`listening on ws://…`, then `listening on wss://…`, at the end",
        f"it printed {server.stdout!r}",
        server=server,
    )


@task("5.1")
def test_ipv6(start, connect):
    """With --host ::1 both ports listen on IPv6, and say so in brackets."""
    need_ipv6()
    server = start("--host", "::1")
    check(
        "ws://[::1]:" in server.stdout and "wss://[::1]:" in server.stdout,
        "`ws://[::1]:PORT` and `wss://[::1]:PORT`",
        f"it printed {server.stdout!r}",
        server=server,
    )
    connect(server).handshake().echo()


# --- Task 5.1: the handshake's deadline -----------------------------------------------------------

HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "


@task("5.1")
@timed
def test_handshake_deadline(run: Run, start):
    """A request that does not end is refused with 408 at the deadline, also if it drips (RFC 9110 §15.5.9)."""
    server = start("--handshake-timeout", span(0.3))
    began = time.monotonic()
    quick = run.connect(server).handshake()
    half, drip = run.connect(server), run.connect(server)
    half.send_request(request()[:-2])
    drip.send_request(HEAD)
    pace({drip: lambda: drip.send_bytes(b"x"), half: lambda: None}, 2.0)
    for client in (drip, half):
        client.expect_refusal(
            408,
            rule="RFC 9110 §15.5.9",
            cause="the deadline is absolute: a byte now and then does not put it off.",
        )
    expect_took(began, 0.3, "the end", client=drip)
    quick.echo(b"the deadline is not for an open connection")


@task("5.1")
@timed
def test_silent_connections_end(run: Run, start):
    """A connection that never says a word is ended at the handshake's deadline."""
    server = start("--handshake-timeout", span(0.3))
    began = time.monotonic()
    silent = [run.connect(server) for _ in range(3)]
    pace({client: lambda: None for client in silent}, 2.0)
    for client in silent:
        check(over(client), "the server to end it", "it did not", client=client)
        expect_took(began, 0.3, "the end", client=client)


@task("5.2")
@timed
@tls_port
def test_handshakes_that_stop_in_the_middle(run: Run, dial, start):
    """TLS handshakes that never begin, stop or drip are cut at the deadline, and stop nobody else."""
    server = start("--handshake-timeout", span(0.3))
    hello = tls.client_hello()
    open_before = server.descriptors()
    began = time.monotonic()
    silent, half, drip, answered = (dial(TcpClient, server) for _ in range(4))
    half.send_bytes(hello[:100], what="half a ClientHello")
    drip.send_bytes(hello[:100], what="half a ClientHello")
    answered.send_bytes(hello, what="a ClientHello, and nothing after it")
    drops = iter(hello[100:-1])
    steps = {client: lambda: None for client in (silent, half, answered)}
    steps[drip] = lambda: drip.send_bytes(bytes([next(drops)]))
    run.connect(server).handshake().echo(b"served meanwhile")
    pace(steps, 2.0)
    for client in (silent, half, drip, answered):
        check(
            over(client),
            "the server to end it at the deadline",
            "the connection is still open",
            cause="the deadline covers the TLS handshake too.",
            client=client,
        )
        expect_took(began, 0.3, "the end", client=client)
        client.close()
    expect_given_up(server, open_before + 1, 0, "all of them to be closed")


@task("5.2")
@tls_port
def test_half_open_handshakes_stop_nobody(run: Run, dial, start):
    """200 clients stop in the middle of their TLS handshakes; others are served, and the server sleeps."""
    server = start()
    hello = tls.client_hello()
    for number in range(200):
        client = dial(TcpClient, server)
        client.send_bytes(hello[: (number * 7) % len(hello)], what="a part of a ClientHello")
    for _ in range(5):
        run.connect(server).handshake().echo()
    server.expect_idle("half-open handshakes wait", "want_read is EPOLLIN, not EPOLLOUT.")


# --- Task 5.1: the message's deadline -------------------------------------------------------------


def fragments() -> Iterator[bytes]:
    yield encode(TEXT, b"it goes on ", fin=False)
    yield from itertools.repeat(encode(CONTINUATION, b"and on ", fin=False))


def fragments_and_pings() -> Iterator[bytes]:
    for fragment in fragments():
        yield fragment + encode(PING, b"between")


def bytes_of(frame: bytes) -> Iterator[bytes]:
    yield frame[:7]
    yield from (bytes([byte]) for byte in frame[7:])


NEVER_ENDING: dict[str, Callable[[], Iterator[bytes]]] = {
    "fragments": fragments,
    "fragments with PINGs between": fragments_and_pings,
    "bytes of a payload": lambda: bytes_of(encode(BINARY, bytes(1000))),
    "bytes of a PING": lambda: bytes_of(encode(PING, bytes(125))),
    "one byte of a header": lambda: itertools.chain([b"\x81"], itertools.repeat(b"")),
}


def send_next(client: Client, pieces: Iterator[bytes]) -> Callable[[], None]:
    def step() -> None:
        if piece := next(pieces):
            client.send_bytes(piece)

    return step


@task("5.1")
@timed
def test_message_deadline(run: Run, start):
    """A message that has begun and does not end is cut at its deadline, whatever comes meanwhile."""
    server = start("--message-timeout", span(0.3), "--ping-interval", "0")
    clients = {name: run.connect(server).handshake() for name in NEVER_ENDING}
    began = time.monotonic()
    pace({c: send_next(c, NEVER_ENDING[name]()) for name, c in clients.items()}, 2.0)
    for name, client in clients.items():
        expect_cut(client, (1008, 1001), f"{name}, without an end", "PROTOCOL 23")
        expect_took(began, 0.3, "the end", client=client)


@task("5.1")
@timed
def test_one_message_after_the_other(run: Run, start):
    """A client that always has a next message under way is not cut: each has a deadline of its own."""
    server = start("--message-timeout", span(0.3), "--ping-interval", "0")
    frame, ping = encode(BINARY, b"one after the other"), encode(PING, b"ping")
    talkers = {run.connect(server).handshake(): data for data in (frame, ping)}
    for client, data in talkers.items():
        client.send_bytes(data[:5])
    pace(
        {c: lambda c=c, d=d: c.send_bytes(d[5:] + d[:5]) for c, d in talkers.items()},
        0.65,
    )
    for client, data in talkers.items():
        client.send_frames(data[5:] + encode(TEXT, b"the last"))
        rule = "PROTOCOL 23: a deadline of the message, not of the connection"
        while (found := client.next_frame("the echo of “the last”", rule)).opcode != TEXT:
            if found.opcode == CLOSE:
                client.fail("the echoes", "it was cut", rule)


# --- Task 5.1: quiet, and signs of life -----------------------------------------------------------


@task("5.1")
@timed
def test_a_quiet_client_is_pinged_and_closed(connect, start):
    """Quiet for --ping-interval: a PING; and for --idle-timeout after it: CLOSE 1001 and the end (PROTOCOL 24)."""
    server = start("--ping-interval", span(0.2), "--idle-timeout", span(0.3))
    client = connect(server)
    began = time.monotonic()  # the server may have read the request well before its answer is here
    client.handshake()
    frame = client.next_frame("a PING", "RFC 6455 §5.5.2")
    check(frame.opcode == PING, "a PING", f"opcode {frame.opcode:#x}", client=client)
    expect_took(began, 0.2, "the PING", client=client)
    own = "your own PING is no sign of life; only what the peer sends is. Or, if nothing came at all: is the "
    own += "timer set again after it has rung?"
    client.expect_close(1001, "RFC 6455 §7.4.1", cause=own)
    expect_took(began, 0.5, "the CLOSE", client=client)
    client.expect_eof("PROTOCOL 24")


def answers(client: Client, answer: Callable[[bytes], bytes]) -> Callable[[], None]:
    """Answer each PING that has come."""

    def step() -> None:
        while client.inbox:
            frame = client.next_frame("a PING")
            if frame.opcode != PING:
                client.fail("nothing but PINGs", f"opcode {frame.opcode:#x} came")
            client.send_bytes(answer(frame.payload))

    return step


@task("5.1")
@timed
def test_signs_of_life(run: Run, start):
    """A PONG is a sign of life, and so is any byte: these clients live on for many intervals."""
    server = start(
        *("--ping-interval", span(0.1), "--idle-timeout", span(0.3)),
        *("--message-timeout", "0"),
    )
    pongs, drops = run.connect(server).handshake(), run.connect(server).handshake()
    pieces = bytes_of(encode(BINARY, bytes(1000)))
    pace(
        {
            pongs: answers(pongs, lambda payload: encode(PONG, payload)),
            drops: answers(drops, lambda payload: next(pieces)),
        },
        0.7,
    )
    for client in (pongs, drops):
        check(
            not over(client),
            "the connection to live on",
            "the server ended it",
            "PROTOCOL 24: any byte heard counts as life",
            client=client,
        )


@task("5.1")
@timed
def test_no_ping_while_data_flows(connect, start):
    """While messages come, nobody is asked for a sign of life."""
    server = start("--ping-interval", span(0.2))
    client = connect(server).handshake()
    frame, longest, last = encode(BINARY, b"data"), 0.0, time.monotonic()

    def send() -> None:
        nonlocal longest, last
        now = time.monotonic()
        longest, last = max(longest, now - last), now
        client.send_bytes(frame)

    pace({client: send}, 0.6)
    client.send_text("the last")
    while (found := client.next_frame("the echo of “the last”")).opcode != TEXT:
        if found.opcode == PING and longest < scaled(0.15):
            client.fail(
                "no PING",
                "one came",
                "PROTOCOL 24",
                cause="each byte heard puts the PING off.",
            )


REAL_CLIENT = """
import asyncio, ssl, sys, websockets

async def main(url):
    context = ssl._create_unverified_context() if url.startswith("wss:") else None
    async with websockets.connect(url, ssl=context, ping_interval=None) as socket:
        print("open", flush=True)
        await socket.wait_closed()
        print("closed", socket.close_code, flush=True)

asyncio.run(main(sys.argv[1]))
"""


@task("5.1")
@timed
def test_a_stopped_process(start):
    """A process that is stopped (kill -STOP) is pinged and closed; when it goes on it finds CLOSE 1001."""
    server = start("--ping-interval", span(0.1), "--idle-timeout", span(0.3))
    before = server.descriptors()
    with tool(server, sys.executable, "-c", REAL_CLIENT, server.url) as client:
        client.expect("open")
        server.watch(scaled(0.5))  # meanwhile it answers its PINGs
        check(
            server.descriptors() == before + 1,
            "a client that answers its PINGs to live on",
            "the server closed its connection",
            "PROTOCOL 24",
            server=server,
        )
        client.process.send_signal(signal.SIGSTOP)
        expect_given_up(server, before, 0.4, "the stopped client to be closed")
        client.process.send_signal(signal.SIGCONT)
        client.expect("closed 1001", "RFC 6455 §7.4.1")


# --- Task 5.1: the end's deadline; 0 is off -------------------------------------------------------


def lingering(run: Run, server: Server) -> list[Client]:
    """Clients that have the server's end of stream, each for a reason of its own, and do not end theirs."""
    closed, failed, refused = (run.connect(server) for _ in range(3))
    closed.handshake().goodbye()
    failed.handshake().send_frame(TEXT, b"unmasked", mask=UNMASKED)
    failed.expect_failure(1002, "RFC 6455 §5.1")
    refused.send_request(request(method="POST"))
    refused.expect_refusal(405)
    return [closed, failed, refused]


@task("5.1")
@timed
def test_close_timeout(run: Run, start):
    """A peer that never ends its stream is let go after --close-timeout, also if it sends on and on."""
    server = start("--close-timeout", span(0.3))
    before = server.descriptors()
    clients = lingering(run, server)
    check(
        server.descriptors() == before + 3,
        "the server to wait for the end of three peers",
        "it did not",
        "RFC 6455 §7.1.1",
        server=server,
    )

    deadline = Deadline(0.3 + SLACK)
    while server.descriptors() > before and not deadline.over():
        try:
            clients[1].sock.send(bytes(1000))
        except OSError:
            pass  # it is closed, as it should be
        time.sleep(0.01)
    expect_given_up(server, before, 0, "peers that do not end to be closed", "PROTOCOL 16")


@task("5.1")
@timed
def test_close_timeout_of_a_slow_reader(connect, start):
    """A peer that sends CLOSE before it has read, and then reads slowly, still gets all and the CLOSE."""
    server = start("--close-timeout", span(1.0), "--max-buffered", str(16 * MIB))
    client = slow_reader(connect(server, narrow=True))
    client.send_bytes(SMALL.sent * 16, what="32,000 messages", reading=False)
    client.send_close()
    read_slowly(client, 1.5)
    cause = "while the peer takes bytes, it is not to be given up."
    client.expect_bytes(SMALL.echoes * 16, "PROTOCOL 16", cause, seconds=30)
    client.expect_close(1000)
    client.expect_eof()


OFF = [word for name in DURATIONS for word in (f"--{name}", "0")]


def unfinished(run: Run, server: Server) -> list[Client]:
    """A silent client, half a request, half a message, and one that is just quiet."""
    silent, half, message, quiet = (run.connect(server) for _ in range(4))
    half.send_request(request()[:-2])
    message.handshake().send_frames(encode(TEXT, b"and so on", fin=False))
    quiet.handshake()
    return [silent, half, message, quiet]


@task("5.1")
def test_zero_is_off(run: Run, start):
    """0 turns a deadline off: nothing happens to clients that are silent, half way through or lingering."""
    server = start(*OFF)
    before = server.descriptors()
    clients = unfinished(run, server) + lingering(run, server)
    # What the clients' kernels acknowledge late may wake it a few times.
    server.expect_idle("no deadline is set", "with 0 there is nothing to wake up for.", 6)
    check(
        server.descriptors() == before + len(clients),
        "all connections to be there",
        f"{before + len(clients) - server.descriptors()} were closed",
        server=server,
    )
    for client in clients[:4]:
        expect_silence(client, 0.0, "deadlines of 0 are off")


@task("5.1")
@how
@plain_port
def test_zero_sets_no_timer(run: Run):
    """strace: with all deadlines off no timer is armed, and epoll_wait has no timeout (timerfd_create(2))."""
    server, file = strace.traced(run, *OFF)
    unfinished(run, server)
    lingering(run, server)
    run.connect(server).handshake().echo()
    calls = strace.calls(file)
    armed = [line for line in calls if re.search(r"timerfd_settime\(.*tv_n?sec=[1-9]", line)]
    waits = [line for line in calls if re.search(r"epoll_p?wait2?\(.*\], \d+, [1-9]", line)]
    drawn = [line[:100] for line in armed + waits][:6]
    check(not armed + waits, "no timer", "there is one", drawn=drawn, server=server)


def alarm(server: Server) -> float:
    """In how many seconds its timer rings (proc(5): fdinfo)."""
    for fd in os.listdir(f"/proc/{server.pid}/fd"):
        text = Path(f"/proc/{server.pid}/fdinfo/{fd}").read_text()
        if found := re.search(r"^it_value: \((\d+), (\d+)\)", text, re.M):
            return int(found[1]) + int(found[2]) / 1e9
    return 0.0


FAR = ["86400", "2592000", "2147483.647", "2147483.648", "4294967.296", "2e7", "1e9"]


@task("5.1")
@how
@plain_port
@pytest.mark.parametrize("seconds", FAR)
def test_deadlines_that_are_far_off(run: Run, start, seconds: str):
    """Deadlines in days and years are neither early nor late, and nothing wakes up for them meanwhile."""
    flags = [word for name in DURATIONS for word in (f"--{name}", seconds)]
    server = start(*flags)
    run.connect(server).send_request(HEAD)
    message = run.connect(server).handshake()
    message.send_frames(encode(TEXT, b"and so on", fin=False))
    server.expect_idle("deadlines are far off", "a time has overflowed.", 6)
    due = alarm(server)
    check(
        float(seconds) - 60 < due <= float(seconds),
        f"a timer that rings in {seconds} s or a little less",
        f"it rings in {due} s",
        "timerfd_create(2)",
        server=server,
    )


@task("5.1")
@plain_port
def test_deadlines_that_are_near(run: Run, start):
    """The shortest time is no time, not none: 0 alone turns a deadline off."""
    for flags in (["--handshake-timeout", "1e-9"], ["--handshake-timeout=0.0000000001"]):
        silent = run.connect(start(*flags))
        check(
            silent.read_more(Deadline()) or silent.ended, "an end", "there is none", client=silent
        )
    quiet = run.connect(start("--ping-interval", "1e-9", "--idle-timeout", "1e-9")).handshake()
    quiet.expect_frame(PING)
    quiet.expect_close(1001)
    slow = run.connect(start("--message-timeout", "1e-9")).handshake()
    slow.send_frames(encode(TEXT, b"and so on", fin=False))
    slow.expect_close(1008)


@task("5.1")
@plain_port
def test_one_port_for_both(target: Target):
    """The same number for both ports: exit 1, and the line that says that it is taken."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        number = str(probe.getsockname()[1])
    result = run_to_end(target, "--port", number, "--tls-port", number)
    expect_one_line(result, 1, f"cannot listen on 127.0.0.1:{number}: Address already in use")


# --- Task 5.1: deadlines and backpressure ---------------------------------------------------------


@task("5.1")
@timed
def test_message_deadline_stands_still_while_paused(connect, start):
    """A message that cannot go on because the server has paused is not slow: nothing is lost."""
    server = start(
        *("--max-buffered", "65536", "--message-timeout", span(0.3)),
        *("--ping-interval", "0"),
    )
    client = slow_reader(connect(server, narrow=True))
    big = Traffic(20, 100_000)  # more than one read finishes after the pause
    sent = fill(client, big.sent)
    server.watch(scaled(0.6))  # twice the deadline
    rest = big.next(sent, 32768)
    client.send_bytes(rest, what="the rest of the message that got stuck, and more")
    cause = "while the server does not read, the message's deadline must stand still."
    client.expect_bytes(big.expected(sent + len(rest)), "the contract: Backpressure", cause)
    client.echo(b"and now as before")


@task("5.1")
@timed
def test_bytes_taken_are_life(connect, start):
    """While the server has paused, bytes that the peer takes count as life; when it takes none, it is closed."""
    server = start(
        *("--ping-interval", span(0.2), "--idle-timeout", span(0.2)),
        *("--max-buffered", str(16 * MIB)),
    )
    before = server.descriptors()
    client = slow_reader(connect(server, narrow=True))
    fill(client, SMALL.sent)
    read_slowly(client, 0.7)
    check(
        server.descriptors() == before + 1,
        "a peer that takes its bytes slowly to live on",
        f"the server closed its connection after {len(client.inbox)} bytes",
        "the contract: bytes that the kernel accepts meanwhile count as life",
        client=client,
    )
    expect_given_up(server, before, 0.4, "a peer that takes nothing to be closed")


# --- Task 5.1: what many connections cost ---------------------------------------------------------

PATIENT = ["--handshake-timeout", "600", "--ping-interval", "600"]


@task("5.1")
def test_idle_connections_cost_nothing(run: Run, target: Target, start):
    """With nothing due the server does not run at all: not with 100 connections, not with thousands."""
    server = start(*PATIENT)
    connections = 0
    for total in (100, 400 if target.tls else 2500):
        while connections < total:
            run.connect(server).handshake()
            connections += 1
        woken, share = server.watch(scaled(0.2))
        check(
            woken == 0 and share < 0.001,
            f"no system call and no CPU while {total} connections are idle",
            f"the server woke up {woken} times and used {share:.1%} of a CPU",
            "PROTOCOL 22",
            cause="keep deadlines in order, and set the timer to the earliest of them.",
            server=server,
        )


@task("5.2")
@tls_port
def test_sigterm_with_a_thousand_connections(run: Run, start):
    """SIGTERM with 500 plain and 500 TLS connections: each gets 1001 and an end, and the exit status is 0."""
    server = start()
    clients = [run.connect(server, plain=n % 2 == 0).handshake() for n in range(1000)]
    server.signal(signal.SIGTERM)
    answer = encode_close(1001)
    for client in clients:  # quickly: the server waits for two seconds, and no longer
        client.read_more(Deadline())
        client.try_send(answer)
    for client in clients:
        client.expect_close(1001, "RFC 6455 §7.4.1")
        client.expect_eof("RFC 6455 §7.1.1")
        client.close()
    status = server.wait()
    check(status == 0, "exit status 0", server.ending(), server=server)
    server.stopped = True


@task("5.1")
def test_max_connections(run: Run, dial, target: Target, start):
    """--max-connections 2: a third client waits, and is served when one of the two has left."""
    server = start("--max-connections", "2")
    one, two = (run.connect(server).handshake() for _ in range(2))
    third = dial(TcpClient, server)
    third.send_bytes(tls.client_hello() if target.tls else request())
    expect_silence(third, 0.2, "two connections are all that there may be")
    two.echo(b"those that are here are served on")
    one.close()
    check(
        third.read_more(Deadline()),
        "the third client to be served when one has left",
        "it was not",
        client=third,
    )


# --- Task 5.2: the certificate --------------------------------------------------------------------


@task("5.2")
@tls_port
def test_fingerprint(dial, start):
    """The fingerprint that is printed is that of the certificate that clients get."""
    server = start()
    seen = fingerprint_of(dial(TlsClient, server).certificate())
    check(
        seen == printed_fingerprint(server),
        f"the fingerprint {seen}",
        f"it printed {server.stdout!r}",
        server=server,
    )


@task("5.2")
@tls_port
def test_fingerprint_by_openssl(start):
    """openssl s_client and openssl x509 see the fingerprint that was printed."""
    server = start()
    place = "{}:{}".format(*server.address)
    shown = run_tool("openssl", "s_client", "-connect", place, input="").stdout
    words = ("openssl", "x509", "-noout", "-fingerprint", "-sha256")
    found = run_tool(*words, input=shown).stdout
    check(
        plain(found.strip().rpartition("=")[2]) == printed_fingerprint(server),
        f"the fingerprint {found.strip()}",
        f"it printed {server.stdout!r}",
        server=server,
    )


@task("5.2")
@tls_port
@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_the_certificate_that_is_made(dial, start, name: str):
    """Who trusts the certificate that is made at start finds it valid for localhost, 127.0.0.1 and ::1."""
    if name == "::1":
        need_ipv6()
    server = start("--host", "::1" if name == "::1" else "127.0.0.1")
    pem = ssl.DER_cert_to_PEM_cert(dial(TlsClient, server).certificate())
    trusting = ssl.create_default_context(cadata=pem)
    dial(TlsClient, server, settings=trusting, name=name).handshake().echo()


@task("5.2")
@tls_port
def test_a_certificate_of_its_own(dial, start):
    """Two servers never have the same certificate: it is made at start, and shared with nobody."""
    first, second = (printed_fingerprint(start()) for _ in range(2))
    check(first != second, "two fingerprints", "both are the same")


@task("5.2")
@tls_port
def test_certificate_files(dial, start, tmp_path: Path):
    """--cert and --key: the file's certificate is used, with its chain."""
    root, files = issue("root", authority=True), Files.at(tmp_path)
    between = issue("between", issuer=root, authority=True)
    fingerprint = files.write(issue("localhost", issuer=between), between)
    server = start(*files.flags)
    check(
        printed_fingerprint(server) == fingerprint,
        f"the fingerprint of the file, {fingerprint}",
        f"it printed {server.stdout!r}",
        server=server,
    )
    trusting = ssl.create_default_context(cadata=root.pem().decode())
    dial(TlsClient, server, settings=trusting).handshake().echo()


@task("5.2")
@plain_port
@pytest.mark.parametrize("flag", ["--cert", "--key"])
def test_one_without_the_other(target: Target, tmp_path: Path, flag: str):
    """--cert without --key, or the other way round: exit status 2 and one line that names it."""
    files = Files.at(tmp_path)
    files.write(issue("localhost"))
    expect_one_line(run_to_end(target, flag, str(files.certificate)), 2, flag)


def make_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def fill_in(which: str, content: Callable[[], bytes]) -> Callable[[Files], object]:
    return lambda files: getattr(files, which).write_bytes(content())


NO_CERTIFICATE = "there is no PEM certificate in it"
NO_KEY = "there is no PEM private key in it"
OTHER_KEY = "it is the key of another certificate"
DAMAGED = "it is damaged"
GARBAGE = b"-----BEGIN %s-----\nAAAA\n-----END %s-----\n"
HERE_IS = issue("localhost")
# What is wrong with which file, how it comes about, and what is said of it.
BAD_FILES: dict[str, tuple[str, Callable[[Files], object], str]] = {
    "no certificate file": (
        "certificate",
        lambda files: files.certificate.unlink(),
        "No such file or directory",
    ),
    "a directory as certificate": (
        "certificate",
        lambda files: make_directory(files.certificate),
        "it is a directory",
    ),
    "a FIFO as certificate": (
        "certificate",
        lambda files: (files.certificate.unlink(), os.mkfifo(files.certificate)),
        "it is not a regular file",
    ),
    "/dev/null as certificate": (
        "certificate",
        lambda files: (files.certificate.unlink(), files.certificate.symlink_to("/dev/null")),
        "it is not a regular file",
    ),
    "an empty certificate": ("certificate", fill_in("certificate", bytes), NO_CERTIFICATE),
    "a certificate in DER": ("certificate", fill_in("certificate", HERE_IS.der), NO_CERTIFICATE),
    "a key as certificate": (
        "certificate",
        fill_in("certificate", HERE_IS.key_pem),
        NO_CERTIFICATE,
    ),
    "a certificate of garbage": (
        "certificate",
        fill_in("certificate", lambda: GARBAGE % (b"CERTIFICATE", b"CERTIFICATE")),
        DAMAGED,
    ),
    "half a certificate": (
        "certificate",
        fill_in("certificate", lambda: HERE_IS.pem()[:200]),
        DAMAGED,
    ),
    "a chain of garbage": (
        "certificate",
        fill_in("certificate", lambda: HERE_IS.pem() + GARBAGE % (b"CERTIFICATE", b"CERTIFICATE")),
        DAMAGED,
    ),
    "far too long a certificate": (
        "certificate",
        fill_in("certificate", lambda: HERE_IS.pem() + bytes(2 * MIB)),
        "it is too long",
    ),
    "no key file": ("key", lambda files: files.key.unlink(), "No such file or directory"),
    "a directory as key": ("key", lambda files: make_directory(files.key), "it is a directory"),
    "an empty key": ("key", fill_in("key", bytes), NO_KEY),
    "a key of random bytes": ("key", fill_in("key", lambda: os.urandom(500)), NO_KEY),
    "a key in DER": ("key", fill_in("key", HERE_IS.key_der), NO_KEY),
    "the certificate as key": ("key", fill_in("key", HERE_IS.pem), NO_KEY),
    "a key of garbage": (
        "key",
        fill_in("key", lambda: GARBAGE % (b"PRIVATE KEY", b"PRIVATE KEY")),
        DAMAGED,
    ),
    "half a key": ("key", fill_in("key", lambda: HERE_IS.key_pem()[:100]), DAMAGED),
    "a key that has a password": (
        "key",
        fill_in("key", lambda: HERE_IS.key_pem(b"secret")),
        "it has a password",
    ),
} | {
    f"the {kind} key of another certificate": (
        "key",
        fill_in("key", lambda kind=kind: issue("other", kind=kind).key_pem()),
        OTHER_KEY,
    )
    for kind in KINDS
}
bad_files = pytest.mark.parametrize("spoil", BAD_FILES.values(), ids=BAD_FILES)


@task("5.2")
@plain_port
@bad_files
def test_bad_certificate_files(target: Target, tmp_path: Path, spoil):
    """A certificate or key that cannot be used: exit status 1, and one line that names the file and the fault."""
    name, change, fault = spoil
    files = Files.at(tmp_path)
    files.write(issue("localhost"))
    change(files)
    result = run_to_end(target, *files.flags, start_new_session=True)
    said = f"cannot use the {name} {getattr(files, name)}: {fault}"
    expect_one_line(result, 1, f"phase{target.phase}: {said}")


@task("5.2")
@plain_port
def test_a_key_that_may_not_be_read(target: Target, tmp_path: Path):
    """A key without the right to read it: exit status 1, and one line that says so."""
    files = Files.at(tmp_path)
    files.write(issue("localhost"))
    files.key.chmod(0)
    result = run_to_end(target, *files.flags, preexec_fn=drop_file_rights)
    expect_one_line(result, 1, f"cannot use the key {files.key}: Permission denied")


def drop_file_rights() -> None:
    CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
    drop_right(CAP_DAC_OVERRIDE)
    drop_right(CAP_DAC_READ_SEARCH)


@task("5.2")
@tls_port
@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_keys(dial, start, tmp_path: Path, kind: str):
    """Certificates with a key of each kind are served, also from one file that holds both."""
    files = Files.at(tmp_path)
    files.write(issue("localhost", kind=kind))
    both = tmp_path / "both.pem"
    both.write_bytes(files.key.read_bytes() + files.certificate.read_bytes())
    for flags in (files.flags, Files(both, both).flags):
        dial(TlsClient, start(*flags)).handshake().echo()


@task("5.2")
@tls_port
@pytest.mark.parametrize(
    "hours, words",
    [((-2, -1), "has expired"), ((1, 2), "is not valid yet")],
    ids=["past", "future"],
)
def test_dates_that_are_wrong(dial, start, tmp_path: Path, hours, words: str):
    """A certificate out of its time is served, for a clock may be wrong; stderr says so, at start and at a reload."""
    files = Files.at(tmp_path)
    files.write(issue("localhost", begins=hours[0], ends=hours[1]))
    server = start(*files.flags)
    dial(TlsClient, server).handshake().echo()
    reload_and_wait(server)
    said = f"the certificate {files.certificate} {words}\n"
    check(
        server.stderr().count(said) == 2,
        f"{said!r}, at start and at a reload",
        f"it says {server.stderr()!r}",
        server=server,
    )


def reload_and_wait(server: Server) -> str:
    """SIGHUP, and what the server then says on stderr."""
    before = len(server.stderr())
    server.signal(signal.SIGHUP)
    wait_until(lambda: "SIGHUP: " in server.stderr()[before:].rpartition("\n")[0])
    return server.stderr()[before:]


@task("5.2")
@tls_port
def test_reload(dial, start, tmp_path: Path):
    """SIGHUP: new connections get the new certificate, and the old connection goes on."""
    files = Files.at(tmp_path)
    old = files.write(issue("old"))
    server = start(*files.flags)
    client = dial(TlsClient, server).handshake()
    check(fingerprint_of(client.certificate()) == old, "the old certificate", "another")
    new = files.write(issue("new"))
    server.signal(signal.SIGHUP)

    def has_new_one() -> bool:
        with dial(TlsClient, server).sock as fresh:
            return fingerprint_of(fresh.getpeercert(binary_form=True)) == new

    check(
        wait_until(has_new_one),
        "the new certificate after SIGHUP",
        "new connections still get the old one",
        "PROTOCOL 21",
        server=server,
    )
    client.echo(b"on the old connection")
    dial(TlsClient, server).handshake().echo(b"on a new one")


@task("5.2")
@tls_port
def test_a_closed_terminal_is_a_reload(run: Run, start, tmp_path: Path):
    """With --cert, SIGHUP always means a reload: a terminal that is closed does not end the server."""
    files = Files.at(tmp_path)
    files.write(issue("localhost"))
    screen, terminal = os.openpty()
    server = start(*files.flags, under=["setsid", "--ctty"], stdin=terminal)
    os.close(terminal)
    os.close(screen)
    said = wait_until(lambda: server.stderr().startswith("SIGHUP: certificate "))
    check(said, "a reload", f"it says {server.stderr()!r}", server=server)
    run.connect(server).handshake().echo()


@task("5.2")
@tls_port
@bad_files
def test_reload_of_bad_files(dial, start, tmp_path: Path, spoil):
    """SIGHUP with a bad file: it is named on stderr, and the old certificate stays in use."""
    name, change, fault = spoil
    files = Files.at(tmp_path)
    old = files.write(issue("old"))
    server = start(*files.flags)
    client = dial(TlsClient, server).handshake()
    change(files)
    said = reload_and_wait(server)
    check(
        f"{getattr(files, name)}: {fault}" in said and said.count("\n") == 1,
        f"one line on stderr that names {getattr(files, name).name} and says: {fault}",
        f"it said {said!r}",
        "PROTOCOL 21",
        server=server,
    )
    fresh = dial(TlsClient, server)
    found = fingerprint_of(fresh.certificate())
    check(found == old, "the old certificate", "another one is used", client=fresh)
    fresh.handshake().echo()
    client.echo(b"on the old connection")


# --- Task 5.2: versions, protocols, sessions ------------------------------------------------------


@task("5.2")
@tls_port
@VERSIONS
def test_versions(dial, version: ssl.TLSVersion):
    """TLS 1.2 and 1.3 are spoken: small messages and one of 1 MiB come back."""
    client = dial(TlsClient, settings=tls.context(version)).handshake()
    check(
        client.sock.version() == f"TLSv1.{version - TLS1_2 + 2}",
        version.name,
        f"it is {client.sock.version()}",
        client=client,
    )
    client.echo(b"hello")
    client.echo(os.urandom(MIB))
    client.echo("grüße".encode(), TEXT)
    client.goodbye()


@task("5.2")
@tls_port
def test_old_version(start):
    """TLS 1.1 is refused with the alert protocol_version (RFC 8996)."""
    alert = tls.refusal(start(), tls.context(TLS1_1))
    check(
        "alert protocol version" in str(alert),
        "the alert protocol_version",
        f"the handshake's end was {alert}",
        "RFC 8996",
    )


@task("5.2")
@tls_port
@pytest.mark.parametrize("offer", [["http/1.1"], ["h2", "http/1.1"], None])
def test_alpn(dial, offer: list[str] | None):
    """Of the protocols that a client offers http/1.1 is chosen; one that offers none is served too (RFC 7301)."""
    client = dial(TlsClient, settings=tls.context(alpn=offer))
    chosen, wanted = client.sock.selected_alpn_protocol(), offer and "http/1.1"
    check(chosen == wanted, f"ALPN {wanted}", f"it is {chosen}", "RFC 7301 §3.2")
    client.handshake().echo()


@task("5.2")
@tls_port
@VERSIONS
def test_alpn_without_http1(start, version: ssl.TLSVersion):
    """A client that speaks h2 only is refused with the alert no_application_protocol (RFC 7301 §3.2)."""
    settings = tls.context(version, alpn=["h2"])
    alert = tls.refusal(start(), settings)
    check(
        "alert no application protocol" in str(alert),
        "the alert no_application_protocol",
        f"the handshake's end was {alert}",
        "RFC 7301 §3.2",
    )


def ticket(dial, server: Server, settings: ssl.SSLContext) -> ssl.SSLSession:
    """A session to resume; in TLS 1.3 its ticket comes after the handshake."""
    client = dial(TlsClient, server, settings=settings).handshake()
    client.echo()
    session = client.sock.session
    check(
        session and session.has_ticket,
        "a session ticket",
        "there is none",
        client=client,
    )
    client.goodbye()
    client.close()
    return session


@task("5.2")
@tls_port
@VERSIONS
def test_resumption(dial, start, tmp_path: Path, version: ssl.TLSVersion):
    """A session is resumed by its ticket; after a reload it may be forgotten, but the client still gets in."""
    files, settings = Files.at(tmp_path), tls.context(version)
    files.write(issue("localhost"))
    server = start(*files.flags)
    session = ticket(dial, server, settings)
    again = dial(TlsClient, server, settings=settings, session=session)
    again.handshake().echo()
    check(
        again.sock.session_reused,
        "the session to be resumed",
        "it was a full handshake",
        "RFC 8446 §2.2",
        cause="tickets are off, or no session id context is set (SSL_CTX_set_session_id_context(3)).",
        client=again,
    )
    files.write(issue("localhost"))
    reload_and_wait(server)
    dial(TlsClient, server, settings=settings, session=session).handshake().echo()


CLOCK = """
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* The time of day, and as many hours as are in a file. */
time_t time(time_t* where) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    FILE* file = fopen(getenv("HOURS_LATER"), "r");
    int hours = 0;
    if (file && fscanf(file, "%d", &hours) != 1) hours = 0;
    if (file) fclose(file);
    time_t result = now.tv_sec + 3600 * (time_t)hours;
    if (where) *where = result;
    return result;
}
"""


@task("5.2")
@how
@tls_port
def test_what_is_renewed(dial, start, tmp_path: Path):
    """After 12 hours there are new ticket keys; after 15 days a new certificate, where the server made it."""
    clock, later = tmp_path / "clock.so", tmp_path / "later"
    run_tool("cc", "-shared", "-fPIC", "-x", "c", "-o", str(clock), "-", input=CLOCK)
    asan = "verify_asan_link_order=0"
    server = start(env=environment(LD_PRELOAD=str(clock), HOURS_LATER=str(later), asan=asan))
    first, settings = printed_fingerprint(server), tls.context()
    old = dial(TlsClient, server).handshake()
    later.write_text("11")
    session = ticket(dial, server, settings)  # good for two hours

    def come_back(hours: int) -> tuple[bool, str]:
        later.write_text(str(hours))
        client = dial(TlsClient, server, settings=settings, session=session)
        client.handshake().echo()
        return client.sock.session_reused, fingerprint_of(client.certificate())

    for hours, words in ((11, "resumed"), (12, "not resumed")):
        reused, found = come_back(hours)
        check(
            reused == (words == "resumed") and found == first,
            f"after {hours} hours the first certificate, and a session that is {words}",
            f"session_reused is {reused}, the certificate's fingerprint {found}",
            "RFC 5077 §5.5",
            server=server,
        )
    for days in (16, 32):
        _, last = come_back(24 * days)
        check(
            last != first,
            f"a new certificate after {days} days",
            "it is the old one",
            server=server,
        )
        said = plain(server.stderr().splitlines()[-1])
        check(said.endswith(last), f"its fingerprint on stderr, {last}", f"it says {said!r}")
        first = last
    old.echo(b"an old connection goes on")


@task("5.2")
@tls_port
def test_openssl_s_client(start):
    """openssl s_client shakes hands; a request typed into it brings 101 Switching Protocols."""
    server = start()
    place = "{}:{}".format(*server.address)
    with tool(server, "openssl", "s_client", "-quiet", "-connect", place) as client:
        client.type(request().decode())
        client.expect("HTTP/1.1 101 Switching Protocols", "RFC 6455 §4.2.2")


@task("5.2")
@tls_port
def test_renegotiation(run: Run, start):
    """A client that asks for renegotiation in TLS 1.2 is refused, and nobody else notices."""
    server = start()
    place = "{}:{}".format(*server.address)
    with tool(server, "openssl", "s_client", "-tls1_2", "-connect", place) as client:
        client.expect("Verify return code")
        client.type("R\n")
        client.expect("RENEGOTIATING")
        client.expect("no renegotiation", "PROTOCOL 21")
    run.connect(server).handshake().echo()


@task("5.2")
@tls_port
def test_key_log(dial, start, tmp_path: Path):
    """With SSLKEYLOGFILE set, the keys of a connection are logged: the same that the client has."""
    ours, theirs = tmp_path / "client", tmp_path / "server"
    server = start(env=environment(SSLKEYLOGFILE=str(theirs)))
    settings = tls.context()
    settings.keylog_filename = str(ours)
    dial(TlsClient, server, settings=settings).handshake().echo()
    wanted = {line for line in ours.read_text().splitlines() if line[0] != "#"}
    logged = set(theirs.read_text().splitlines() if theirs.exists() else [])
    check(
        wanted and wanted <= logged,
        f"the {len(wanted)} secrets of the connection in SSLKEYLOGFILE",
        f"{len(wanted - logged)} of them are missing from {len(logged)} lines",
        "SSL_CTX_set_keylog_callback(3)",
        server=server,
    )


KEY_LOGS: dict[str, tuple[Callable[[Path], object], str]] = {
    "in a directory that is not there": (lambda log: log.parent.rmdir(), "No such file"),
    "a directory": (lambda log: log.mkdir(), "Is a directory"),
    "a symbolic link": (lambda log: log.symlink_to("target"), "symbolic links"),
    "a FIFO": (os.mkfifo, "No such device"),
    "a file that others can read": (
        lambda log: (log.touch(), log.chmod(0o644)),
        "others can read it",
    ),
}


@task("5.2")
@plain_port
@pytest.mark.parametrize("make, reason", KEY_LOGS.values(), ids=KEY_LOGS)
def test_a_key_log_that_cannot_be_used(target: Target, tmp_path: Path, make, reason: str):
    """SSLKEYLOGFILE that cannot be used safely: exit status 1, and one line that names it and says why."""
    log = tmp_path / "keys" / "log"
    log.parent.mkdir()
    make(log)
    result = run_to_end(target, env=environment(SSLKEYLOGFILE=str(log)))
    expect_one_line(result, 1, f"SSLKEYLOGFILE {log}: ")
    check(reason in result.stderr, f"the reason: {reason}", told(result))


@task("5.2")
@tls_port
def test_a_key_log_that_is_full(dial, start, tmp_path: Path):
    """When a key can no longer be logged, the server says so once, and serves on."""
    log = tmp_path / "keys"
    server = start(env=environment(SSLKEYLOGFILE=str(log)))
    dial(TlsClient, server).handshake().echo()
    check(log.stat().st_mode & 0o777 == 0o600, "a key log of mode 0600", oct(log.stat().st_mode))
    most = log.stat().st_size
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (most, most))
    for _ in range(2):
        dial(TlsClient, server).handshake().echo()
    said = server.stderr()
    check(
        said.count("\n") == 1 and said.startswith("SSLKEYLOGFILE"),
        "one line on stderr about SSLKEYLOGFILE",
        f"it says {said!r}",
        server=server,
    )


# --- Task 5.2: records ----------------------------------------------------------------------------


@task("5.2")
@tls_port
@VERSIONS
def test_a_byte_per_record(dial, version: ssl.TLSVersion):
    """The request and two messages in records of one byte each."""
    client = dial(TlsClient, settings=tls.context(version))
    data = request() + encode(TEXT, b"byte by byte") + encode(BINARY, bytes(300))
    for byte in data:
        client.send_bytes(bytes([byte]))
    client.expect_upgrade()
    client.expect_text("byte by byte")
    client.expect_frame(BINARY, bytes(300))


@task("5.2")
@tls_port
@pytest.mark.parametrize("cap", ["4194304", "2048"])
def test_many_frames_in_one_record(dial, start, cap: str):
    """100 frames in one record are all answered, though epoll tells of its bytes only once (SSL_pending(3))."""
    client = dial(TlsClient, start("--max-buffered", cap)).handshake()
    client.send_bytes(SMALL.sent[: 100 * SMALL.frame], what="100 frames in one record")
    client.expect_bytes(
        SMALL.echoes[: 100 * SMALL.echo],
        "PROTOCOL 19",
        "what OpenSSL has read and decrypted, epoll cannot see: read until it wants to read.",
    )


@task("5.2")
@tls_port
@pytest.mark.parametrize("size", [16350, 16383, 16384, 16385, 32768, 65536, 100_000, MIB])
def test_messages_longer_than_a_record(dial, size: int):
    """Messages around and over the 16 KiB of a record come back (RFC 8446 §5.1)."""
    client = dial(TlsClient).handshake()
    payload = os.urandom(size)
    client.echo(payload)
    client.send_frames(encode(BINARY, payload) + encode(TEXT, b"and one behind it"))
    client.expect_frame(BINARY, payload)
    client.expect_text("and one behind it")


STUCK = "what one direction waits for must not stop the other: keep read's and write's wants apart."


@task("5.2")
@tls_port
@pytest.mark.parametrize(
    "version, cap",
    [(TLS1_2, "65536"), (TLS1_3, "65536"), (TLS1_3, "4194304")],
    ids=["1.2, narrow cap", "1.3, narrow cap", "1.3"],
)
def test_both_directions_stuck(dial, start, version: ssl.TLSVersion, cap: str):
    """A client sends without reading until both directions are full, then does both at once: nothing is lost."""
    server = start("--max-buffered", cap)
    client = dial(TlsClient, server, narrow=True, settings=tls.context(version))
    sent = fill(slow_reader(client), SMALL.sent)
    server.expect_idle("both directions are stuck", "EPOLLIN is watched while paused.", 5)
    more = SMALL.next(sent, MIB)
    client.send_bytes(more, what="1 MiB more, while reading", seconds=30)
    wanted = SMALL.expected(sent + len(more))
    client.expect_bytes(wanted, "PROTOCOL 17", STUCK, seconds=30)
    server.expect_idle("nothing waits any more", "EPOLLOUT was never disarmed.")


@task("5.2")
@tls_port
def test_a_client_that_reads_late_and_says_no_more(dial, start):
    """All that a client has sent was read, and waits to be answered: it need not send more to get it."""
    client = dial(TlsClient, start("--ping-interval", "0"), narrow=True)
    sent = SMALL.next(0, MIB)
    slow_reader(client).send_bytes(sent, what="1 MiB, without reading")
    check(
        wait_until(client.server.asleep),
        "the server to sleep while its client does not read",
        "it is awake",
        client=client,
    )
    client.expect_bytes(SMALL.expected(len(sent)), "PROTOCOL 17", STUCK)


@task("5.2")
@tls_port
@pytest.mark.parametrize("cap", ["4194304", "16384"])
def test_key_update(dial, start, cap: str):
    """A client that does not read sends messages and KeyUpdates until all is full, then reads (RFC 8446 §4.6.3)."""
    client = dial(LibsslClient, start("--max-buffered", cap), narrow=True)
    asked: list[bool] = []
    # Their answers alone are more than a transport should hold: sooner or later one has no room.
    sent = fill(
        slow_reader(client),
        SMALL.sent,
        lambda: asked.append(client.sock.key_update()),
        piece=512,
    )
    spins = "a read that wants to write waits for EPOLLOUT, not for EPOLLIN."
    client.server.expect_idle("all is stuck", spins, 5)
    more = SMALL.next(sent, 20_000)
    client.send_bytes(more, what=f"{sum(asked)} KeyUpdates were among them; now the rest")
    wanted = SMALL.expected(sent + len(more))
    cause = "SSL_read may want to write: the answer to a KeyUpdate. Wait for EPOLLOUT then, and read on."
    client.expect_bytes(wanted, "PROTOCOL 17", cause, seconds=30)
    client.echo(b"and the connection lives on")
    check(sum(asked) > 5, "KeyUpdates to be sent", f"{sum(asked)} were", client=client)
    check(
        client.sock.key_updates > 0,
        "the server to change its own key when it is asked to",
        "it never did",
        "RFC 8446 §4.6.3",
        client=client,
    )


# --- Task 5.2: ends -------------------------------------------------------------------------------


def end_by_close(client: TlsClient) -> None:
    client.handshake().send_close()
    client.expect_close(1000)


def end_by_failure(client: TlsClient) -> None:
    client.handshake().send_frame(TEXT, b"unmasked", mask=UNMASKED)
    client.expect_close(1002)


def end_by_refusal(client: TlsClient) -> None:
    client.send_request(request(method="POST"))
    client.expect_response(405)


def end_by_page(client: TlsClient) -> None:
    client.send_request(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    client.expect_response(200)


def end_by_signal(client: TlsClient) -> None:
    client.handshake().echo()
    client.server.signal(signal.SIGTERM)
    client.expect_close(1001)
    client.send_close(1001)


def end_by_timeout(client: TlsClient) -> None:
    client.handshake().expect_frame(PING, seconds=REPLY)
    client.expect_close(1001)


def end_by_us(client: TlsClient) -> None:
    client.handshake().echo()
    client.end_tcp()


ENDS = [end_by_close, end_by_failure, end_by_refusal, end_by_page, end_by_signal]
ENDS += [end_by_timeout, end_by_us]


@task("5.2")
@tls_port
@VERSIONS
@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__[4:])
def test_close_notify(dial, start, version: ssl.TLSVersion, end):
    """However a connection ends, close_notify comes before the end of the TCP stream (RFC 8446 §6.1)."""
    quick = ["--ping-interval", "0.1", "--idle-timeout", "0.1"]
    server = start(*(quick if end is end_by_timeout else []))
    client = dial(TlsClient, server, settings=tls.context(version))
    end(client)
    client.expect_close_notify()


@task("5.2")
@tls_port
def test_close_notify_behind_full_buffers(dial, start):
    """A peer that ends before it reads gets its echo, and a close_notify behind it (RFC 8446 §6.1)."""
    server = start()
    for records in range(4, 64, 4):  # at one of them the last bytes are the first to wait
        client = dial(TlsClient, server, narrow=True).handshake()
        payload = os.urandom(records * 16384)
        client.send_frames(encode(BINARY, payload), reading=False)
        client.end_tcp()
        wait_until_read(client.sock)
        wait_until(server.asleep)
        client.expect_frame(BINARY, payload)
        client.expect_close_notify()


@task("5.2")
@tls_port
def test_ends_without_close_notify(run: Run, dial, start):
    """A peer that just ends its TCP stream still gets its echo; no descriptor is left behind."""
    server = start()
    run.connect(server).handshake()
    before = server.descriptors()
    for reset in (False, True):
        client = dial(TlsClient, server).handshake()
        client.send_text("the last")
        if reset:
            client.abort()
            continue
        client.end_tcp()
        client.expect_text("the last")
        client.expect_close_notify()
        client.close()
    expect_given_up(server, before, 0, "both connections to be closed")


RECORD = bytes([tls.APPLICATION_DATA, 3, 3])
BROKEN = {
    "a forged record": RECORD + b"\0\x40" + os.urandom(64),
    "garbage": b"\xff" * 64,
    "a record that is too long": RECORD + b"\xff\xff" + bytes(100),
    "plain HTTP": request(),
}


@task("5.2")
@tls_port
@VERSIONS
@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_broken_records(run: Run, dial, start, version, data: bytes):
    """What cannot be decrypted ends its connection with an alert, and no other (RFC 8446 §6.2)."""
    server = start()
    other = run.connect(server).handshake()
    waiting = dial(TlsClient, server).handshake()
    before = server.descriptors()
    client = dial(TlsClient, server, settings=tls.context(version)).handshake()
    client.echo()
    client.send_raw(data, "what is no record")
    end = client.end_of_tls()
    check("ALERT" in end, "a fatal alert", f"this came: {end or 'an end'}", client=client)
    client.close()
    expect_given_up(server, before, 0, "the broken connection to be closed")
    other.echo()
    # A call that wants something is where an old error shows.
    waiting.send_raw(RECORD + b"\0\x40" + b"the rest comes later", "the start of a record")
    check(
        waiting.stays_open(),
        "a connection that waits for the rest of a record to stay open",
        "the server ended it",
        cause="the error queue was not cleared: ERR_clear_error before each call.",
        client=waiting,
    )


@task("5.2")
@tls_port
def test_a_truncated_record(run: Run, dial, start):
    """A TCP stream that ends within a record ends the connection; what came before it is answered."""
    server = start()
    other = run.connect(server).handshake()
    before = server.descriptors()
    client = dial(TlsClient, server).handshake()
    client.send_text("before")
    client.send_raw(RECORD + b"\0\x40" + b"only a part", "a part of a record")
    client.end_tcp()
    client.expect_text("before")
    client.end_of_tls()
    client.close()
    expect_given_up(server, before, 0, "the connection to be closed")
    for _ in range(2):  # an error queue that was not cleared shows after the first answer
        other.echo()


# --- Task 5.2: the wrong port ---------------------------------------------------------------------


@task("5.2")
@tls_port
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "PUT", "OPTIONS", "PRI"])
def test_http_on_the_tls_port(run: Run, dial, start, method: str):
    """Plain HTTP on the TLS port is told so in plain HTTP: 400, and the end."""
    server = start()
    client = dial(TcpClient, server)
    client.send_request(request(method=method))
    client.expect_refusal(400, rule="RFC 9110 §15.5.1")
    run.connect(server).handshake().echo()


@task("5.2")
@tls_port
@pytest.mark.parametrize("data", [b"\0" * 100, b"\xff" * 100, b"hello\r\n" * 20])
def test_garbage_on_the_tls_port(run: Run, dial, start, data: bytes):
    """Garbage on the TLS port ends that connection, and no other."""
    server = start()
    client = dial(TcpClient, server)
    client.send_bytes(data)
    deadline = Deadline()
    while client.read_more(deadline):
        pass
    check(client.ended, "the server to end it", "it did not", client=client)
    run.connect(server).handshake().echo()


@task("5.1")
@plain_port
def test_tls_on_the_plain_port(run: Run, start):
    """A TLS ClientHello on the plain port is answered by a plain 400."""
    server = start()
    client = run.connect(server)
    client.send_bytes(tls.client_hello(), what="a ClientHello")
    client.expect_refusal(400, rule="RFC 9110 §15.5.1")
    run.connect(server).handshake().echo()


# --- Task 5.2: real clients -----------------------------------------------------------------------


@task("5.2")
@tls_port
@VERSIONS
def test_python_websockets(start, version: ssl.TLSVersion):
    """The library websockets talks over wss, by TLS 1.2 and 1.3, and closes with 1000."""
    server = start()
    messages: list[str | bytes] = ["hello", b"\0\1\2", "grüße", os.urandom(200_000)]
    settings = tls.context(version)
    echoes, code = websockets_client.converse(server.url, messages, settings)
    check(echoes == messages, "its messages back", "others came", server=server)
    check(code == 1000, "a close code of 1000", f"it is {code}", server=server)


@task("5.2")
@tls_port
def test_wscat(start):
    """wscat -n sends a message over wss and prints its echo."""
    server = start()
    with tool(server, *wscat(server.url, "hello over wss")) as client:
        client.expect("hello over wss\n")
        client.end_input()
        status = client.wait()
    check(status == 0, "wscat to end in peace", f"exit status {status}", server=server)


# --- Task 5.3: origins ----------------------------------------------------------------------------


def with_origins(*origins: str) -> bytes:
    return request(upgrade_headers() + [("Origin", origin) for origin in origins])


HERE = ["--origin", "https://example.com", "--origin", "http://localhost:8080"]
LET_IN = [
    "https://example.com",
    "https://example.com:443",
    "HTTPS://Example.COM",
    "http://localhost:8080",
    "http://LOCALHOST:8080",
]
KEPT_OUT = [
    "http://example.com",
    "https://example.com:8443",
    "https://example.com:80",
    "https://example.com.evil.example",
    "https://evil-example.com",
    "https://www.example.com",
    "https://example.co",
    "https://localhost:8080",
    "http://localhost",
    "http://localhost:80801",
    "http://localhost:80",
    "ws://localhost:8080",
    "null",
    "",
    "example.com",
    "https://example.com https://evil.example",
]
ORIGIN = "RFC 6455 §10.2"


@task("5.3")
def test_origins_that_are_let_in(connect, start):
    """An origin with equal scheme, host and port is let in; case and a default port make no difference."""
    server = start(*HERE)
    for origin in LET_IN:
        client = connect(server)
        client.send_request(with_origins(origin))
        client.expect_upgrade(cause="scheme, host and port are compared (RFC 6454 §5).")


@task("5.3")
def test_origins_that_are_kept_out(connect, start):
    """A page of any other origin gets 403 (RFC 6455 §10.2)."""
    server = start(*HERE)
    for origin in KEPT_OUT:
        client = connect(server)
        client.send_request(with_origins(origin))
        cause = f"{origin!r} is none of {', '.join(HERE[1::2])}."
        client.expect_refusal(403, rule=ORIGIN, cause=cause)


@task("5.3")
@plain_port
def test_default_ports_in_the_flag(connect, start):
    """A default port or upper case in --origin itself makes no difference either."""
    server = start("--origin", "HTTP://Example.com:80", "--origin=https://b.example:443")
    for origin in ("http://example.com", "https://b.example"):
        client = connect(server)
        client.send_request(with_origins(origin))
        client.expect_upgrade()
    client = connect(server)
    client.send_request(with_origins("https://example.com"))
    client.expect_refusal(403, rule=ORIGIN)


@task("5.3")
@plain_port
def test_no_origin(connect, start):
    """What sends no Origin is no browser, and is let in."""
    connect(start(*HERE)).handshake().echo()


@task("5.3")
@plain_port
def test_any_origin(connect, start):
    """Without --origin, pages of any origin are let in."""
    server = start()
    for origin in ("https://example.com", "null"):
        client = connect(server)
        client.send_request(with_origins(origin))
        client.expect_upgrade()


@task("5.3")
@plain_port
@pytest.mark.parametrize(
    "pair", [LET_IN[:2], [LET_IN[0], "https://evil.example"]], ids=["both", "one"]
)
def test_two_origins(connect, start, pair: list[str]):
    """Two Origin headers are refused, even if each of them alone would be let in (RFC 6454 §7.3)."""
    for origins in (pair, pair[::-1]):
        client = connect(start(*HERE))
        client.send_request(with_origins(*origins))
        client.expect_refusal(403, 400, rule="RFC 6454 §7.3")


# --- Task 5.3: the page ---------------------------------------------------------------------------


def get(path: str = "/", *headers: tuple[str, str]) -> bytes:
    return request([("Host", "localhost"), *headers], target=path)


@task("5.3")
@pytest.mark.parametrize("path", ["/", "/?", "/?x=/chat", "http://localhost/", "http://a?x"])
def test_the_page(connect, path: str):
    """A plain GET of /, whatever its query, brings a page of HTML, whole, and then the end."""
    client = connect()
    client.send_request(get(path))
    response = client.expect_refusal(200, rule="RFC 9110 §15.3.1")
    kind = response.tokens("Content-Type")[0]
    check(kind.startswith("text/html"), "text/html", f"it is {kind}", client=client)
    check(
        b"<script" in response.body and b"WebSocket" in response.body,
        "a page that connects back",
        "it has no such script",
        client=client,
    )


@task("5.3")
def test_the_page_by_old_http(connect):
    """The page needs nothing of HTTP/1.1: a proxy or a health check that speaks 1.0 gets it, with a Host or without."""
    for headers in ([("Host", "localhost")], [], [("Expect", "100-continue")]):
        client = connect()
        client.send_request(request(headers, version="HTTP/1.0"))
        client.expect_refusal(200, rule="RFC 9110 §2.5")


@task("5.3")
def test_head_of_the_page(connect, start):
    """HEAD brings what GET does, but for the page itself (RFC 9110 §9.3.2)."""
    server, found = start(), {}
    for method in ("GET", "HEAD"):
        client = connect(server)
        client.send_request(get().replace(b"GET", method.encode()))
        found[method] = client.expect_refusal(200, rule="RFC 9110 §9.3.2").headers
        found[method].pop("date")
    check(found["GET"] == found["HEAD"], "the same headers", f"{found}", server=server)


@task("5.3")
@plain_port
def test_the_policy_of_the_page(connect):
    """The page's policy lets its own script and style run, by their hashes, and nobody frame it (CSP Level 3)."""
    client = connect()
    client.send_request(get())
    response = client.expect_refusal(200)
    policy = dict(
        part.strip().partition(" ")[::2]
        for part in response.header("Content-Security-Policy").split(";")
    )
    page = response.body.decode()
    for tag in ("script", "style"):
        text = re.search(f"<{tag}>(.*?)</{tag}>", page, re.S)[1]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        value = policy.get(f"{tag}-src")
        check(value == f"'sha256-{digest}'", f"the hash of the {tag}", f"{value}", client=client)
    for name in ("default-src", "base-uri", "form-action", "frame-ancestors"):
        value = policy.get(name)
        check(value == "'none'", f"{name} 'none'", f"it is {value}", client=client)


@task("5.3")
@plain_port
def test_the_page_for_any_origin(connect, start):
    """--origin is about WebSocket connections; the page itself is for all."""
    client = connect(start(*HERE))
    client.send_request(get())
    client.expect_refusal(200, rule="RFC 9110 §15.3.1")


@task("5.3")
@pytest.mark.parametrize("path", ["/favicon.ico", "/index.html", "/chat", "//"])
def test_other_plain_requests(connect, path: str):
    """A plain GET of anything else: 426, and what to upgrade to (RFC 9110 §15.5.22)."""
    client = connect()
    client.send_request(get(path))
    client.expect_refusal(426, rule="RFC 9110 §15.5.22", Upgrade="websocket")


@task("5.3")
@plain_port
def test_requests_for_the_page_that_are_wrong(connect, start):
    """The page has the rules of every request: a POST gets 405, without a Host it is 400, and so it is with content."""
    server = start()
    for data, status in (
        (request([]), 400),
        (get("/", ("Host", "again")), 400),
        (request([("Host", "a b")]), 400),
        (request([("Host", "a b")], version="HTTP/1.0"), 400),
        (get("/", ("Content-Length", "5")) + b"Hello", 400),
        (get("/", ("Transfer-Encoding", "chunked")) + b"0\r\n\r\n", 400),
        (get("/", ("Content-Length", "x")), 400),
        (request([("Host", "a")], version="HTTP/2.0"), 505),
        (get().replace(b"GET", b"HEAD").replace(b" / ", b" /chat "), 405),
    ):
        client = connect(server)
        client.send_request(data)
        client.expect_refusal(status)
    for method in ("POST", "PUT", "OPTIONS"):
        client = connect(server)
        client.send_request(get().replace(b"GET", method.encode()))
        response = client.expect_refusal(405, Allow="GET")
        allowed = response.tokens("Allow")
        check("head" in allowed, "Allow: GET, HEAD", f"it is {allowed}", client=client)


# --- Task 5.3: a browser --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[browsers.Browser]:
    with browsers.chromium() as started:
        yield started


def page_of(server: Server) -> str:
    return server.url.replace("ws", "http", 1).replace("127.0.0.1", "localhost")


@task("5.3")
def test_the_page_in_a_browser(browser, start, tmp_path: Path):
    """Chromium opens the page, which connects back, shows its first echo, and one that is typed."""
    server = start()
    browser.open(page_of(server))
    browser.expect(lambda: browser.status() == "open", "open as its status", server)
    first = f"Hello over {'wss' if server.tls else 'ws'}"
    browser.expect(lambda: browser.text().count(first) == 2, f"“{first}” twice", server)
    for typed in ("typed into the form", "grüße & <b>tags</b>"):
        browser.say(typed)
        browser.expect(lambda: browser.text().count(typed) == 2, f"“{typed}” and its echo", server)
    browser.driver.save_screenshot(str(tmp_path / "page.png"))


@task("5.3")
@tls_port
def test_a_page_of_another_origin(browser, start):
    """In a browser too: the page of a server that lets in other origins only is refused."""
    server = start("--origin", "https://example.com")
    browser.open(page_of(server))
    browser.expect(lambda: "closed" in browser.status(), "that it is closed", server)


@task("5.3")
@tls_port
def test_a_page_of_its_own_origin(browser, start):
    """--origin with the page's own origin: the browser is let in."""
    server = start()
    server.stop()
    port = server.address[1]
    again = start("--origin", f"https://localhost:{port}", "--tls-port", str(port))
    browser.open(page_of(again))
    browser.expect(lambda: browser.status() == "open", "open as its status", again)


@task("5.3")
@tls_port
def test_the_page_when_the_server_stops(browser, start):
    """When the server goes away, the page says so, with 1001."""
    server = start()
    browser.open(page_of(server))
    browser.expect(lambda: browser.status() == "open", "open as its status", server)
    server.signal(signal.SIGTERM)
    browser.expect(lambda: "1001" in browser.status(), "the close code 1001", server)
    status = server.wait()
    check(status == 0, "exit status 0", server.ending(), server=server)
    server.stopped = True
