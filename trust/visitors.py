"""Clients of every kind, by lot: they come, talk rightly or wrongly, and go. The soak runs some."""

from __future__ import annotations

import random
import socket
from collections import Counter

from harness import deadlines, tls_clients
from harness.client import Client
from harness.deadlines import Deadline
from harness.frames import BINARY, CONTINUATION, PING, PONG, TEXT, UNMASKED, encode
from harness.http import request
from harness.server import Server
from harness.tls_clients import TLS1_2, TlsClient
from trust.aside import Task

POOL = 40  # who are there at the same time
MOST = 1 << 20  # the default of --max-message
LETTERS = "aZ09 äßéλЖ中文🙂"


class Visitors:
    def __init__(self, server: Server, seed: int) -> None:
        self.server = server
        self.random = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.here: list[Client] = []
        self._tls_1_2 = tls_clients.context(TLS1_2)

    def stay(self, seconds: float) -> None:
        deadline = Deadline(seconds / deadlines.scaled(1))
        while not deadline.over():
            if len(self.here) < POOL and self.random.random() < 0.5:
                self.come()
            elif self.here:
                self.act(self.random.choice(self.here))
        for client in self.here:
            self.random.choice(ENDS)(self, client)

    def come(self) -> None:
        way = self.random.choice(WAYS)
        self.counts[f"came {way.__name__}"] += 1
        if client := way(self):
            self.here.append(client)

    def act(self, client: Client) -> None:
        if self.random.random() < 0.1:
            self.here.remove(client)
            end = self.random.choice(ENDS)
            self.counts[f"ended {end.__name__}"] += 1
            end(self, client)
            client.close()
            return
        deed = self.random.choice(DEEDS)
        self.counts[f"did {deed.__name__}"] += 1
        deed(self, client)

    def bytes(self, most: int) -> bytes:
        return self.random.randbytes(self.random.randrange(most + 1))


# --- ways to come -------------------------------------------------------------------------------


def plain(own: Visitors) -> Client:
    return Client(own.server, plain=True).handshake()


def by_tls(own: Visitors) -> Client:
    return Client(own.server).handshake()


def by_tls_1_2(own: Visitors) -> Client:
    return TlsClient(own.server, settings=own._tls_1_2).handshake()


def narrow(own: Visitors) -> Client:
    return Client(own.server, narrow=True, plain=own.random.random() < 0.5).handshake()


def in_pieces(own: Visitors) -> Client:
    client = Client(own.server, plain=True)
    data = request()
    client.send_request(data, cuts=sorted(own.random.sample(range(len(data)), 3)))
    client.expect_upgrade()
    return client


def refused(own: Visitors) -> None:
    client = Client(own.server, plain=own.random.random() < 0.5)
    client.send_request(request(method="POST"))
    client.expect_refusal(405)
    client.close()


def for_the_page(own: Visitors) -> None:
    client = Client(own.server)
    client.send_bytes(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    client.expect_response(200)
    client.close()


def as_a_stranger(own: Visitors) -> None:
    with socket.create_connection(own.server.addresses["wss"]) as sock:
        sock.sendall(own.bytes(500))


# --- deeds --------------------------------------------------------------------------------------


def a_little(own: Visitors, client: Client) -> None:
    client.echo(own.bytes(125))


def a_text(own: Visitors, client: Client) -> None:
    text = "".join(own.random.choices(LETTERS, k=own.random.randrange(5_000)))
    client.echo(text.encode(), TEXT)


def much(own: Visitors, client: Client) -> None:
    client.echo(own.bytes(own.random.choice([20_000, 200_000, MOST])))


def fragments(own: Visitors, client: Client) -> None:
    """Each but the last followed by a PING, which is answered first."""
    parts = [own.bytes(2_000) for _ in range(own.random.randrange(2, 20))]
    sent, wanted = b"", b""
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        sent += encode(CONTINUATION if number else BINARY, part, fin=last)
        if not last:
            sent += encode(PING, part[:125])
            wanted += encode(PONG, part[:125], mask=UNMASKED)
    client.send_frames(sent)
    client.expect_bytes(wanted + encode(BINARY, b"".join(parts), mask=UNMASKED))


def many_at_once(own: Visitors, client: Client) -> None:
    payloads = [own.bytes(300) for _ in range(100)]
    client.send_frames(b"".join(encode(BINARY, payload) for payload in payloads))
    client.expect_bytes(b"".join(encode(BINARY, p, mask=UNMASKED) for p in payloads))


def slowly(own: Visitors, client: Client) -> None:
    payload = own.random.randbytes(3_000)
    client.send_frame(BINARY, payload, cuts=own.random.sample(range(1, 3_000), 5))
    client.expect_frame(BINARY, payload)


# --- ends ---------------------------------------------------------------------------------------


def politely(own: Visitors, client: Client) -> None:
    client.goodbye(own.random.choice([None, 1000, 1001, 3000, 4999]))


def by_reset(own: Visitors, client: Client) -> None:
    client.send_frame(BINARY, own.bytes(50_000))
    client.abort()


def amid_a_frame(own: Visitors, client: Client) -> None:
    client.send_bytes(encode(BINARY, own.random.randbytes(5_000))[: own.random.randrange(4_000)])


def after_the_last_word(own: Visitors, client: Client) -> None:
    """The end of our stream right behind a message: its echo still comes."""
    payload = own.bytes(100_000)
    client.send_frame(BINARY, payload)
    if isinstance(client, TlsClient):  # an SSLSocket forgets its TLS at shutdown()
        client.end_tcp()
    else:
        client.half_close()
    client.expect_frame(BINARY, payload)
    client.expect_eof()


def unmasked(own: Visitors, client: Client) -> None:
    client.send_text(b"unmasked", mask=UNMASKED)
    client.expect_failure(1002, "RFC 6455 §5.1")


def no_utf8(own: Visitors, client: Client) -> None:
    client.send_text(b"caf\xe9 ")
    client.expect_failure(1007, "RFC 6455 §8.1")


def too_long(own: Visitors, client: Client) -> None:
    client.send_bytes(encode(BINARY, length=MOST + 1, form=64))
    client.expect_failure(1009, "RFC 6455 §7.4.1")


WAYS = [plain, plain, by_tls, by_tls, by_tls_1_2, narrow, in_pieces, refused, for_the_page]
WAYS += [as_a_stranger]
DEEDS = [a_little, a_little, a_little, a_text, much, fragments, many_at_once, slowly]
ENDS = [
    politely,
    politely,
    by_reset,
    amid_a_frame,
    after_the_last_word,
    unmasked,
    no_utf8,
    too_long,
]


def visit(task: Task, server: Server, seconds: float, seed: int) -> dict[str, int]:
    """What they did, and how often; CheckFailed where an answer was wrong."""
    task.ready()
    visitors = Visitors(server, seed)
    visitors.stay(seconds)
    return visitors.counts
