#!/usr/bin/env python3
"""A small WebSocket server that keeps the contract of phases 1 to 4, written from RFC 6455 alone.

The suites must pass on it, and so prove that they test the contract and not one implementation:
    pytest tests_py/test_phase3.py --server "python3 tests_py/python_server.py --phase 3"
"""

import argparse
import base64
import codecs
import errno
import hashlib
import os
import re
import selectors
import signal
import socket
import sys
import time
from email.utils import formatdate

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MAX_HEAD, MAX_FIELDS, MAX_TARGET, READ_SIZE = 8192, 100, 4096, 65536
TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
NAME = rb"(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})+"
FUTURE = rb"[vV][0-9A-Fa-f]+\.[A-Za-z0-9._~!$&'()*+,;=:-]+"
AUTHORITY = re.compile(rb"(?:" + NAME + rb"|\[([^\]]+)\])(?::0*(\d{0,5}))?")
ABSOLUTE = re.compile(rb"(?i:https?|wss?)://([^/?]*).*")


# --- the opening handshake ----------------------------------------------------------------------


class Refusal(Exception):
    """The request is refused: status, what is wrong with it, and headers that must be told."""

    def __init__(self, status: str, why: str, *headers: str) -> None:
        super().__init__(why)
        self.status, self.why, self.headers = status, why, headers

    def response(self, method: bytes) -> bytes:
        body = self.why + "\n"
        lines = [f"HTTP/1.1 {self.status}", *self.headers, "Connection: close"]
        lines.append("Date: " + formatdate(usegmt=True))
        if any(header.startswith("Upgrade") for header in self.headers):
            lines.append("Connection: Upgrade")
        lines += ["Content-Type: text/plain", f"Content-Length: {len(body)}", ""]
        return "\r\n".join([*lines, "" if method == b"HEAD" else body]).encode()


def split_lines(data: bytearray, scanned: int, lines: list[bytes]) -> tuple[int, bool]:
    """Cut complete lines off the head from `scanned` on: no byte is looked at twice."""
    while (end := data.find(b"\n", scanned)) >= 0:
        line = bytes(data[:end])
        del data[: end + 1]
        scanned = 0
        if not line.endswith(b"\r") or b"\r" in line[:-1] or b"\0" in line:
            raise Refusal("400 Bad Request", "a bare CR, a bare LF or a NUL in the request head")
        if line == b"\r" and lines:
            return 0, True
        lines += [line[:-1]] if line != b"\r" else []  # §2.2 of RFC 9112: one before it is ignored
    return len(data), False


def is_authority(text: bytes) -> bool:
    if not (found := AUTHORITY.fullmatch(text)) or int(found[2] or 0) > 65535:
        return False
    try:
        return not found[1] or bool(
            re.fullmatch(FUTURE, found[1]) or socket.inet_pton(socket.AF_INET6, found[1].decode())
        )
    except (OSError, UnicodeDecodeError):
        return False


def is_target(text: bytes) -> bool:
    absolute = ABSOLUTE.fullmatch(text)
    formed = text.startswith(b"/") or (absolute and is_authority(absolute[1]))
    return bool(formed and re.fullmatch(rb"[\x21-\x7e]+", text) and b"#" not in text)


def parse_request(lines: list[bytes]) -> dict[bytes, list[bytes]]:
    parts = lines[0].split(b" ") if lines else []
    if len(parts) < 3 or not re.fullmatch(rb"HTTP/\d\.\d", parts[-1]) or not TOKEN.match(parts[0]):
        raise Refusal("400 Bad Request", "the request line is not METHOD TARGET HTTP/1.1")
    method, target, version = parts[0], b" ".join(parts[1:-1]), parts[-1]
    if not version.startswith(b"HTTP/1."):
        raise Refusal("505 HTTP Version Not Supported", "this is no HTTP/1.1 request")
    if len(target) > MAX_TARGET:
        raise Refusal("414 URI Too Long", f"the target is longer than {MAX_TARGET} bytes")
    if not is_target(target):
        raise Refusal("400 Bad Request", "the target is no path and no URL")
    fields: dict[bytes, list[bytes]] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not TOKEN.match(name):
            raise Refusal("400 Bad Request", "a header line is not NAME: VALUE")
        fields.setdefault(name.lower(), []).append(value.strip(b" \t"))
    check_fields(fields, version)
    if method != b"GET":
        raise Refusal("405 Method Not Allowed", "only GET opens a WebSocket", "Allow: GET")
    if version == b"HTTP/1.0":
        raise Refusal("505 HTTP Version Not Supported", "this is no HTTP/1.1 request")
    if b"transfer-encoding" in fields or fields.get(b"content-length", [b""])[0].strip(b"0"):
        raise Refusal("400 Bad Request", "a handshake has no content")
    if b"expect" in fields:
        raise Refusal("417 Expectation Failed", "nothing is expected of a handshake")
    return fields


def check_fields(fields: dict[bytes, list[bytes]], version: bytes) -> None:
    """RFC 9112 §3.2, §6.3: what holds of every request."""
    hosts, lengths = fields.get(b"host", []), fields.get(b"content-length", [])
    if len(hosts) > 1 or (not hosts and version != b"HTTP/1.0"):
        raise Refusal("400 Bad Request", "exactly one Host is wanted")
    if any(host and not is_authority(host) for host in hosts):
        raise Refusal("400 Bad Request", "the Host is no host and port")
    if lengths and (len(lengths) > 1 or not re.fullmatch(rb"[0-9]+", lengths[0])):
        raise Refusal("400 Bad Request", "the Content-Length is not one number")
    if lengths and b"transfer-encoding" in fields:
        raise Refusal("400 Bad Request", "Content-Length and Transfer-Encoding are both there")


def tokens(values: list[bytes]) -> list[bytes]:
    return [token.strip(b" \t").lower() for token in b",".join(values).split(b",")]


def accept(fields: dict[bytes, list[bytes]]) -> bytes:
    """§4.2.1: what the client's handshake must hold; §4.2.2: the answer."""
    versions, keys = fields.get(b"sec-websocket-version", []), fields.get(b"sec-websocket-key", [])
    if b"websocket" not in tokens(fields.get(b"upgrade", [])):
        raise Refusal("400 Bad Request", "no Upgrade: websocket")
    if b"upgrade" not in tokens(fields.get(b"connection", [])):
        raise Refusal("400 Bad Request", "no Connection: Upgrade")
    if versions != [b"13"]:
        told = ("Upgrade: websocket", "Sec-WebSocket-Version: 13")
        raise Refusal("426 Upgrade Required", "Sec-WebSocket-Version is not 13", *told)
    if len(keys) != 1 or not re.fullmatch(rb"[A-Za-z0-9+/]{22}==", keys[0]):
        raise Refusal("400 Bad Request", "one Sec-WebSocket-Key of 16 bytes in base64 is wanted")
    digest = base64.b64encode(hashlib.sha1(keys[0] + GUID).digest())
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return head + b"Sec-WebSocket-Accept: " + digest + b"\r\n\r\n"


# --- frames ---------------------------------------------------------------------------------------


class Failure(Exception):
    """The peer broke the protocol (§7.1.7): the connection ends with this code."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code, self.why = code, why


def frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes([0x80 | opcode, size]) + payload
    if size < 65536:
        return bytes([0x80 | opcode, 126]) + size.to_bytes(2, "big") + payload
    return bytes([0x80 | opcode, 127]) + size.to_bytes(8, "big") + payload


def unmask(data: bytes, key: bytes) -> bytes:
    repeated = (key * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(repeated, "big")).to_bytes(
        len(data), "big"
    )


def valid_code(code: int) -> bool:
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


class Tcp:
    """Phase 1: bytes come back."""

    refused = False

    def __init__(self, options: argparse.Namespace) -> None:
        self.out = bytearray()
        self.closed = False
        self.code = 0

    def receive(self, data: bytearray) -> None:
        self.out += data
        data.clear()

    def step(self, data: bytearray) -> bool:
        """Process one thing that is in `data`; False if more bytes are needed."""
        had = bool(data)
        self.receive(data)
        return had

    def going_away(self) -> bool:
        self.closed = True
        return False


class Http(Tcp):
    """Phase 2: the head of the request, then whatever `frames` makes of the bytes after it."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self.lines: list[bytes] = []
        self.scanned = self.head_size = 0
        self.open = False
        self.options = options

    def step(self, data: bytearray) -> bool:
        if self.closed:
            data.clear()
            return False
        if self.open:
            return self.frames(data)
        try:
            return self.head(data)
        except Refusal as refusal:
            line = self.lines[0] if self.lines else bytes(data[:MAX_HEAD])
            self.out += refusal.response(line.partition(b" ")[0])
            self.closed = True
            return False

    def head(self, data: bytearray) -> bool:
        before = len(data)
        self.scanned, done = split_lines(data, self.scanned, self.lines)
        self.head_size += before - len(data)
        if (
            self.head_size + (0 if done else len(data)) > MAX_HEAD
            or len(self.lines) > MAX_FIELDS + 1
        ):
            first = self.lines[0] if self.lines else bytes(data[:MAX_HEAD])
            if len(first.split(b" ", 2)[1:2] and first.split(b" ", 2)[1]) > MAX_TARGET:
                raise Refusal("414 URI Too Long", f"the target is longer than {MAX_TARGET} bytes")
            raise Refusal("431 Request Header Fields Too Large", "the request head is too large")
        if done:
            self.out += accept(parse_request(self.lines))
            self.open = True
        return done

    def frames(self, data: bytearray) -> bool:
        data.clear()
        return False


class SmallFrames(Http):
    """Phase 3: one header of two bytes and a key; text and binary come back."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self.opcode: int | None = None
        self.left = 0

    def frames(self, data: bytearray) -> bool:
        try:
            return self.frame(data)
        except Failure as failure:
            self.end(failure.code, failure.why.encode())
            return False

    def end(self, code: int | None, reason: bytes = b"") -> None:
        """Our CLOSE: the last thing that is sent."""
        self.out += frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason)
        self.code = code or 1005
        self.closed = True

    def first_bytes(self, data: bytearray) -> tuple[int, int, int]:
        """fin, opcode, 7-bit length of a frame that is masked and has no RSV bit and a known opcode."""
        fin, opcode = data[0] & 0x80, data[0] & 0x0F
        if data[0] & 0x70 or opcode not in (
            CONTINUATION,
            TEXT,
            BINARY,
            CLOSE,
            PING,
            PONG,
        ):
            raise Failure(1002, "reserved bits or an unknown opcode")
        if not data[1] & 0x80:
            raise Failure(1002, "a client's frame must be masked")
        return fin, opcode, data[1] & 0x7F

    def frame(self, data: bytearray) -> bool:
        if len(data) < 2:
            return False
        fin, opcode, size = self.first_bytes(data)
        if not fin or opcode == CONTINUATION:
            raise Failure(1003, "fragmented messages come in phase 4")
        if size > 125:
            raise Failure(1009, "longer payloads come in phase 4")
        if len(data) < 6 + size:
            return False
        payload = unmask(data[6 : 6 + size], data[2:6])
        del data[: 6 + size]
        if opcode in (TEXT, BINARY):
            self.out += frame(opcode, payload)
        elif opcode == CLOSE:
            self.end(int.from_bytes(payload[:2], "big") if len(payload) > 1 else None)
        return True


class Messages(SmallFrames):
    """Phase 4: any length, control frames, fragments, UTF-8."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self.kind: int | None = None  # the opcode of the open message
        self.parts: list[bytes] = []
        self.size = self.count = self.place = 0
        self.fin = 0
        self.key = b""
        self.control = bytearray()

    def frame(self, data: bytearray) -> bool:
        if self.opcode is None and not self.header(data):
            return False
        if self.left and not data:
            return False
        piece = data[: self.left]
        del data[: len(piece)]
        turned = self.key[self.place % 4 :] + self.key[: self.place % 4]
        self.place += len(piece)
        self.left -= len(piece)
        self.payload(unmask(piece, turned))
        if not self.left:
            opcode, self.opcode = self.opcode, None
            self.frame_ends(opcode)
        return True

    def header(self, data: bytearray) -> bool:
        if len(data) < 2:
            return False
        fin, opcode, size = self.first_bytes(data)
        if opcode >= CLOSE and (not fin or size > 125):
            raise Failure(1002, "a control frame is whole and has at most 125 bytes")
        if opcode in (TEXT, BINARY) and self.kind is not None:
            raise Failure(1002, "a new message inside a message")
        if opcode == CONTINUATION and self.kind is None:
            raise Failure(1002, "a continuation of nothing")
        width = {126: 2, 127: 8}.get(size, 0)
        if len(data) < 2 + width:
            return False
        if width:
            size = int.from_bytes(data[2 : 2 + width], "big")
            if size >> 63 or size < (126 if width == 2 else 65536):
                raise Failure(1002, "the length is not in its shortest form")
        if opcode < CLOSE and size > self.options.max_message - self.size:
            raise Failure(1009, f"a message may have {self.options.max_message} bytes")
        if len(data) < 6 + width:
            return False
        if opcode < CLOSE:
            self.fragment_begins(opcode)
        self.key = bytes(data[2 + width : 6 + width])
        del data[: 6 + width]
        self.fin, self.opcode, self.left, self.place = fin, opcode, size, 0
        return True

    def fragment_begins(self, opcode: int) -> None:
        if opcode != CONTINUATION:
            self.kind, self.parts, self.size, self.count = opcode, [], 0, 0
            self.utf8 = codecs.getincrementaldecoder("utf-8")()
        self.count += 1
        if self.count > max(1024, self.options.max_message // 16):
            raise Failure(1008, "too many fragments")

    def payload(self, piece: bytes) -> None:
        if self.opcode >= CLOSE:
            self.control += piece
            return
        if self.kind == TEXT:
            self.check_utf8(piece)
        self.parts.append(piece)
        self.size += len(piece)

    def check_utf8(self, piece: bytes, final: bool = False) -> None:
        try:
            self.utf8.decode(piece, final)
        except UnicodeDecodeError:
            raise Failure(1007, "the text is not UTF-8") from None

    def frame_ends(self, opcode: int) -> None:
        if opcode >= CLOSE:
            payload, self.control = bytes(self.control), bytearray()
            if opcode == PING:
                self.out += frame(PONG, payload)
            elif opcode == CLOSE:
                self.peer_closes(payload)
        elif self.fin:
            if self.kind == TEXT:
                self.check_utf8(b"", final=True)
            self.out += frame(self.kind, b"".join(self.parts))
            self.kind, self.parts, self.size = None, [], 0

    def peer_closes(self, payload: bytes) -> None:
        if not payload:
            return self.end(None)
        code = int.from_bytes(payload[:2], "big")
        if len(payload) == 1 or not valid_code(code):
            raise Failure(1002, "this code must not be in a CLOSE")
        try:
            payload[2:].decode("utf-8")
        except UnicodeDecodeError:
            raise Failure(1007, "the reason is not UTF-8") from None
        self.end(code)

    def going_away(self) -> bool:
        if self.open and not self.closed:
            self.end(1001, b"the server goes away")
        self.closed = True
        return self.open


# --- connections and the loop ---------------------------------------------------------------------


class Connection:
    def __init__(self, sock: socket.socket, peer: str, options: argparse.Namespace) -> None:
        self.sock, self.peer, self.options = sock, peer, options
        self.protocol = {1: Tcp, 2: Http, 3: SmallFrames, 4: Messages}[options.phase](options)
        self.inbox = bytearray()
        self.peer_ended = self.half_closed = self.paused = self.broken = False
        self.bytes_in = self.bytes_out = 0
        self.since = time.monotonic()
        self.events = 0

    def waiting(self) -> int:
        return len(self.protocol.out)

    def read(self) -> None:
        data = self.sock.recv(READ_SIZE)
        self.bytes_in += len(data)
        self.peer_ended = not data
        self.inbox += data

    def process(self) -> None:
        """Handle what has been read, as far as the queue of the peer has room for answers."""
        while not self.paused and self.protocol.step(self.inbox):
            if self.options.when_full == "pause":
                self.write() if self.waiting() > self.options.max_buffered // 2 else None
                self.paused = self.waiting() > self.options.max_buffered // 2
            elif self.waiting() > self.options.max_buffered:
                self.write()
                if self.waiting() > self.options.max_buffered:
                    raise ConnectionError("too much waits to be sent to it")

    def write(self) -> None:
        try:
            while self.protocol.out:
                sent = self.sock.send(self.protocol.out[:262144])
                self.bytes_out += sent
                del self.protocol.out[:sent]
        except BlockingIOError:
            pass

    def serve(self, events: int) -> None:
        if events & selectors.EVENT_READ:
            self.read()
        self.write()
        while True:
            self.paused = self.paused and bool(self.protocol.out)
            self.process()
            self.write()
            if not self.paused or self.protocol.out:
                break
        if not self.protocol.out and not self.paused:
            if (self.protocol.closed or self.peer_ended) and not self.half_closed:
                self.sock.shutdown(socket.SHUT_WR)
                self.half_closed = True

    def over(self) -> bool:
        return self.half_closed and self.peer_ended

    def interest(self) -> int:
        reads = not self.peer_ended and not self.paused
        return (selectors.EVENT_READ if reads else 0) | (
            selectors.EVENT_WRITE if self.waiting() else 0
        )


class Server:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.selector = selectors.DefaultSelector()
        self.listener = listen(options)
        self.listener.setblocking(False)
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.clients: dict[int, Connection] = {}
        self.accepting, self.stop_at = True, None
        self.wakeup, wake = socket.socketpair()
        self.wakeup.setblocking(False)
        wake.setblocking(False)
        self.wake = wake
        signal.set_wakeup_fd(wake.fileno())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        self.selector.register(self.wakeup, selectors.EVENT_READ)

    def run(self) -> None:
        while self.stop_at is None or (self.clients and time.monotonic() < self.stop_at):
            timeout = None if self.accepting else 1.0
            if self.stop_at is not None:
                timeout = max(0.0, self.stop_at - time.monotonic())
            ready = self.selector.select(timeout)
            if not ready:
                self.watch_listener(True)
            for key, events in ready:
                if key.fileobj is self.wakeup:
                    self.on_signal(self.wakeup.recv(64))
                elif key.fileobj is self.listener:
                    self.accept()
                elif key.fd in self.clients:
                    self.serve(self.clients[key.fd], events)

    def watch_listener(self, on: bool) -> None:
        if self.stop_at is None and on != self.accepting:
            act = self.selector.register if on else self.selector.unregister
            act(self.listener, *([selectors.EVENT_READ] if on else []))
            self.accepting = on

    def on_signal(self, numbers: bytes) -> None:
        if self.stop_at is not None or len(numbers) > 1:
            self.stop_at = 0.0
            return
        self.watch_listener(False)
        self.listener.close()
        self.stop_at = time.monotonic() + 2
        for client in list(self.clients.values()):
            client.inbox.clear()
            waits = client.protocol.going_away()
            self.serve(client, 0)
            if not waits and not client.broken:
                self.forget(client, "the server ends")

    def accept(self) -> None:
        while self.stop_at is None:
            try:
                sock, address = self.listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (
                    errno.EMFILE,
                    errno.ENFILE,
                    errno.ENOBUFS,
                    errno.ENOMEM,
                ):
                    return self.watch_listener(False)
                continue
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client = Connection(sock, show_address(*address[:2]), self.options)
            self.clients[sock.fileno()] = client
            client.events = selectors.EVENT_READ
            self.selector.register(sock, client.events)
            self.log(client, "connected")

    def serve(self, client: Connection, events: int) -> None:
        try:
            client.serve(events)
        except OSError as error:
            return self.forget(client, str(error))
        if client.over():
            return self.forget(client, f"close code {client.protocol.code or 'none'}")
        wanted = client.interest()
        if wanted != client.events:
            if not client.events:
                self.selector.register(client.sock, wanted)
            elif not wanted:
                self.selector.unregister(client.sock)
            else:
                self.selector.modify(client.sock, wanted)
            client.events = wanted

    def forget(self, client: Connection, why: str) -> None:
        age = time.monotonic() - client.since
        told = f"{client.bytes_in} bytes in, {client.bytes_out} out, {age:.3f} s"
        self.log(client, f"ended: {why}, {told}")
        client.broken = True
        del self.clients[client.sock.fileno()]
        if client.events:
            self.selector.unregister(client.sock)
        client.sock.close()
        self.watch_listener(True)

    def log(self, client: Connection, what: str) -> None:
        if self.options.v:
            print(f"{client.peer} {what}", file=sys.stderr, flush=True)


# --- the command ------------------------------------------------------------------------------------


def show_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listen(options: argparse.Namespace) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        return socket.create_server((options.host, options.port), family=family, backlog=4096)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        where = show_address(options.host, options.port)
        sys.exit(f"phase{options.phase}: cannot listen on {where}: {why}")


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        print(f"{self.prog}: {message}", file=sys.stderr)
        sys.exit(2)


def port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"a port from 0 to 65535 is wanted, not {text!r}")
    return int(text)


def size(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 2**62:
        raise argparse.ArgumentTypeError(f"a number of bytes is wanted, not {text!r}")
    return int(text)


def parse_options() -> argparse.Namespace:
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--phase", type=int, choices=(1, 2, 3, 4), default=4)
    phase = first.parse_known_args()[0].phase
    parser = Parser(
        f"phase{phase}",
        description=__doc__.splitlines()[0],
        parents=[first],
        allow_abbrev=False,
    )
    parser.set_defaults(max_buffered=4 << 20, when_full="pause", max_message=1 << 20)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=port, default=8080, help="port; 0 takes a free one")
    parser.add_argument("-v", action="store_true", help="log connections to stderr")
    if phase >= 3:
        parser.add_argument("--max-buffered", type=size, help="bytes that may wait for one peer")
        parser.add_argument("--when-full", choices=("pause", "drop"), help="what to do past that")
    if phase >= 4:
        parser.add_argument("--max-message", type=size, help="bytes of the largest message")
    options = parser.parse_args()
    if phase == 1:
        options.max_buffered = 2 * READ_SIZE
    return options


def main() -> None:
    options = parse_options()
    server = Server(options)
    scheme = {1: "tcp", 2: "http"}.get(options.phase, "ws")
    print(
        f"listening on {scheme}://{show_address(*server.listener.getsockname()[:2])}",
        flush=True,
    )
    server.run()


if __name__ == "__main__":
    main()
