"""TLS handshakes that go wrong: each harms its own connection at most."""

from __future__ import annotations

import socket
from collections import Counter

from harness.deadlines import Deadline
from harness.failures import check
from harness.pace import span
from trust.sockets import HEAD, HELLO, connect, pause, read_to_end, record, reset, secure
from trust.trial import Trial, attack

MESSAGE = HELLO[5:]  # without the header of its record


def sslv2_hello() -> bytes:
    """The CLIENT-HELLO of SSL 2.0: a 2-byte header, version 2, one cipher, a challenge."""
    body = bytes([1, 0, 2, 0, 3, 0, 0, 0, 16, 7, 0, 0xC0]) + bytes(range(16))
    return bytes([0x80 | len(body) >> 8, len(body) & 0xFF]) + body


def with_version(major: int, minor: int) -> bytes:
    """A ClientHello whose record and message say another version, and which has no extensions."""
    body = bytes([major, minor]) + bytes(32) + b"\0" + b"\0\2\xc0\x2f" + b"\1\0"
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return bytes([22, major, minor]) + len(message).to_bytes(2, "big") + message


FIRST_WORDS = {
    "SSL 2.0": sslv2_hello(),
    "SSL 3.0": with_version(3, 0),
    "TLS 1.0": with_version(3, 1),
    "TLS 1.1": with_version(3, 2),
    "version 9.9": with_version(9, 9),
    "an alert first": record(21, b"\2\x28"),
    "application data first": record(23, b"hello"),
    "ChangeCipherSpec first": record(20, b"\1"),
    "a ServerHello": record(22, b"\2" + MESSAGE[1:]),
    "a Finished": record(22, b"\x14\0\0\x0c" + bytes(12)),
    "an empty record": record(22, b""),
    "a hello of 16 MiB": record(22, b"\1\xff\xff\xff" + bytes(500)),
    "a record of 65,535 bytes": record(22, bytes(65_535)),
    "a heartbeat": record(24, b"\1\x40\0"),
    "a ClientHello cut short": record(22, b"\1" + (40).to_bytes(3, "big") + MESSAGE[4:44]),
    "ClientHello twice": HELLO + HELLO,
}


ANSWERS = {b"": "no answer", b"\x15": "an alert", b"\x16": "a ServerHello", b"H": "a plain 400"}


@attack("first words", "wrong versions, SSL 2.0, records out of place, random and mangled hellos")
def first_words(trial: Trial) -> None:
    server = trial.start_watched()
    words = list(FIRST_WORDS.values()) * trial.many(20, 2)
    words += [
        trial.random.randbytes(trial.random.randrange(1, 3000))
        for _ in range(trial.many(2_000, 100))
    ]
    words += [mangled(trial) for _ in range(trial.many(5_000, 200))]
    answers: Counter[str] = Counter()
    for data in words:
        with connect(server, True) as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            answer, _ = read_to_end(sock)
        answers[ANSWERS.get(answer[:1], "something else")] += 1
        trial.count += 1
    check(not answers["something else"], "alerts and ServerHellos", f"{answers}", server=server)
    trial.tell(", ".join(f"{count} × {answer}" for answer, count in answers.most_common()))


def mangled(trial: Trial) -> bytes:
    """A good ClientHello with a few bytes changed, cut out or doubled."""
    data = bytearray(HELLO)
    for _ in range(trial.random.randrange(1, 6)):
        at = trial.random.randrange(len(data))
        step = trial.random.randrange(3)
        if step == 0:
            data[at] = trial.random.randrange(256)
        elif step == 1:
            del data[at : at + trial.random.randrange(1, 8)]
        else:
            data[at:at] = data[at : at + trial.random.randrange(1, 8)]
    return bytes(data)


@attack("hello in pieces", "a ClientHello of one byte a record, or cut in two at every place")
def hello_in_pieces(trial: Trial) -> None:
    server = trial.start_watched()
    pieces = [b"".join(record(22, MESSAGE[i : i + 1], b"\3\1") for i in range(len(MESSAGE)))]
    step = trial.many(1, 16)
    for cut in range(1, len(MESSAGE), step):
        pieces.append(record(22, MESSAGE[:cut], b"\3\1") + record(22, MESSAGE[cut:], b"\3\1"))
    for data in pieces:
        with connect(server, True) as sock:
            sock.sendall(data)
            answer = sock.recv(5)
            alert = "a fatal alert" if answer[:1] == b"\x15" else repr(answer)
            check(answer[:1] == b"\x16", "a ServerHello", f"this came: {alert}", server=server)
            reset(sock)
        trial.count += 1


@attack("handshake drip", "a byte now and then: --handshake-timeout ends it, in TLS or in the head")
def handshake_drip(trial: Trial) -> None:
    server = trial.start_watched("--handshake-timeout", span(1), "--close-timeout", span(0.2))
    drips: dict[socket.socket, bytes] = {}
    for number in range(trial.many(300, 60)):
        sock = connect(server, number % 3 > 0)
        sock = secure(sock) if number % 3 == 1 else sock
        drips[sock] = HELLO if number % 3 == 2 else HEAD
        trial.closers.callback(sock.close)
    trial.count, sent = len(drips), 0
    deadline = Deadline(10)
    while drips and not deadline.over():
        for sock, data in list(drips.items()):
            try:
                sock.send(data[sent : sent + 1])
            except OSError:
                del drips[sock]
        sent += 1
        pause(0.05)
    check(not drips, "all of them to be ended", f"{len(drips)} are open", server=server)
    trial.tell(f"ended after {sent} bytes at most")
