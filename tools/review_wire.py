"""Items 4, 5, 6 and 7 of the checklist: what becomes of the bytes."""

from __future__ import annotations

import os
import random

from tools.ink import plural
from tools.live import Client, LibsslClient, Session
from tools.review_calls import NO_QUEUE
from tools.review_parts import ZEROS, Check, Fault, Flood, Help, Subject
from harness import frames, http
from harness.deadlines import Deadline
from harness.frames import BINARY, CONTINUATION, PING, PONG, TEXT


# --- 4: unmasking -------------------------------------------------------------------------------------


def masks(subject: Subject) -> str:
    """Different keys, several lengths; and the key anew with each frame."""
    keys = [frames.MASK, bytes([255] * 4), bytes([1, 2, 3, 4]), bytes([0, 0, 0, 255])]
    keys += [random.Random(7).randbytes(4) for _ in range(8)]
    with subject.start() as session:
        client = session.connect().handshake()
        for number, key in enumerate(keys):
            payload = bytes(range(65, 66 + number % 11))
            client.send_frame(BINARY, payload, mask=key)
            client.expect_frame(BINARY, payload)
    return f"{len(keys)} masking keys, payloads of 1 to 11 bytes: each came back unmasked"


def masks_in_pieces(subject: Subject) -> str:
    payload = b"the mask goes on"
    raw = frames.encode(BINARY, payload)
    with subject.start() as session:
        client = session.connect().handshake()
        for cut in range(1, len(raw)):
            client.send_frames(raw, [cut])
            client.expect_frame(BINARY, payload)
        client.send_frames(raw, range(1, len(raw)))
        client.expect_frame(BINARY, payload)
    return f"a frame cut at each of {len(raw) - 1} places, and byte by byte: the mask went on where it was"


# --- 5: partial reads and writes ------------------------------------------------------------------------


def partial_reads(subject: Subject) -> str:
    with subject.start() as session:
        if subject.phase == 1:
            return _lines_in_pieces(session)
        if subject.phase == 2:
            return _heads_in_pieces(session)
        return _frames_in_pieces(session, subject.phase)


def _lines_in_pieces(session: Session) -> str:
    client = session.connect()
    line = b"one line, in pieces\n"
    for cut in range(1, len(line)):
        client.send_bytes(line, [cut])
        client.expect_bytes(line)
    return f"a line cut at each of {len(line) - 1} places came back whole"


def _heads_in_pieces(session: Session) -> str:
    head = http.request()
    ends = {
        at + offset
        for at in range(len(head))
        if head[at : at + 1] == b"\n"
        for offset in (-1, 0, 1)
    }
    cuts = sorted(cut for cut in {*ends, *range(1, len(head), 9)} if 0 < cut < len(head))
    for cut in cuts:
        client = session.connect()
        client.send_request(head, [cut])
        client.expect_upgrade()
        client.close()
    client = session.connect()
    client.send_request(head, range(1, len(head)))
    client.expect_upgrade()
    return f"a head cut at {len(cuts)} places, and byte by byte: 101 each time"


def _frames_in_pieces(session: Session, phase: int) -> str:
    client = session.connect().handshake()
    sizes = [5] if phase == 3 else [5, 300]
    count = 0
    for size in sizes:
        payload = bytes(65 + n % 26 for n in range(size))
        raw = frames.encode(BINARY, payload, mask=ZEROS)
        for cut in range(1, min(len(raw), 12)):
            client.send_frames(raw, [cut])
            client.expect_frame(BINARY, payload)
            count += 1
    several = [b"one", b"two", b"three"]
    client.send_frames(b"".join(frames.encode(TEXT, word, mask=ZEROS) for word in several))
    for word in several:
        client.expect_text(word.decode())
    other = session.connect()
    head = http.request()
    other.send_bytes(
        head + frames.encode(TEXT, b"right behind the head", mask=ZEROS), [len(head) + 3]
    )
    other.expect_upgrade()
    other.expect_text("right behind the head")
    return (
        f"frames cut at {count} places, three in one write, one behind the handshake: all came back"
    )


def short_writes(subject: Subject) -> str:
    """Under strace where that works: then the short writes can be counted."""
    flood = Flood(subject.phase)
    with subject.start(*subject.small_queue(), traced=not subject.no_strace) as session:
        client = session.connect(narrow=True)
        if subject.phase > 2:
            client.handshake()
        sent = session.fill(client, flood.sent)
        client.expect_bytes(flood.expected(sent), cause=_LOST, seconds=8)
        if rest := flood.rest(sent):
            client.send_bytes(rest)
            client.expect_bytes(
                flood.expected(sent + len(rest))[len(flood.expected(sent)) :], cause=_LOST
            )
        told = f"{sent:,} bytes were sent before any was read, and all their echoes came"
        if session.tape:
            session.quiet()
            writes = [call for call in session.calls() if call.is_write]
            short = sum(call.is_short for call in writes)
            full = sum(call.error == "EAGAIN" for call in writes)
            told += f" ({plural(short, 'short write')}, EAGAIN {full} times)"
    return told


_LOST = "what send() did not take must be kept, with an offset, until EPOLLOUT"


# --- 6: TLS ---------------------------------------------------------------------------------------------


def held_back(subject: Subject) -> str:
    flood = Flood(subject.phase)
    cause = "OpenSSL has read more than it has given out, and epoll cannot see that: SSL_read until it wants to read (SSL_pending)"
    with subject.start_tls() as session:
        client = session.connect(tls=True).handshake()
        client.send_bytes(flood.sent[: 120 * flood.frame], what="120 messages in one record")
        client.expect_bytes(flood.echoes[: 120 * flood.echo], "SSL_pending(3)", cause)
        payload = os.urandom(60_000)
        client.send_frame(BINARY, payload, mask=ZEROS)
        client.expect_frame(BINARY, payload, cause=cause)
    return "120 messages in one record, and one message in four records: all came back"


def both_directions(subject: Subject) -> str:
    flood = Flood(subject.phase)
    with subject.start_tls(*subject.small_queue()) as session:
        client = session.connect(tls=True, narrow=True).handshake()
        sent = session.fill(client, flood.sent)
        at = sent % len(flood.sent)
        more = (flood.sent * 2)[at : at + 500 * flood.frame + -sent % flood.frame]
        client.send_bytes(more, what="more, while reading", seconds=8)
        cause = "one direction waits for what the other needs: keep what SSL_read wants and what SSL_write wants apart"
        client.expect_bytes(flood.expected(sent + len(more)), "SSL_get_error(3)", cause, seconds=8)
        woken, share = session.server.watch(0.25)
        if woken or share > 0.1:
            measured = f"it does not rest: {plural(woken, 'wake-up')} in 0.25 s"
            raise Fault(measured, "EPOLLOUT was never disarmed after WANT_WRITE")
    return f"stuck both ways after {sent:,} bytes, then both at once: all echoes came"


def key_updates(subject: Subject) -> str:
    """SSL_read wants to write: the answer to a KeyUpdate, while the peer takes nothing (RFC 8446 §4.6.3)."""
    flood = Flood(subject.phase)
    cause = "SSL_read may want to write: on WANT_WRITE wait for EPOLLOUT and call SSL_read again"
    with subject.start_tls(*subject.small_queue()) as session:
        client = session.connect(LibsslClient, tls=True, narrow=True).handshake()
        asked = sent = 0
        deadline = Deadline(8)
        while sent < 4 << 20 and not deadline.over():
            asked += client.sock.key_update()
            at = sent % len(flood.sent)
            count = client.try_send(flood.sent[at : at + 10 * flood.frame])
            sent += count
            if not count and not client._wait(4, Deadline(0.15)):
                break
        rest = flood.rest(sent)
        client.send_bytes(rest, what="the rest of a message")
        client.expect_bytes(flood.expected(sent + len(rest)), "RFC 8446 §4.6.3", cause, seconds=8)
    return f"{asked} KeyUpdates among {sent:,} unread bytes: answered, and no echo lost"


# --- 7: fragments -----------------------------------------------------------------------------------------


def _echo(client: Client, opcode: int, payload: bytes) -> None:
    client.send_frame(opcode, payload, mask=ZEROS)
    client.expect_frame(opcode, payload)


def in_order(subject: Subject) -> str:
    parts = [b"one ", b"", b"two ", b"three ", b"four"]
    with subject.start() as session:
        client = session.connect().handshake()
        for count in range(2, len(parts) + 1):
            chosen = parts[:count]
            for index, part in enumerate(chosen):
                opcode = CONTINUATION if index else TEXT
                client.send_frame(opcode, part, fin=index == count - 1, mask=ZEROS)
            client.expect_frame(TEXT, b"".join(chosen), "RFC 6455 §5.4")
    return "messages of 2 to 5 fragments, an empty one among them, came back in their order"


def controls_between(subject: Subject) -> str:
    with subject.start() as session:
        client = session.connect().handshake()
        client.send_frame(TEXT, b"before ", fin=False, mask=ZEROS)
        client.send_frame(PING, b"in between", mask=ZEROS)
        client.expect_frame(PONG, b"in between", "RFC 6455 §5.4")
        client.send_frame(CONTINUATION, b"after", mask=ZEROS)
        client.expect_frame(TEXT, b"before after", "RFC 6455 §5.4")
    return "a PING between two fragments was answered at once, and the message was whole"


def clean_state(subject: Subject) -> str:
    """The next message has nothing of the one before: not its bytes, not its opcode, not its UTF-8."""
    with subject.start() as session:
        client = session.connect().handshake()
        for turn in range(3):
            client.send_frame(TEXT, "é".encode()[:1], fin=False, mask=ZEROS)
            client.send_frame(CONTINUATION, "é".encode()[1:], mask=ZEROS)
            client.expect_frame(TEXT, "é".encode(), "RFC 6455 §5.4")
            _echo(client, BINARY, bytes([0xFF, turn]))
            client.send_frame(BINARY, b"\xff", fin=False, mask=ZEROS)
            client.send_frame(CONTINUATION, b"", mask=ZEROS)
            client.expect_frame(BINARY, b"\xff", "RFC 6455 §5.4")
            _echo(client, TEXT, b"alone")
    return "text and binary, whole and in fragments, one after the other: nothing was left over"


# --- the checks -------------------------------------------------------------------------------------------

_MASK = Help("where payload[i] meets mask[i % 4]", "frame.cpp", "3.1")
_PARSER = Help(
    "what is kept between two reads",
    "frame.cpp, protocol.cpp; http.cpp in phase 2",
    {1: "1.1", 2: "2.1", 3: "3.1"},
)
_QUEUE = Help(
    "what follows a send() that took less",
    "connection.cpp: send; write_queue.cpp",
    {1: "1.1", 3: "3.2", 5: "5.2"},
)
_TLS = Help("what follows SSL_get_error", "tls.cpp: status_of; connection.cpp: interest", "5.2")
_FRAGMENTS = Help("where a message begins, grows and ends", "message.cpp, protocol.cpp", "4.2")
_FRAMES, _LONG, _SECURE = (
    "frames come in phase 3",
    "fragments come in phase 4",
    "TLS comes in phase 5",
)

CHECKS = [
    Check(4, "masking keys", masks, _MASK, comes=_FRAMES, phases=(3, 4, 5)),
    Check(4, "the mask over split reads", masks_in_pieces, _MASK, comes=_FRAMES, phases=(3, 4, 5)),
    Check(5, "partial reads", partial_reads, _PARSER),
    Check(5, "short writes", short_writes, _QUEUE, comes=NO_QUEUE, phases=(1, 3, 4, 5)),
    Check(6, "WANT_READ and what TLS holds back", held_back, _TLS, comes=_SECURE, phases=(5,)),
    Check(
        6, "WANT_WRITE, both directions stuck", both_directions, _TLS, comes=_SECURE, phases=(5,)
    ),
    Check(6, "WANT_WRITE on a read: KeyUpdate", key_updates, _TLS, comes=_SECURE, phases=(5,)),
    Check(7, "order", in_order, _FRAGMENTS, comes=_LONG, phases=(4, 5)),
    Check(7, "controls in between", controls_between, _FRAGMENTS, comes=_LONG, phases=(4, 5)),
    Check(7, "a clean state after them", clean_state, _FRAGMENTS, comes=_LONG, phases=(4, 5)),
]
