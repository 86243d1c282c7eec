"""TLS records that nobody should send: each harms its own connection at most (RFC 8446 §5, RFC 5246 §6)."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

from harness.deadlines import REPLY, scaled
from harness.failures import check
from harness.frames import TEXT, UNMASKED, encode
from trust.forger import ALERT, DATA, HANDSHAKE, OPEN, Forger, Forger12, Forger13
from trust.sockets import HELLO, record
from trust.trial import MIB, Trial, attack

BEFORE, AFTER = encode(TEXT, b"before"), encode(TEXT, b"after")
ANSWER = encode(TEXT, b"before", mask=UNMASKED)
FINISHED = b"\x14\0\0\x30" + bytes(48)
TICKET = b"\4\0\0\x15" + bytes(21)
Making = Callable[[Forger], bytes]

IN_BOTH: dict[str, Making] = {
    "a forged record": lambda own: record(DATA, bytes(64)),
    "plain text in a data record": lambda own: record(DATA, AFTER),
    "a plain handshake record": lambda own: HELLO,
    "a plain ChangeCipherSpec": lambda own: record(20, b"\1"),
    "an unknown plain record": lambda own: record(99, b"what"),
    "a header that announces 65,535": lambda own: record(DATA, bytes(65_535)),
    "a plaintext of 16,385": lambda own: own.seal(DATA, bytes(16_385)),
    "an unknown type": lambda own: own.seal(99, b"what"),
    "a Finished": lambda own: own.seal(HANDSHAKE, FINISHED),
    "a ServerHello": lambda own: own.seal(HANDSHAKE, b"\2" + HELLO[6:]),
    "a fatal alert": lambda own: own.seal(ALERT, b"\2\x28"),
    "an alert of three bytes": lambda own: own.seal(ALERT, b"\1\0\0"),
    "a record twice": lambda own: own.seal(DATA, b"") + replayed(own),
    "a record left out": lambda own: left_out(own),
    "HTTP": lambda own: b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
}
IN_TLS_1_3: dict[str, Making] = {
    "no type at all": lambda own: own.seal(0, b"", padding=100),
    "a ChangeCipherSpec inside": lambda own: own.seal(20, b"\1"),
    "a ClientHello": lambda own: own.seal(HANDSHAKE, HELLO[5:]),
    "an empty handshake record": lambda own: own.seal(HANDSHAKE, b""),
    "a ticket": lambda own: own.seal(HANDSHAKE, TICKET),
    "a KeyUpdate that asks for 2": lambda own: own.seal(HANDSHAKE, b"\x18\0\0\1\2"),
    "a KeyUpdate of two bytes": lambda own: own.seal(HANDSHAKE, b"\x18\0\0\2\0\0"),
    "two KeyUpdates in a record": lambda own: own.seal(HANDSHAKE, b"\x18\0\0\1\0" * 2),
    "a handshake message of 16 MiB": lambda own: own.seal(HANDSHAKE, b"\x18\xff\xff\xff"),
    "a handshake message cut by data": lambda own: own.seal(HANDSHAKE, b"\x18\0"),
}


def replayed(own: Forger) -> bytes:
    own.sequence -= 1
    return own.seal(DATA, AFTER)


def left_out(own: Forger) -> bytes:
    own.sequence += 1
    return own.seal(DATA, AFTER)


def kinds() -> Iterator[tuple[str, type[Forger], Making]]:
    for name, making in IN_BOTH.items():
        yield f"{name}, 1.2", Forger12, making
        yield f"{name}, 1.3", Forger13, making
    for name, making in IN_TLS_1_3.items():
        yield f"{name}, 1.3", Forger13, making


@attack(
    "wrong records", "forged, plain, oversize, replayed, misplaced records in an open connection"
)
def wrong_records(trial: Trial) -> None:
    server = trial.start_watched()
    ends: set[str] = set()
    for name, kind, making in [*kinds()] * trial.many(40, 1):
        own = kind(server).upgrade()
        trial.closers.callback(own.close)
        own.send(DATA, BEFORE)
        own.expect(ANSWER)
        own.sock.sendall(making(own) + own.seal(DATA, AFTER))
        data, how = own.rest()
        came = f"{data[:40]!r} came, and it is {how}"
        check(not data and how != OPEN, f"an end, and nothing taken, behind {name}", came)
        ends.add(how)
        own.close()
        trial.count += 1
    trial.tell(f"{sum(1 for _ in kinds())} kinds; ended by {', '.join(sorted(ends))}")


@attack("cut off", "a stream that ends at every byte of its records, without close_notify")
def cut_off(trial: Trial) -> None:
    server = trial.start_watched()
    size = trial.many(400, 40)
    for kind in (Forger12, Forger13):
        cut, whole = 0, False
        while not whole:
            whole = cut_at(kind(server), size, cut)
            trial.count += 1
            cut += 1
    trial.tell("no message was taken that did not come whole")


def cut_at(own: Forger, size: int, cut: int) -> bool:
    """A message, then one of two records whose bytes from `cut` on are missing; whether none is."""
    own.upgrade()
    before = own.seal(DATA, BEFORE)
    message = encode(TEXT, bytes(size))
    records = own.seal(DATA, message[:20]) + own.seal(DATA, message[20:])
    own.sock.sendall(before + records[:cut])
    own.sock.shutdown(socket.SHUT_WR)
    whole = cut == len(records)
    wanted = ANSWER + encode(TEXT, bytes(size), mask=UNMASKED) * whole
    data, _ = own.rest()
    told = f"the answers to what is whole in {cut} of {len(records)} bytes"
    check(data == wanted, told, f"{data[:40]!r} came", server=own.server)
    own.close()
    return whole


# --- floods ---------------------------------------------------------------------------------------

BATCH = 10 * len(BEFORE)


def nothing(own: Forger) -> bytes:
    return b"".join(own.seal(DATA, b"") for _ in range(BATCH))


def padding(own: Forger) -> bytes:
    return b"".join(own.seal(DATA, b"", padding=16_000) for _ in range(BATCH))


def warnings(own: Forger) -> bytes:
    return b"".join(own.seal(ALERT, b"\1\x5a") for _ in range(BATCH))  # user_canceled


def key_updates(own: Forger13) -> bytes:
    return b"".join(own.key_update(asked=False) for _ in range(BATCH))


def key_updates_asked_for(own: Forger13) -> bytes:
    return b"".join(own.key_update() for _ in range(BATCH))


def a_byte_each(own: Forger) -> bytes:
    return b"".join(own.seal(DATA, bytes([byte])) for byte in BEFORE * 10)


Flood = tuple[type[Forger], Callable[..., bytes]]
ENDED: list[Flood] = [(Forger12, nothing), (Forger13, nothing), (Forger13, padding)]
ENDED += [(Forger12, warnings), (Forger13, warnings), (Forger13, key_updates)]
TAKEN: list[Flood] = [(Forger12, a_byte_each), (Forger13, a_byte_each)]


@attack(
    "record floods",
    "empty, padded, one-byte records, warnings, KeyUpdates; also with answers unread",
)
def record_floods(trial: Trial) -> None:
    server = trial.start_watched("--max-buffered", "65536")
    before, most = server.rss(), trial.many(20_000, 2_000)
    for _ in range(trial.many(5, 1)):
        for kind, making in ENDED:
            own = kind(server).upgrade()
            trial.count += flood_unread(own, making, most)
            own.sock.settimeout(scaled(REPLY))
            _, how = own.rest()
            check(how != OPEN, f"an end after so many records of {making.__name__}", f"it is {how}")
            own.close()
        for kind, making in TAKEN:
            trial.count += flood_answered(kind(server).upgrade(), making, most)
        own = Forger13(server).upgrade()
        trial.count += flood_unread(own, key_updates_asked_for, most)
        own.close()
    trial.bound_memory(server, before, 4 * MIB, "every flood")


def flood_unread(own: Forger, making: Callable[..., bytes], most: int) -> int:
    """Records until the server takes no more; how many."""
    own.sock.settimeout(scaled(0.5))
    count = 0
    while count < most:
        try:
            own.sock.sendall(making(own))
        except OSError:  # it has ended the connection, or waits for us to read
            break
        count += BATCH
    return count


def flood_answered(own: Forger, making: Callable[..., bytes], most: int) -> int:
    """Records that are fine, as is the message behind each batch; how many."""
    answers = ANSWER * 11
    count = 0
    while count < most:
        own.sock.sendall(making(own) + own.seal(DATA, BEFORE))
        own.expect(answers)
        count += BATCH + 1
    own.close()
    return count
