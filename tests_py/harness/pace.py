"""Slow peers: several clients that each do a little every few milliseconds, and what comes of it."""

from __future__ import annotations

import select
import time
from typing import Callable

from harness.client import Client
from harness.deadlines import Deadline, scaled
from harness.failures import check
from harness.frames import CLOSE, PING, PONG, Frame
from harness.server import Server

SLACK = 1.0  # seconds that a deadline may be late, before scaling


def span(seconds: float) -> str:
    """A time as a flag's value, stretched like all deadlines."""
    return f"{scaled(seconds):.3f}"


def expect_took(began: float, timeout: float, what: str, *, client: Client, rule: str = "") -> None:
    """From `began` to now it took the timeout, not less and not much more."""
    took, least = time.monotonic() - began, scaled(timeout)
    told = f"it came after {took:.2f} s"
    check(
        took > 0.95 * least,
        f"{what} not before {least:.2f} s are over",
        told,
        rule,
        client=client,
    )
    check(
        took < least + scaled(SLACK),
        f"{what} after {least:.2f} s",
        told,
        rule,
        cause="the deadline was put off: by the bytes that came meanwhile?",
        client=client,
    )


def over(client: Client) -> bool:
    """The server has ended it, cleanly or not; takes in what is there."""
    client.read_more(Deadline(0))
    return client.ended or client.reset


def pace(steps: dict[Client, Callable[[], None]], seconds: float, every=0.04) -> None:
    """Each client takes its step again and again, until all are over, or the time is."""
    deadline = Deadline(seconds)
    while not deadline.over():
        left = [client for client in steps if not over(client)]
        if not left:
            return
        for client in left:
            steps[client]()
        poll = select.poll()
        for client in left:
            poll.register(client.sock, select.POLLHUP)
        poll.poll(int(scaled(every) * 1000))


def skip_control(client: Client, expected: str, rule: str = "") -> Frame:
    """The next frame that is neither a PING nor a PONG."""
    while (frame := client.next_frame(expected, rule)).opcode in (PING, PONG):
        pass
    return frame


def expect_cut(client: Client, codes: tuple[int, ...], what: str, rule: str) -> None:
    """After PINGs and PONGs perhaps, a CLOSE with one of these codes, and the end."""
    words = f"a CLOSE with code {' or '.join(map(str, codes))}: {what}"
    frame = skip_control(client, words, rule)
    code = int.from_bytes(frame.payload[:2], "big")
    if frame.opcode != CLOSE or code not in codes:
        client.fail(words, f"opcode {frame.opcode:#x} came, code {code}", rule)
    client.expect_eof(rule, late="after the CLOSE the server ends its direction at once.")


def expect_silence(client: Client, seconds: float, why: str, rule: str = "") -> None:
    """For a while nothing comes, and the connection stays."""
    came = client.read_more(Deadline(seconds))
    what = f"{len(client.inbox)} bytes came" if came else "the connection ended"
    check(
        not came and not client.ended and not client.reset,
        f"nothing for {scaled(seconds):.2f} s: {why}",
        what,
        rule,
        client=client,
    )


def expect_given_up(
    server: Server, descriptors: int, timeout: float, what: str, rule: str = ""
) -> None:
    """The server closes sockets until it has no more than so many descriptors, when the timeout is over."""
    began, least = time.monotonic(), scaled(timeout)
    deadline = Deadline(timeout + SLACK)
    while server.descriptors() > descriptors and not deadline.over():
        select.select([], [], [], 0.005)
    took, left = time.monotonic() - began, server.descriptors() - descriptors
    check(
        left <= 0,
        f"{what} after {least:.2f} s",
        f"{left} sockets are still open after {took:.2f} s",
        rule,
        server=server,
    )


def fill(
    client: Client,
    data: bytes,
    between: Callable[[], object] | None = None,
    most: int = 64 << 20,
    piece: int = 65536,
) -> int:
    """Send `data` over and over without reading until the server, asleep, takes no more; how much went.

    It goes in pieces of so many bytes, with a call of `between` before each.

    Quicker to say so than send_until_stuck, so that a deadline may run meanwhile.
    """
    poll = select.poll()
    poll.register(client.sock, select.POLLOUT)
    sent, deadline, stuck = 0, Deadline(20), Deadline(1)
    while not deadline.over() and not stuck.over():
        if between:
            between()
        at = sent % len(data)
        count = client.try_stuck_send(data[at : at + piece])
        sent += count
        if count:
            stuck = Deadline(1)  # a server that spins is never asleep
        check(
            sent < most,
            "a client that does not read to be stopped",
            f"all of {sent >> 20} MiB were taken",
            "the contract: Backpressure",
            cause="it must not read on while its answers wait. Or has it given the connection up over a full "
            "socket? EAGAIN and WANT_WRITE are no errors: keep the rest, and wait for EPOLLOUT.",
            client=client,
        )
        writable = count or poll.poll(int(scaled(0.04) * 1000))
        if not writable and client.server.asleep():
            break
    client._step(f"sent {sent} bytes without reading, until no more were taken")
    return sent


def read_slowly(client: Client, seconds: float) -> None:
    """Take in a few kilobytes every few milliseconds, and at least that much each time if it comes."""
    deadline = Deadline(seconds)
    while not deadline.over() and not client.ended and not client.reset:
        wanted = len(client.inbox) + 16384
        soon = Deadline(0.05)
        while len(client.inbox) < wanted and client.read_more(soon):
            pass
        time.sleep(scaled(0.005))
