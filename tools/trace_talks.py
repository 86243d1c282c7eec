"""What is said to a server while it is traced: a few steps for each phase, with one client or two."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tools.live import Client, Session
from tools.review_parts import Flood
from tools.trace_reader import Reader
from harness import frames, http
from harness.frames import CONTINUATION, PING, PONG, TEXT, UNMASKED

Step = tuple[str, Callable[[], object]]  # what the client does, and the doing
MESSAGES = 20


class Talk:
    def __init__(self, session: Session, phase: int, reader: Reader) -> None:
        self.session, self.phase, self.reader = session, phase, reader
        self.clients: list[Client] = []
        self.tls = phase == 5

    def connect(self, narrow: bool = False) -> Client:
        client = self.session.connect(tls=self.tls, narrow=narrow)
        self.clients.append(client)
        return client

    def one(self) -> Client:
        return self.clients[0]

    def two(self) -> Client:
        return self.clients[1]

    def steps(self) -> Iterator[Step]:
        talks = {1: self._tcp, 2: self._http, 3: self._frames, 4: self._messages, 5: self._secure}
        yield from talks[self.phase]()

    # --- the phases -------------------------------------------------------------------------

    def _tcp(self) -> Iterator[Step]:
        yield "client 1 connects", self.connect
        yield "client 2 connects", lambda: self.connect(narrow=True)
        yield "client 1 sends a line, and gets it back", lambda: self._line(self.one(), b"hello\n")
        yield from self._stuck()
        yield "client 2 breaks its connection by a reset", lambda: self.two().abort()
        yield "client 1 ends its stream", self._leave

    def _http(self) -> Iterator[Step]:
        head = http.request()
        yield "client 1 connects", self.connect
        yield "client 1 sends half of its request head", lambda: self.one().send_bytes(head[:60])
        yield "client 1 sends the other half, and gets 101", lambda: self._upgrade(head[60:])
        yield "client 2 connects and asks with POST, which is refused with 405", self._post
        yield "client 1 ends its stream", self._leave

    def _frames(self) -> Iterator[Step]:
        yield "client 1 connects", self.connect
        yield "client 1 shakes hands", lambda: self.one().handshake()
        yield 'client 1 sends the text "Hello", and gets it back', lambda: self._echo(
            self.one(), "Hello"
        )
        yield "client 1 sends a frame in two pieces", self._pieces
        yield "client 2 connects and shakes hands", lambda: self.connect(narrow=True).handshake()
        yield from self._stuck()
        yield "client 2 sends a frame that is not masked: CLOSE 1002", self._unmasked
        yield "client 1 says CLOSE 1000", lambda: self.one().goodbye()
        yield "client 1 ends its stream", self._leave

    def _messages(self) -> Iterator[Step]:
        yield "client 1 connects", self.connect
        yield "client 1 shakes hands", lambda: self.one().handshake()
        yield 'client 1 sends the text "Hello", and gets it back', lambda: self._echo(
            self.one(), "Hello"
        )
        yield "client 1 sends a PING, and gets its PONG", lambda: self.one().ping_pong(b"there?")
        yield "client 1 sends a message in two fragments, and a PING between them", self._fragments
        yield "client 2 connects and shakes hands", lambda: self.connect(narrow=True).handshake()
        yield from self._stuck()
        yield "client 2 says CLOSE 1000", lambda: self.two().goodbye()

    def _secure(self) -> Iterator[Step]:
        yield "client 1 connects to the TLS port: the TLS handshake", self.connect
        yield "client 1 shakes hands for WebSocket; from here on all bytes are encrypted", lambda: self.one().handshake()
        yield 'client 1 sends the text "Hello", and gets it back', lambda: self._echo(
            self.one(), "Hello"
        )
        yield "client 1 is silent, until the server asks with a PING", self._pinged
        yield "client 2 connects and shakes hands", lambda: self.connect(narrow=True).handshake()
        yield from self._stuck()
        yield "client 2 says CLOSE 1000", self._close_two
        yield "client 2 ends its stream", lambda: self.two().half_close()

    # --- what they do -------------------------------------------------------------------------

    def _line(self, client: Client, line: bytes) -> None:
        client.send_bytes(line)
        client.expect_bytes(line)

    def _echo(self, client: Client, text: str) -> None:
        client.send_text(text)
        client.expect_text(text)

    def _upgrade(self, rest: bytes) -> None:
        self.one().send_bytes(rest)
        self.one().expect_upgrade()

    def _post(self) -> None:
        client = self.connect()
        client.send_request(http.request(method="POST"))
        client.expect_response(405)

    def _pieces(self) -> None:
        self.one().send_frames(frames.encode(TEXT, b"in two pieces"), [8])
        self.one().expect_text("in two pieces")

    def _unmasked(self) -> None:
        self.two().send_text("not masked", mask=UNMASKED)
        self.two().expect_close(1002)

    def _fragments(self) -> None:
        self.one().send_text("Hel", fin=False)
        self.one().send_frame(PING, b"?")
        self.one().expect_frame(PONG, b"?")
        self.one().send_frame(CONTINUATION, b"lo")
        self.one().expect_text("Hello")

    def _pinged(self) -> None:
        self.one().expect_frame(PING)
        self.one().send_frame(PONG)

    def _close_two(self) -> None:
        client = self.two()
        client.send_close()
        while client.next_frame("a CLOSE").opcode != frames.CLOSE:
            pass

    def _leave(self) -> None:
        self.one().half_close()
        self.one().expect_eof()

    def _stuck(self) -> Iterator[Step]:
        flood = Flood(self.phase)
        sent: list[int] = []

        def send() -> None:
            sent.append(self.session.fill(self.two(), flood.sent))

        def read() -> None:
            client, rest = self.two(), flood.rest(sent[0])
            if self.phase > 1:
                client.send_bytes(rest, seconds=8)
            else:
                rest = b""
            client.expect_bytes(flood.expected(sent[0] + len(rest)), seconds=8)

        yield "client 2 sends on and on, and reads nothing, until no more is taken", send
        yield "client 2 reads everything", read

    # --- for the bill ---------------------------------------------------------------------------

    def newcomer(self) -> Client:
        client = self.connect()
        return client if self.phase == 1 else client.handshake()

    def message(self, client: Client, number: int) -> None:
        if self.phase == 1:
            self._line(client, b"line %d\n" % number)
        else:
            self._echo(client, f"message {number}")
