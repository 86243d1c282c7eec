"""Phase 1: the epoll loop, an echo server for TCP. Tasks 1.1, 1.2 and 1.3 of ROADMAP.md."""

import os
import re
import select
import signal
import socket
import termios
from contextlib import contextmanager, suppress
from ctypes import CDLL
from pathlib import Path
from typing import Iterator

import pytest

from harness import strace
from harness.client import Client, send_until_stuck
from harness.deadlines import wait_until
from harness.failures import check
from harness.run import Run
from harness.server import Result, Target, run_to_end
from harness.tools import need_ipv6, tool

ALL_BYTES = bytes(range(256))
echo = pytest.mark.phases(1)  # from phase 2 on, bytes alone are not sent back
task = pytest.mark.task


# --- Task 1.1: echo ---------------------------------------------------------------------------


@task("1.1")
@echo
def test_a_line_comes_back(connect):
    """A line is sent back as it came."""
    client = connect()
    client.send_bytes(b"hello\r\n")
    client.expect_bytes(b"hello\r\n")


@task("1.1")
@echo
def test_line_after_line(connect):
    """One client sends many lines, and each is answered before the next."""
    client = connect()
    for number in range(100):
        client.send_bytes(b"line %d\n" % number)
        client.expect_bytes(b"line %d\n" % number)


@task("1.1")
@echo
def test_every_byte_value(connect):
    """Bytes are not text: each of the 256 values, NUL among them, comes back."""
    client = connect()
    client.send_bytes(ALL_BYTES)
    client.expect_bytes(
        ALL_BYTES, cause="a NUL ends a C string: use the count that recv() returned."
    )


@task("1.1")
@echo
def test_many_clients_at_a_time(connect, start):
    """200 clients are connected at the same time, and each gets its own bytes back."""
    server = start()
    clients = [connect(server) for _ in range(200)]
    for turn in range(3):
        for number, client in enumerate(clients):
            client.send_bytes(b"client %d, turn %d\n" % (number, turn))
        for number, client in enumerate(clients):
            client.expect_bytes(b"client %d, turn %d\n" % (number, turn))


@task("1.1")
@echo
def test_large_data_both_ways(connect):
    """16 MiB go through while the client reads what comes back."""
    client = connect()
    data = os.urandom(1 << 20) * 16
    client.send_bytes(data, what="16 MiB", seconds=30)
    client.expect_bytes(data, seconds=30)


@task("1.1")
@echo
def test_a_client_that_reads_late(connect):
    """A client sends until nothing more is taken and only then reads: no byte is lost or doubled."""
    client = connect()
    data = os.urandom(1 << 20)
    sent = client.send_until_stuck(data, most=64 << 20)
    expected = (data * (sent // len(data) + 1))[:sent]
    client.expect_bytes(
        expected,
        cause="what send() did not take must wait for EPOLLOUT; EAGAIN is no error.",
        seconds=30,
    )


@task("1.1")
@echo
def test_a_narrow_client(connect):
    """A client with the smallest socket buffers forces short writes; its 1 MiB comes back whole."""
    client = connect(narrow=True)
    data = os.urandom(1 << 20)
    client.send_bytes(data, what="1 MiB", seconds=30)
    client.expect_bytes(data, seconds=30)


@task("1.1")
@echo
def test_half_close(connect):
    """After the client's end of stream, what is queued is still sent; then the server ends too."""
    client = connect()
    data = os.urandom(300_000)
    client.send_bytes(data, what="300,000 bytes")
    client.half_close()
    client.expect_bytes(data)
    client.expect_eof(cause="recv() returned 0: send what is queued, then close.")


@task("1.1")
@echo
def test_half_close_of_a_late_reader(connect):
    """The queue of a client that is stuck outlives that client's end of stream."""
    client = connect(narrow=True)
    data = os.urandom(100_000)
    sent = client.send_until_stuck(data, most=8 << 20)
    client.half_close()
    client.expect_bytes((data * (sent // len(data) + 1))[:sent], seconds=30)
    client.expect_eof()


@task("1.1")
def test_silent_clients_come_and_go(run: Run, start):
    """Clients that connect and leave without a word leave no descriptor behind."""
    server = start()
    run.expect_served(run.connect(server))
    before = server.descriptors()
    for _ in range(50):
        run.connect(server, plain=True).close()
    run.expect_served(run.connect(server))
    gone = wait_until(lambda: server.descriptors() <= before + 1)
    but = f"it has {server.descriptors() - before - 1} more than before"
    check(
        gone,
        "the server to close the sockets of clients that have left",
        but,
        "close(2)",
        server=server,
    )


@task("1.1")
def test_resets_do_no_harm(run: Run, start):
    """A client that breaks its connection with a reset does not disturb the others."""
    server = start()
    other = run.connect(server)
    run.expect_served(other)
    for _ in range(20):
        rude = run.connect(server, plain=True)
        rude.send_bytes(b"x" * 100)
        rude.abort()
    run.expect_served(other)
    run.expect_served(run.connect(server))


@task("1.1")
@echo
def test_a_reset_while_its_echo_waits(run: Run, start):
    """A reset that finds a full queue does not end the server (SIGPIPE) or disturb the others."""
    server = start()
    other = run.connect(server)
    rude = run.connect(server, narrow=True)
    rude.send_until_stuck(b"y" * 65536, most=4 << 20)
    rude.abort()
    run.expect_served(other)


@task("1.1")
@echo
def test_an_end_and_then_a_reset(run: Run, start):
    """A client ends its stream, is owed bytes, and breaks off: the server gets no SIGPIPE, others are served."""
    server = start()
    other, rude = run.connect(server), run.connect(server, narrow=True)
    rude.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    rude.send_bytes(b"y" * 90_000, reading=False)
    rude.half_close()
    rude.wait_until_end_has_come()
    wait_until(server.asleep)
    rude.abort()
    run.expect_served(other)


@task("1.1")
@echo
def test_a_client_that_never_reads_stops_nobody(run: Run, start):
    """20 clients never read; 20 others are served meanwhile, and the server does not spin."""
    server = start()
    stuck = [run.connect(server, narrow=True) for _ in range(20)]
    send_until_stuck(stuck, b"z" * 65536, most=4 << 20)
    for number in range(20):
        run.expect_served(run.connect(server), f"client {number}")
    server.expect_idle(
        "all that it could do is wait for slow readers",
        "a socket is watched for EPOLLIN though nothing is read from it, or for EPOLLOUT without output.",
        wakeups=5,  # the kernel may still find room for a few bytes
    )


@task("1.1")
def test_idle_clients_cost_nothing(run: Run, start):
    """50 clients sit there in silence: the server sleeps, without a single wake-up."""
    server = start()
    for _ in range(50):
        run.expect_served(run.connect(server))
    server.expect_idle(
        "50 clients say nothing",
        "the loop wakes up though nothing happened: EPOLLOUT armed without output, or a timeout of epoll_wait.",
    )


@task("1.1")
@echo
def test_nc(start):
    """Several nc clients send lines at the same time; each prints its own echo."""
    host, port = (server := start()).address
    with tool(server, "nc", host, str(port)) as one, tool(server, "nc", host, str(port)) as two:
        one.type("from one\n")
        two.type("from two\n")
        two.expect("from two\n")
        one.expect("from one\n")
        one.type("again\n")
        one.expect("again\n")


@task("1.1")
@echo
def test_telnet(start):
    """A telnet client types a line and sees it again."""
    host, port = (server := start()).address
    with tool(server, "telnet", host, str(port)) as telnet:
        telnet.expect("Connected to")
        telnet.type("hello from telnet\n")
        telnet.expect("hello from telnet")


@task("1.1")
def test_ipv6(run: Run, start):
    """With --host ::1 the server listens on IPv6, and says so in brackets."""
    need_ipv6()
    server = start("--host", "::1")
    check(
        "://[::1]:" in server.stdout,
        "`://[::1]:PORT`",
        f"it printed {server.stdout!r}",
        server=server,
    )
    run.expect_served(run.connect(server))


@task("1.1")
def test_the_same_port_again_at_once(run: Run, start):
    """A server that has just ended can be started again on its port (SO_REUSEADDR)."""
    first = start()
    client = run.connect(first)
    run.expect_served(client)
    port = str(next(iter(first.addresses.values()))[1])
    first.stop()  # it closes first, so its socket stays in TIME_WAIT
    client.close()
    run.expect_served(run.connect(start("--port", port)))


# --- Task 1.1: the system calls ------------------------------------------------------------------


@task("1.1")
@echo
def test_system_calls(run: Run):
    """An echo costs an epoll_wait, a recv and a send, and little else; epoll_ctl is called a few times."""
    server, file = strace.traced(run)
    for _ in range(20):
        run.connect(server)  # idle clients
    client = run.connect(server)
    for number in range(200):
        client.send_bytes(b"%d\n" % number)
        client.expect_bytes(b"%d\n" % number)
    server.stop()
    counted = strace.names(strace.calls(file))
    reads = counted["read"] + counted["recvfrom"] + counted["recvmsg"] + counted["readv"]
    writes = counted["write"] + counted["sendto"] + counted["sendmsg"] + counted["writev"]
    waits = counted["epoll_wait"] + counted["epoll_pwait"]
    told = ", ".join(f"{name} {count}" for name, count in counted.most_common(12))
    for name, count, most in (
        ("epoll_wait", waits, 500),
        ("read or recv", reads, 500),
        ("write or send", writes, 250),
        ("epoll_ctl", counted["epoll_ctl"], 100),
        ("all calls", sum(counted.values()), 1500),
    ):
        check(
            count <= most,
            f"at most {most} × {name} for 200 echoes and 21 clients",
            f"there were {count} ({told})",
            "epoll(7)",
            cause="do not change what epoll watches for each message, and do not poll a socket that is not ready.",
            server=server,
        )
    blocking = {"poll", "select", "pselect6", "ppoll", "fork", "clone3", "clone"} & set(counted)
    check(
        not blocking,
        "one loop with epoll",
        f"it also called {', '.join(blocking)}",
        server=server,
    )


@task("1.1")
@pytest.mark.how
def test_accept4_and_nodelay(run: Run):
    """Sockets are non-blocking from birth (SOCK_NONBLOCK), and TCP_NODELAY is set on each accepted one."""
    server, file = strace.traced(run)
    for _ in range(3):
        client = run.connect(server)
        run.expect_served(client)
        client.close()
    server.stop()
    lines = file.read_text().splitlines()
    made = [line for line in lines if re.search(r"socket\(AF_INET6?, SOCK_STREAM", line)]
    accepted = [line for line in lines if re.search(r"accept4\(.* = \d+$", line)]
    nodelay = [line for line in lines if "TCP_NODELAY, [1]" in line]
    drawn = lines_of(made + accepted[:2])
    check(
        made and all("SOCK_NONBLOCK" in line for line in made + accepted),
        "SOCK_NONBLOCK in socket() and in accept4()",
        "it is missing",
        "accept4(2)",
        drawn=drawn,
        server=server,
    )
    check(
        len(accepted) == 3,
        "three clients accepted by accept4",
        f"{len(accepted)} were",
        drawn=drawn,
    )
    check(
        len(nodelay) >= 3,
        "TCP_NODELAY on each accepted socket",
        f"it was set {len(nodelay)} times",
        "tcp(7)",
    )


def lines_of(calls: list[str]) -> list[str]:
    return [line[:110] for line in calls]


@task("1.1")
def test_descriptors_do_not_block(run: Run, start):
    """Every socket that the server holds is in non-blocking mode, as /proc/PID/fdinfo tells."""
    server = start()
    for _ in range(3):
        run.expect_served(run.connect(server))
    base = Path(f"/proc/{server.pid}")
    sockets = [
        fd for fd in os.listdir(base / "fd") if os.readlink(base / "fd" / fd).startswith("socket:")
    ]
    for fd in sockets:
        flags = int(re.search(r"flags:\s+(\d+)", (base / "fdinfo" / fd).read_text()).group(1), 8)
        check(
            flags & os.O_NONBLOCK,
            f"O_NONBLOCK on descriptor {fd}",
            "it is a blocking socket: one slow client would stop all others",
            "fcntl(2)",
            server=server,
        )


# --- the contract of every server ------------------------------------------------------------------


@task("1.1")
def test_help(target: Target):
    """--help prints the flags on stdout and exits 0."""
    result = run_to_end(target, "--help", exact=True)
    check(result.status == 0 and not result.stderr, "exit 0 and no stderr", told(result))
    for flag in ("--host", "--port", "-v"):
        check(flag in result.stdout, f"{flag} in the help", told(result))


@task("1.1")
@pytest.mark.parametrize(
    "flags",
    [
        ["--nonsense"],
        ["--port"],
        ["--port", "banana"],
        ["--port", "65536"],
        ["--port", "-1"],
        ["--port", "80x"],
        ["--port", ""],
        ["--host"],
        ["banana"],
    ],
    ids=" ".join,
)
def test_a_wrong_flag(target: Target, flags: list[str]):
    """A wrong flag: one line on stderr that names it, and exit status 2."""
    result = run_to_end(target, *flags, exact=True)
    expect_one_line(result, 2, flags[0])


def numbers_of(target: Target) -> dict[str, str]:
    """The flags that take a number, and what they count: --help tells."""
    text = run_to_end(target, "--help", exact=True).stdout
    flags = dict(re.findall(r"^  (--[\w-]+) (\S+)  ", text, re.M))
    unknown = {flag: what for flag, what in flags.items() if what not in NUMBERS | TEXTS}
    check(not unknown, "flags of a kind that is tried here", f"{unknown} are not")
    return {flag: what for flag, what in flags.items() if what in NUMBERS}


NUMBERS = {"PORT", "BYTES", "N", "SECONDS"}
TEXTS = {"ADDR", "FILE", "ORIGIN", "pause|drop"}
MOST = {"BYTES": str(2**63 - 1), "N": str(2**63 - 1), "SECONDS": "1e9"}
LEAST = {"BYTES": "1", "N": "1", "SECONDS": "0"}


@task("1.1")
@pytest.mark.how
def test_numbers_that_are_none(target: Target):
    """Every flag that takes a number: what is none is refused in one line that names it, with exit status 2."""
    for flag in numbers_of(target):
        for words in ([flag, "5x"], [f"{flag}="], [flag, "1", flag, "1\n2"]):
            expect_one_line(run_to_end(target, *words, exact=True), 2, f"{flag} takes ")


@task("1.1")
@pytest.mark.how
@pytest.mark.parametrize("end", [MOST, LEAST], ids=["most", "least"])
def test_numbers_at_their_ends(run: Run, target: Target, start, end: dict[str, str]):
    """With every number as large, or as small, as a flag takes it: clients are served, and then it sleeps."""
    numbers = numbers_of(target)
    flags = [word for flag, what in numbers.items() if what in end for word in (flag, end[what])]
    server = start(*flags)
    for _ in range(3):
        client = run.connect(server)
        run.expect_served(client, "x")
        server.expect_idle("nothing is due", "a time has overflowed, or was cut short.")
        client.close()


@task("1.1")
@pytest.mark.how
def test_the_last_port(target: Target, start):
    """--port 65535 is a port like any other."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 65535))
        except OSError as error:
            pytest.skip(f"port 65535: {error}")
    start("--port", "65535")


@task("1.1")
def test_port_in_use(target: Target, start):
    """A port that is taken: `phaseN: cannot listen on ADDRESS:PORT: Address already in use`, exit 1."""
    taken = next(iter(start().addresses.values()))[1]
    result = run_to_end(target, "--port", str(taken))
    said = f"phase{target.phase}: cannot listen on 127.0.0.1:{taken}: Address already in use"
    expect_one_line(result, 1, said)


@task("1.1")
def test_an_address_that_is_not_ours(target: Target):
    """An address of another machine: exit 1, and one line that names it and the reason."""
    result = run_to_end(target, "--host", "192.0.2.1", "--port", "8080")
    said = f"phase{target.phase}: cannot listen on 192.0.2.1:8080: Cannot assign requested address"
    expect_one_line(result, 1, said)


@task("1.1")
def test_a_privileged_port(target: Target):
    """A port below 1024 without the right to it: exit 1, `cannot listen on 127.0.0.1:80: Permission denied`."""
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 80:
        pytest.skip("on this machine anybody may listen on port 80")
    result = run_to_end(target, "--port", "80", preexec_fn=drop_bind_right)
    expect_one_line(
        result,
        1,
        f"phase{target.phase}: cannot listen on 127.0.0.1:80: Permission denied",
    )


def drop_bind_right() -> None:
    CAP_NET_BIND_SERVICE = 10
    drop_right(CAP_NET_BIND_SERVICE)


def drop_right(capability: int) -> None:
    PR_CAPBSET_DROP = 24
    CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


@task("1.1")
@pytest.mark.parametrize("host", ["banana.invalid", "999.1.1.1", "1:2:3"])
def test_no_address(target: Target, host: str):
    """What is no address at all: exit 1 or 2, and one line that names it."""
    result = run_to_end(target, "--host", host)
    check(result.status in (1, 2), "exit status 1 or 2", told(result))
    expect_one_line(result, result.status, host)


@task("1.1")
def test_verbose(run: Run, start):
    """-v logs connections to stderr, a line an event, each with the peer's address."""
    server = start("-v")
    client = run.connect(server)
    name = client.local_address
    run.expect_served(client)
    client.close()

    def lines() -> list[str]:
        return [line for line in server.stderr().splitlines() if name in line]

    logged = wait_until(lambda: len(lines()) >= 2)
    check(
        logged,
        f"a line with {name} when it came and one when it went",
        f"there are {lines()}",
        server=server,
    )


@task("1.1")
def test_quiet(run: Run, start):
    """Without -v nothing is logged."""
    server = start()
    before = server.descriptors()
    client = run.connect(server)
    run.expect_served(client)
    client.close()
    wait_until(lambda: server.descriptors() <= before)
    said = server.stderr()
    check(
        not said,
        "nothing on stderr without -v",
        f"it says {said[:200]!r}",
        server=server,
    )


def fill_device(fd: int) -> None:
    """A pipe or a terminal: write to it, through a description of its own, until it takes no more."""
    own = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    room = select.poll()
    room.register(own, select.POLLOUT)
    while room.poll(50):  # what a terminal was given, the kernel moves on in the background
        for size in (4096, 1):
            with suppress(BlockingIOError):
                while True:
                    os.write(own, bytes(size))
    os.close(own)


@contextmanager
def full_pipe() -> Iterator[int]:
    reader, writer = os.pipe()
    fill_device(writer)
    yield writer
    os.close(reader)
    os.close(writer)


@contextmanager
def pipe_without_reader() -> Iterator[int]:
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@contextmanager
def full_terminal() -> Iterator[int]:
    screen, terminal = os.openpty()
    fill_device(terminal)
    yield terminal
    os.close(screen)
    os.close(terminal)


@contextmanager
def stopped_terminal() -> Iterator[int]:
    screen, terminal = os.openpty()
    termios.tcflow(terminal, termios.TCOOFF)  # as Ctrl-S does
    yield terminal
    os.close(screen)
    os.close(terminal)


@contextmanager
def full_socket() -> Iterator[int]:
    reader, writer = socket.socketpair()
    with reader, writer:
        for size in (1024, 1):
            with suppress(BlockingIOError):
                while True:
                    writer.send(bytes(size), socket.MSG_DONTWAIT)
        yield writer.fileno()


@contextmanager
def full_disk() -> Iterator[int]:
    with open("/dev/full", "wb") as file:
        yield file.fileno()


LOGS = [full_pipe, pipe_without_reader, full_terminal, stopped_terminal, full_socket, full_disk]


@task("1.1")
@pytest.mark.how
@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.__name__)
def test_a_log_that_takes_nothing(run: Run, start, log):
    """-v, and a stderr that nobody reads: clients are served, and SIGTERM ends it with 0."""
    with log() as stderr:
        server = start("-v", stderr=stderr)
        for _ in range(3):
            client = run.connect(server)
            run.expect_served(client)
            client.close()
        server.stop()


def told(result: Result) -> str:
    how = "it still ran after 10 s" if result.status is None else f"exit status {result.status}"
    return f"{how}, stdout {result.stdout[:300]!r}, stderr {result.stderr[:300]!r}"


def expect_one_line(result: Result, status: int, part: str) -> None:
    check(result.status == status, f"exit status {status}", told(result))
    lines = result.stderr.splitlines()
    check(
        len(lines) == 1 and part in lines[0],
        f"one line on stderr with {part!r}",
        told(result),
    )


# --- Task 1.2: signals -------------------------------------------------------------------------------


@task("1.2")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_it(run: Run, start, number: signal.Signals):
    """SIGINT and SIGTERM: the server exits with 0, with clients connected or not."""
    for clients in (0, 3):
        server = start()
        connected = [run.connect(server) for _ in range(clients)]
        for client in connected:
            run.expect_served(client)
        server.signal(number)
        status = server.wait()
        check(
            status == 0,
            f"exit status 0 after {number.name} with {clients} clients",
            server.ending(),
            "signalfd(2)",
            cause="the signal must be blocked (sigprocmask), or its default action ends the process before signalfd sees it."
            if status == -number
            else None,
            server=server,
        )
        server.stopped = True


@task("1.2")
def test_a_signal_closes_the_listener(run: Run, start):
    """After SIGTERM nobody is accepted any more, and the connections end."""
    server = start()
    client = run.connect(server)
    run.expect_served(client)
    address = next(iter(server.addresses.values()))
    server.signal(signal.SIGTERM)
    if run.target.phase >= 4:
        client.expect_close(1001, "RFC 6455 §7.4.1")
        client.send_close(1001)
    client.expect_eof()
    check(
        server.wait() == 0,
        "exit status 0 after SIGTERM",
        server.ending(),
        server=server,
    )
    with socket.socket() as late:
        refused = late.connect_ex(address) != 0
    check(refused, "new connections to be refused", "one was accepted", server=server)
    server.stopped = True


@task("1.2")
def test_a_signal_while_a_client_is_stuck(run: Run, start):
    """A client that does not read cannot keep the server from ending."""
    server = start()
    client = run.connect(server, narrow=True, plain=True)
    if run.target.phase == 1:
        client.send_until_stuck(b"w" * 65536, most=4 << 20)
    server.signal(signal.SIGTERM)
    check(
        server.wait() == 0,
        "exit status 0 after SIGTERM",
        server.ending(),
        server=server,
    )
    server.stopped = True


@task("1.2")
def test_the_terminal_is_closed(start):
    """A server in a terminal that is closed (SIGHUP) does not stay behind: it ends, and its port is free."""
    screen, terminal = os.openpty()
    server = start(under=["setsid", "--ctty"], stdin=terminal, stderr=terminal)
    os.close(terminal)
    os.close(screen)
    status = server.wait()
    check(
        status in (0, -signal.SIGHUP),
        "the server to end with its terminal",
        server.ending(),
        "signal(7): SIGHUP",
        server=server,
    )
    server.stopped = True


@task("1.2")
@pytest.mark.how
def test_nohup(run: Run, start):
    """nohup(1): a server that was told so outlives its terminal."""
    server = start(under=["nohup"])
    server.signal(signal.SIGHUP)
    run.expect_served(run.connect(server))


@task("1.2")
@pytest.mark.how
def test_signalfd(start):
    """The signals come in by a signalfd: /proc/PID/fd has one, with SIGINT and SIGTERM in its mask."""
    server = start()
    base = Path(f"/proc/{server.pid}")
    found = [
        fd
        for fd in os.listdir(base / "fd")
        if os.readlink(base / "fd" / fd) == "anon_inode:[signalfd]"
    ]
    check(
        found,
        "a signalfd among the server's descriptors",
        "there is none",
        "signalfd(2)",
        server=server,
    )
    masks = [
        re.search(r"sigmask:\s+(\w+)", (base / "fdinfo" / fd).read_text()).group(1) for fd in found
    ]
    wanted = 1 << signal.SIGINT - 1 | 1 << signal.SIGTERM - 1
    seen = 0
    for mask in masks:
        seen |= int(mask, 16)
    check(
        seen & wanted == wanted,
        "SIGINT and SIGTERM in its mask",
        f"the mask is {masks}",
        server=server,
    )


# --- Task 1.3: no descriptor left ------------------------------------------------------------------


@pytest.fixture
def crowded(run: Run):
    """A server that has room for 8 clients, those 8, and 5 who wait."""
    server = run.start()
    empty = server.descriptors()
    # One comes and goes first: what is looked up once (UBSan does, through a pipe) has its descriptors.
    first = run.connect(server, plain=True)
    run.expect_served(first)
    first.close()
    wait_until(lambda: server.descriptors() <= empty)
    server.limit_descriptors(server.descriptors() + 8)
    served = [run.connect(server, plain=True) for _ in range(8)]
    for client in served:
        run.expect_served(client)
    waiting = [run.connect(server, plain=True) for _ in range(5)]
    return server, served, waiting


@task("1.3")
def test_full_house_serves_its_guests(run: Run, crowded):
    """With no descriptor left (EMFILE), those who are in are still served."""
    server, served, _ = crowded
    for client in served:
        run.expect_served(client)
    check(
        server.running(),
        "the server to live on",
        server.ending(),
        "accept(2)",
        server=server,
    )


@task("1.3")
def test_full_house_does_not_spin(crowded):
    """With no descriptor left, the server looks away from the listener: it does not spin."""
    crowded[0].expect_idle(
        "clients wait that it cannot accept",
        "accept4 fails with EMFILE and the listener stays readable: epoll_wait returns at once, for ever. Stop watching it for a while.",
        wakeups=3,
    )


@task("1.3")
def test_full_house_lets_the_next_ones_in(run: Run, crowded):
    """When guests leave, those who waited are accepted and served."""
    _, served, waiting = crowded
    for client in served[:5]:
        client.close()
    for client in waiting:
        run.expect_served(client)


@task("1.3")
def test_full_house_again_and_again(run: Run, crowded):
    """Full and not full, over and over: everybody is served in the end."""
    server, served, waiting = crowded
    inside: list[Client] = served
    for _ in range(5):
        for client in inside[:5]:
            client.close()
        for client in waiting:
            run.expect_served(client)
        inside = inside[5:] + waiting
        waiting = [run.connect(server, plain=True) for _ in range(5)]


REFUSALS = 200  # calls of accept4 that fail, in half a second, and are no busy loop


@task("1.3")
@pytest.mark.parametrize("error", ["EPERM", "EACCES", "ENOSYS", "EPROTO"])
def test_accept_that_keeps_failing(run: Run, error: str):
    """accept4 fails for whatever reason, again and again: no busy loop, a line on stderr, and SIGTERM."""
    if reason := strace.forbidden():
        pytest.skip(f"nothing can be traced here: {reason}")
    server, file = strace.traced(run, inject=f"accept,accept4:error={error}:when=2+")
    first, waiting = (run.connect(server, plain=True) for _ in range(2))
    server.watch(0.5)
    called = strace.names(strace.calls(file))
    tried = called["accept4"] + called["accept"]
    check(
        tried <= REFUSALS,
        f"at most {REFUSALS} calls of accept4 in half a second in which it fails with {error}",
        f"there were {tried}",
        "accept(2)",
        cause="a client that cannot be accepted stays in the queue, and the listener readable: look away "
        "from it for a while, whatever the error is.",
        server=server,
    )
    run.expect_served(first)
    lines = server.stderr().splitlines()
    check(
        0 < len(lines) <= 10,
        f"a line on stderr that says why nobody is let in ({error}), and not one for each try",
        f"there are {len(lines)}",
        server=server,
    )
    waiting.close()
    server.stop()


@task("1.1")
def test_stop_and_continue(run: Run, start):
    """A server that is stopped and continued (Ctrl-Z, fg) goes on: EINTR is no failure (signal(7))."""
    server = start()
    client = run.connect(server)
    run.expect_served(client)
    status = Path(f"/proc/{server.pid}/status")
    for _ in range(3):
        server.signal(signal.SIGSTOP)
        wait_until(lambda: "T (stopped)" in status.read_text())
        server.signal(signal.SIGCONT)
        wait_until(lambda: server.asleep() or not server.running())
        check(
            server.running(),
            "the server to go on after SIGSTOP and SIGCONT",
            server.ending(),
            "signal(7)",
            cause="EINTR from epoll_wait is no failure: wait again.",
            server=server,
        )
    run.expect_served(client)
