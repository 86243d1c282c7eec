"""Items 1, 2, 3 and 8 of the checklist: what the server asks of the kernel."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

from tools.ink import plural
from tools.live import Client, Session
from tools.review_parts import (
    Check,
    Fault,
    Flood,
    Help,
    Subject,
    Unmeasured,
    exchange,
    listening_inodes,
)
from tools.syscalls import Call
from harness.deadlines import wait_until
from harness.failures import CheckFailed

# --- 1: non-blocking --------------------------------------------------------------------------------


def _flags(pid: int, fd: str) -> int:
    text = Path(f"/proc/{pid}/fdinfo/{fd}").read_text()
    found = re.search(r"^flags:\s+(\d+)", text, re.M)
    return int(found.group(1), 8) if found else 0


def non_blocking(subject: Subject) -> str:
    with subject.start() as session:
        for tls in subject.ports:
            for _ in range(3):
                exchange(session.connect(tls=tls), subject.phase, "hello")
        pid = session.server.pid
        listening, others = listening_inodes(session.server)
        kinds: dict[str, list[tuple[str, bool]]] = {"listener": [], "accepted socket": []}
        for fd in os.listdir(f"/proc/{pid}/fd"):
            inode = re.match(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{fd}"))
            if inode and inode.group(1) in listening | others:
                kind = "listener" if inode.group(1) in listening else "accepted socket"
                kinds[kind].append((fd, bool(_flags(pid, fd) & os.O_NONBLOCK)))
    for kind, found in kinds.items():
        if blocking := [fd for fd, set_ in found if not set_]:
            measured = f"{plural(len(blocking), kind)} without O_NONBLOCK: descriptor {', '.join(blocking)}"
            raise Fault(f"{measured} (/proc/PID/fdinfo)", _BLOCKS[kind])
    told = " and ".join(plural(len(found), kind) for kind, found in kinds.items())
    return f"{told} carry O_NONBLOCK (/proc/PID/fdinfo)"


_BLOCKS = {
    "listener": "a client that is gone again before accept4 makes accept4 wait for the next one, and everybody with it",
    "accepted socket": "recv or send on a blocking socket waits, and while it does nobody else is served",
}


# --- 2: EAGAIN and EINTR ----------------------------------------------------------------------------


def _when(subject: Subject, names: set[str], error: str, step: int = 3) -> list[str]:
    """Rules for strace: some of the calls after start-up fail, the first of each kind not among them."""
    rules = []
    for name in sorted(names):
        first = subject.profile.startup.get(name, 0) + 2
        rules.append(f"{name}:error={error}:when={first}..{first + 80}+{step}")
    return rules


def _converse(session: Session, subject: Subject) -> None:
    for _ in range(3):
        clients = [session.connect(tls=tls) for tls in subject.ports for _ in range(2)]
        for turn in range(4):
            for client in clients:
                exchange(client, subject.phase, f"turn {turn}")


def _why(failure: CheckFailed, session: Session, error: str, call: Call | None) -> Fault:
    """What became of the connection tells how the error was taken."""
    name = call.name if call else "a call"
    client = failure.client
    if not session.server.running():
        cause = f"{name} failed with {error}, and that ended the whole server"
    elif client and (client.ended or client.reset):
        cause = (
            f"{name} failed with {error}, and the connection was closed: it was taken for an error"
        )
    elif error == "EAGAIN" and call and call.is_write:
        cause = f"{name} said EAGAIN and the bytes were dropped, or EPOLLOUT was not asked for"
    else:
        cause = f"{name} failed with {error}, and the server did not come back to it"
    words = session.server.last_words()
    drawn = [call.text[:100]] if call else []
    drawn += [line for line in words if line.startswith("stderr:")][-2:]
    return Fault(f"expected {failure.expected}, but {failure.but}", cause, drawn)


def _injected(subject: Subject, rules: list[str], error: str) -> str:
    """Talk to a server whose calls fail now and then; how often they did."""
    with subject.start(traced=True, inject=rules) as session:
        session.quiet()
        failure = None
        try:
            _converse(session, subject)
        except CheckFailed as found:
            failure = found
        rested = session.quiet(0.06, 0.6)
        hits = [call for call in session.calls() if call.injected]
        if failure and session.server.todo():
            raise failure
        if failure:
            raise _why(failure, session, error, hits[-1] if hits else None)
        if not rested:
            cause = "after an EAGAIN EPOLLOUT was armed, and never disarmed"
            raise Fault("the server does not come to rest when all is sent", cause)
    if not hits:
        raise Unmeasured(f"strace injected no {error}: the server makes too few such calls")
    counted = Counter(call.name for call in hits)
    return ", ".join(f"{name} × {count}" for name, count in counted.most_common())


def eagain_on_reads(subject: Subject) -> str:
    profile = subject.profile
    if profile.edge_triggered:
        raise Unmeasured("EPOLLET: with edges, an EAGAIN that is not true loses the event")
    told = _injected(
        subject, _when(subject, profile.reads | {"recvfrom", "recvmsg"}, "EAGAIN"), "EAGAIN"
    )
    return f"injected {told}: every answer came all the same"


def eagain_on_writes(subject: Subject) -> str:
    profile = subject.profile
    if profile.edge_triggered:
        raise Unmeasured("EPOLLET: with edges, an EAGAIN that is not true loses the event")
    told = _injected(
        subject, _when(subject, profile.writes | {"sendto", "sendmsg"}, "EAGAIN"), "EAGAIN"
    )
    return f"injected {told}: every answer came when EPOLLOUT did, and EPOLLOUT was disarmed"


def interrupted(subject: Subject) -> str:
    profile = subject.profile
    rules = _when(subject, profile.reads | profile.writes | profile.waits, "EINTR", 4)
    rules += _when(subject, profile.accepts, "EINTR", 2)
    told = _injected(subject, rules, "EINTR")
    return f"injected {told}: every answer came all the same"


# --- 3: events ----------------------------------------------------------------------------------------


def _stuck_client(session: Session, subject: Subject, flood: Flood) -> tuple[Client, int]:
    client = session.connect(narrow=True)
    if subject.phase > 2:
        client.handshake()
    return client, session.fill(client, flood.sent)


def epollout(subject: Subject) -> str:
    """On a plain run, by /proc: a busy loop shows without strace."""
    flood = Flood(subject.phase)
    with subject.start(*subject.small_queue()) as session:
        client, sent = _stuck_client(session, subject, flood)
        _expect_rest(session, 5, "while a client does not read", _SPINS_STUCK)
        client.expect_bytes(flood.expected(sent), seconds=8)
        _expect_rest(session, 0, "after a stuck client has read everything", _SPINS_DRAINED)
    return f"asleep while {sent:,} bytes were stuck, and asleep when they had drained"


_SPINS_STUCK = (
    "epoll_wait returns at once, again and again: EPOLLIN is still asked for while nothing is read, "
    "or send is tried without waiting for EPOLLOUT"
)
_SPINS_DRAINED = "EPOLLOUT was never disarmed: a socket with room is always writable, so epoll_wait returns at once"


def _expect_rest(session: Session, wakeups: int, when: str, cause: str) -> None:
    woken, share = session.server.watch(0.25)
    if woken > wakeups or share > 0.1:
        raise Fault(f"{when}: {plural(woken, 'wake-up')} in 0.25 s, {share:.0%} of a CPU", cause)


def changes_per_message(subject: Subject) -> str:
    """epoll_ctl, in a conversation that changes nothing."""
    profile = subject.profile
    changes = [call for call in profile.steady if call.name == "epoll_ctl"]
    per = len(changes) / profile.messages
    measured = f"{plural(len(changes), 'epoll_ctl')} for {profile.messages} messages"
    if per > 0.2:
        cause = "epoll is told anew what it knows: call epoll_ctl only when the wanted events have changed"
        raise Fault(measured, cause, [call.text[:100] for call in changes[:2]])
    return measured


# --- 8: what strace says ------------------------------------------------------------------------------


def calls_per_message(subject: Subject) -> str:
    profile = subject.profile
    counted = Counter(call.name for call in profile.steady)
    per = sum(counted.values()) / profile.messages
    told = ", ".join(
        f"{name} {count / profile.messages:.1f}" for name, count in counted.most_common(5)
    )
    least = "2: wait, read" if subject.phase == 2 else "3: wait, read, write"
    if per > 6.5:
        cause = f"{least} are enough: a loop that asks again after each answer, or a socket polled though it is not ready"
        raise Fault(f"{per:.1f} calls a message ({told})", cause)
    return f"{per:.1f} calls a message ({told}); the least is {least}"


def idle(subject: Subject) -> str:
    with subject.start() as session:
        for tls in subject.ports:
            for _ in range(20):
                exchange(session.connect(tls=tls), subject.phase, "hello")
        wait_until(lambda: session.quiet(0.02, 0.1), 1)
        woken, share = session.server.watch(0.4)
    count = 20 * len(subject.ports)
    measured = f"{count} silent clients: {plural(woken, 'wake-up')} in 0.4 s, {share:.1%} of a CPU"
    if woken > 2 or share > 0.05:
        cause = "EPOLLOUT is armed though nothing waits to be sent, or epoll_wait has a timeout that it does not need"
        raise Fault(measured, cause)
    return measured


def leaked(subject: Subject) -> str:
    with subject.start() as session:
        client = session.connect()
        exchange(client, subject.phase, "the first")
        before = session.server.descriptors() - 1
        client.close()
        for tls in subject.ports:
            for number in range(60):
                _come_and_go(session.connect(tls=tls), subject.phase, number)
        last = session.connect()
        exchange(last, subject.phase, "the last")
        last.close()
        wait_until(lambda: session.server.descriptors() <= before, 4)
        left = session.server.descriptors() - before
    count = 60 * len(subject.ports)
    measured = f"{count} clients came and went, a third of them by reset: {plural(left, 'descriptor')} more than before"
    if left > 0:
        cause = "a descriptor is not closed where its connection ends: at recv() = 0, at an error (ECONNRESET), or on EPOLLHUP"
        raise Fault(measured, cause)
    return measured.replace("0 descriptors more", "no descriptor more")


def _come_and_go(client: Client, phase: int, number: int) -> None:
    if number % 3:
        exchange(client, phase, f"client {number}")
    if number % 3 == 1:
        client.abort()
    else:
        client.close()


# --- the checks -----------------------------------------------------------------------------------------

_READ = Help("what follows recv() = -1", "connection.cpp: on_readable", "1.1")
_WRITE = Help(
    "what follows send() = -1", "connection.cpp: on_writable", {1: "1.1", 3: "3.2", 5: "5.2"}
)
_EVENTS = Help(
    "where the wanted events are told to epoll",
    "connection.cpp: interest; poller.cpp: watch",
    {1: "1.1", 3: "3.2", 5: "5.2"},
)
_ENDS = Help("every place where a connection ends", "server.cpp: erase_ended", "1.1")
NO_QUEUE = "phase 2 sends too little to fill a socket; see EAGAIN above"

CHECKS = [
    Check(
        1,
        "O_NONBLOCK",
        non_blocking,
        Help(
            "accept4(…, SOCK_NONBLOCK), or fcntl after it",
            "server.cpp: accept_clients; listener.cpp",
            "1.1",
        ),
    ),
    Check(2, "EAGAIN on reads", eagain_on_reads, _READ),
    Check(2, "EAGAIN on writes", eagain_on_writes, _WRITE),
    Check(
        2,
        "EINTR",
        interrupted,
        Help(
            "each call that can be interrupted: is EINTR tried again?",
            "common/error.hpp: is_transient; poller.cpp: wait",
            "1.1",
        ),
    ),
    Check(3, "EPOLLOUT", epollout, _EVENTS, comes=NO_QUEUE, phases=(1, 3, 4, 5)),
    Check(3, "epoll_ctl", changes_per_message, _EVENTS),
    Check(8, "calls a message", calls_per_message, Help("the loop", "server.cpp: run", "1.1")),
    Check(
        8,
        "idle",
        idle,
        Help(
            "what epoll is asked for, and its timeout",
            "server.cpp: run, timeout_ms",
            {1: "1.1", 5: "5.1"},
        ),
    ),
    Check(8, "descriptors", leaked, _ENDS),
]
