"""The learner's tools that look at things: frame, accept, doctor, trace, review. And the review is itself reviewed:
it passes on the phases, and on small servers with one mistake each it fails in the item that the mistake belongs to."""

import base64
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness import frames, heads, http, vectors
from harness.certificates import Files, issue
from harness.frames import BINARY, CONTINUATION, PING, TEXT, UNMASKED

ROOT = Path(__file__).resolve().parent.parent


def learn(verb: str, *arguments: str, text: str | bytes = "", **environment: str):
    """`./learn VERB …` with its output through a pipe."""
    return subprocess.run(
        [sys.executable, "-m", f"tools.{verb}", *arguments],
        cwd=ROOT,
        input=text.encode() if isinstance(text, str) else text,
        capture_output=True,
        timeout=120,
        env={**os.environ, **environment},
    )


def said(result: subprocess.CompletedProcess) -> str:
    return result.stdout.decode() + result.stderr.decode()


def expect(result: subprocess.CompletedProcess, status: int, *words: str) -> str:
    """The exit status, words on the screen, no colour codes, and a next step where it is no refusal."""
    text = said(result)
    assert result.returncode == status, text
    for word in words:
        assert word in text, f"{word!r} is not in:\n{text}"
    assert "\x1b" not in text
    assert status == 2 or text.splitlines()[-1].lstrip().startswith(("next  ", "or  ")), text
    return text


# --- frame ----------------------------------------------------------------------------------------


def test_frame_draws_the_figure():
    """The masked Hello of RFC 6455 §5.7: bits, fields, key, payload masked and unmasked, and text."""
    text = expect(learn("frame", "81 85 37fa213d 7f9f4d5158"), 0, '"Hello"', "nothing is wrong")
    assert "|1|0|0|0|0 0 0 1|1|0 0 0 0 1 0 1|0 0 1 1 0 1 1 1 1 1 1 1 1 0 1 0|" in text
    assert "  on the wire 7f 9f 4d 51 58" in text and "  unmasked    48 65 6c 6c 6f" in text
    assert all(len(line) <= 67 for line in text.splitlines() if line.startswith("  |"))


@pytest.mark.parametrize(
    "words",
    [
        ["8105 48656c6c6f"],
        ["81:05:48:65:6c:6c:6f"],
        ["0x81", "0x5", "0x48656c6c6f"],
        ["{0x81, 0x05, 0x48,", "0x65, 0x6c, 0x6c, 0x6f};"],
        [r"\x81\x05\x48\x65\x6c\x6c\x6f"],
    ],
    ids=str,
)
def test_frame_reads_hexadecimal_as_it_is_pasted(words: list[str]):
    """Spaces, colons, 0x, the braces of C and \\x are no obstacle."""
    expect(learn("frame", *words), 0, '"Hello"')


def test_frame_reads_standard_input():
    """- takes hexadecimal, --raw the bytes themselves."""
    raw = frames.encode(TEXT, b"Hello")
    expect(learn("frame", "-", text=raw.hex(" ")), 0, '"Hello"')
    expect(learn("frame", "--raw", "-", text=raw), 0, '"Hello"')
    expect(learn("frame", "--raw", text=raw), 0, '"Hello"')


WRONG = {
    "rsv": ("c1 00", "", "RSV1 is set", "§5.2"),
    "opcode": ("83 00", "", "opcode 0x3 is kept for data frames", "§5.2"),
    "control opcode": ("8b 00", "", "opcode 0xB is kept for control frames", "§5.2"),
    "16 bits": ("82 7e 0005 48656c6c6f", "", "5 is not in its shortest form: 7 bits", "§5.2"),
    "64 bits": (
        "82 7f 0000000000000100" + "00" * 256,
        "",
        "256 is not in its shortest form: 16 bits",
        "§5.2",
    ),
    "top bit": ("82 7f 8000000000000000", "", "the top bit of a 64-bit length is zero", "§5.2"),
    "long ping": (
        "89 7e 007e" + "00" * 126,
        "",
        "at most 125 bytes, and this one says 126",
        "§5.5",
    ),
    "fragmented ping": ("09 00", "", "a control frame is never fragmented", "§5.5"),
    "unmasked": ("81 00", "client", "it is not masked", "§5.1"),
    "masked": ("81 80 00000000", "server", "it is masked", "§5.1"),
    "one byte": ("81", "", "1 byte at least missing", "§5.2"),
    "no key": ("81 85 37fa", "", "7 bytes missing", "§5.2"),
    "cut": ("81 05 4865", "", "3 bytes missing", "§5.2"),
    "little-endian": ("82 7e 8000" + "00" * 128, "", "low byte first the length would fit", "§5.2"),
    "surrogate": (
        "81 05 41 42 eda080",
        "",
        "byte 2 of the payload, ed a0 80: it is a surrogate",
        "§8.1",
    ),
    "overlong": ("81 02 c080", "", "overlong", "§8.1"),
    "overlong of 3": ("81 03 e08080", "", "overlong", "§8.1"),
    "too high": ("81 04 f4908080", "", "above U+10FFFF", "§8.1"),
    "ends in a character": (
        "81 02 41 c3",
        "",
        "byte 1 of the payload, c3: the text ends in the middle",
        "§8.1",
    ),
    "stray": ("81 02 41 80", "", "80 continues a character, but none has begun", "§8.1"),
    "not continued": (
        "81 03 41 c3 28",
        "",
        "c3 begins a character that 28 does not continue",
        "§8.1",
    ),
    "close of 1": ("88 01 03", "", "one byte is no close code", "§5.5.1"),
    "1005": ("88 02 03ed", "", "1005 means that there was no code", "§7.4"),
    "swapped": ("88 02 e803", "", "its bytes in the other order are 1000", "§7.4"),
    "unassigned": ("88 02 07d0", "", "2000 is not assigned", "§7.4"),
    "reason": ("88 03 03e8 ff", "", "the reason is not UTF-8 at byte 2", "§5.5.1"),
    "continues nothing": ("81 00 80 00", "", "it continues a message, but none is open", "§5.4"),
    "message inside": (
        "01 00 81 00",
        "",
        "a new message begins inside one that has not ended",
        "§5.4",
    ),
    "text in fragments": ("01 02 41 c3 80 01 28", "", "(byte 1 of the message)", "§8.1"),
    "after close": ("88 00 81 00", "", "nothing may follow a CLOSE", "§5.5.1"),
}


@pytest.mark.parametrize("hex, sender, words, section", WRONG.values(), ids=WRONG)
def test_frame_says_what_is_wrong(hex: str, sender: str, words: str, section: str):
    """Each mistake in plain words, with the section of RFC 6455 that says so; exit status 1."""
    expect(
        learn("frame", hex, *(["--from", sender] if sender else [])),
        1,
        words,
        f"RFC 6455 {section}",
    )


RIGHT = {
    "a character over a border": "01 02 41 c3 80 01 a9",
    "a ping in between": "01 01 41 89 00 80 01 42",
    "an empty close": "88 00",
    "a code of its own": "88 02 0fa0",
    "126": "82 7e 007e" + "00" * 126,
    "65536": "82 7f 0000000000010000" + "00" * 65536,
    "the middle of a message": "00 01 41 80 01 42",
}


@pytest.mark.parametrize("hex", RIGHT.values(), ids=RIGHT)
def test_frame_finds_nothing_wrong(hex: str):
    """What is right is called right."""
    expect(learn("frame", "-", text=hex), 0, "nothing")


def test_frame_offers_the_frame_mended():
    """The next thing to type is the same frame, mended; and that one is right."""
    text = said(learn("frame", "--from", "client", "c1 05 48656c6c6f"))
    typed = re.search(r"\./learn frame (.*?)   the same frame, mended", text)
    assert typed, text
    expect(learn("frame", *typed.group(1).split()), 0, '"Hello"')


def test_frame_refuses_what_is_no_hexadecimal():
    """Exit status 2 and a line that says how it is typed."""
    expect(learn("frame", "81 0"), 2, "odd number of digits")
    expect(learn("frame", "hello"), 2, "'hello' is no hexadecimal")
    expect(learn("frame"), 2, "no bytes")


def test_frames_agree_with_the_harness():
    """Frames of all kinds that the harness encodes are taken apart without a complaint."""
    data = b""
    for opcode in (TEXT, BINARY, PING):
        for mask in (frames.MASK, UNMASKED):
            data += frames.encode(opcode, b"x" * 100, mask=mask)
    data += frames.encode(TEXT, b"a", fin=False) + frames.encode(CONTINUATION, b"b" * 70000)
    data += frames.encode_close(1000, b"bye")
    expect(learn("frame", "--raw", text=data), 0, "9 frames, nothing wrong")


# --- accept ---------------------------------------------------------------------------------------


def test_accept_of_the_example():
    """The request of RFC 6455 §1.3 earns the value that it prints; the steps are shown."""
    text = expect(learn("accept", text=http.request()), 0, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    assert "b3 7a 4f 2c c0 62 4f 16 90 f6 46 06 cf 38 59 45 b2 be c4 ea" in text
    assert "HTTP/1.1 101 Switching Protocols" in text


def test_accept_of_a_key():
    """A bare key as the argument; -q prints the value and nothing else."""
    expect(learn("accept", http.KEY), 0, http.accept_value(http.KEY))
    result = learn("accept", "-q", http.KEY)
    assert result.stdout.decode() == http.accept_value(http.KEY) + "\n" and result.returncode == 0
    result = learn("accept", "-q", text=http.request())
    assert result.stdout.decode() == http.accept_value(http.KEY) + "\n" and result.returncode == 0


def test_accept_takes_pasted_text():
    """Bare LF line ends are accepted, with a remark."""
    text = http.request().decode().replace("\r\n", "\n")
    expect(learn("accept", text=text), 0, "bare LF", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")


def test_accept_waits_for_the_empty_line():
    """A head that does not end earns nothing yet."""
    expect(learn("accept", text=http.request()[:-2]), 1, "the empty line", "none yet")


def _changed(**changes: str | None) -> bytes:
    return http.request(http.changed(http.upgrade_headers(), **changes))


HEADS = {
    "post": (http.request(method="POST"), 405, "Allow: GET"),
    "1.0": (http.request(version="HTTP/1.0"), 400, "the version is HTTP/1.1"),
    "2.0": (http.request(version="HTTP/2.0"), 505, "the version is HTTP/1.1"),
    "no host": (_changed(Host=None), 400, "there is none"),
    "two hosts": (http.request([("Host", "a"), *http.upgrade_headers()]), 400, "there are 2"),
    "substring": (_changed(Upgrade="websocket2"), 426, "a substring of a token is no match"),
    "connection": (_changed(Connection="keep-alive"), 426, "the token upgrade is not in it"),
    "version": (_changed(Sec_WebSocket_Version="8"), 426, "Sec-WebSocket-Version: 13"),
    "no version": (_changed(Sec_WebSocket_Version=None), 426, "there is none"),
    "short key": (_changed(Sec_WebSocket_Key="AAAA"), 400, "decodes to 3 bytes"),
    "key of 17": (_changed(Sec_WebSocket_Key="A" * 23 + "="), 400, "decodes to 17 bytes"),
    "no base64": (_changed(Sec_WebSocket_Key="!" * 24), 400, "no base64"),
    "two keys": (
        http.request([*http.upgrade_headers(), ("Sec-WebSocket-Key", http.KEY)]),
        400,
        "there are 2",
    ),
    "space before the colon": (
        http.request().replace(b"Upgrade:", b"Upgrade :"),
        400,
        "a space before the colon",
    ),
    "folded": (http.request().replace(b": Upgrade", b":\r\n Upgrade"), 400, "a folded line"),
    "no colon": (http.request().replace(b"Host: ", b"Host "), 400, "without a colon"),
    "no name": (http.request().replace(b"Host: ", b": "), 400, "without a name"),
    "nul": (http.request().replace(b"localhost", b"local\0host"), 400, "control character"),
    "bare cr": (
        http.request().replace(b"localhost", b"local\rhost"),
        400,
        "a CR that no LF follows",
    ),
    "request line": (http.request(target="/a b"), 400, "one space between them"),
    "long target": (http.request(target="/" + "a" * 5000), 414, "target"),
    "many fields": (http.request([("X", "y")] * 101 + http.upgrade_headers()), 431, "fields"),
    "large": (http.request([("X", "y" * 9000), *http.upgrade_headers()]), 431, "8 KiB"),
    "host": (_changed(Host="a b"), 400, "not a host, or a host, a colon and a port"),
    "absolute": (http.request(target="http://a:80/x"), 101, "a GET"),
    "fragment": (http.request(target="/#x"), 400, "neither a path nor"),
    "1.2": (http.request(version="HTTP/1.2"), 101, "or higher"),
    "1.1x": (http.request(version="HTTP/1.1x"), 400, "a digit, a dot and a digit"),
    "content": (heads.CONTENT["5 bytes"], 400, "a handshake has no content"),
    "chunks": (heads.CONTENT["chunks"], 400, "a handshake has no content"),
    "two lengths": (heads.BAD_LENGTHS["two lengths"], 400, "it is not one number"),
    "expect": (heads.EXPECTING["100-continue"], 417, "it can not be met"),
    "lists": (
        _changed(Connection="keep-alive, UPGRADE", Upgrade="foo, WebSocket"),
        101,
        "is in the list",
    ),
    "split lists": (
        http.request([("Connection", "close"), *http.upgrade_headers()]),
        101,
        "is in the list",
    ),
}


@pytest.mark.parametrize("request_head, status, words", HEADS.values(), ids=HEADS)
def test_accept_judges_requests(request_head: bytes, status: int, words: str):
    """Each rule of the opening handshake: the status that it earns, and why."""
    result = learn("accept", text=request_head)
    expect(result, 0 if status == 101 else 1, words, f"\n  HTTP/1.1 {status} ")


@pytest.mark.parametrize("phase", [2, 3, 4, 5])
def test_accept_agrees_with_the_servers(phase: int, reference):
    """Each head of the suites and of vectors/phase2.txt earns the same status from a server and from accept."""
    from tools.accept_rules import judge, status_of
    from tools.live import Session, Target

    table = [(what, head) for family in heads.FAMILIES for what, head in family.items()]
    table += [(v.title, vectors.request_of(v.steps[0].sent)) for v in vectors.read(2)]
    disagree = []
    with Session(Target(phase, False, (reference(phase),), ROOT)) as session:
        for what, head in table:
            client = session.connect()
            client.send_request(head)
            served = client.expect_response(tuple(range(100, 600))).status
            client.close()
            judged = status_of(judge(head)[1])
            if served != judged:
                disagree.append(f"{what}: {served} from the server, {judged} from accept")
    assert not disagree and len(table) > 200


def test_accept_waits_as_long_as_a_server():
    """What is wrong in a line that has not ended, or in a head that has not, is no fault yet."""
    for head in (b"GET / HTTP/1.1\r\nX-A b", b"POST / HTTP/1.1\r\nX: y\r\n", b"G@T", b"GET /\r"):
        expect(learn("accept", text=head), 1, "none yet")


def test_accept_of_a_mixed_text():
    """Where some lines end with CRLF, a bare LF was not pasted: 400, as a server says."""
    mixed = heads.BAD_REQUEST["one bare LF"]
    expect(learn("accept", text=mixed), 1, "an LF without a CR", "\n  HTTP/1.1 400 ")


def test_accept_of_a_key_with_unused_bits():
    """The key that RFC 6455 §4.1 prints earns a 101, and a word on its last character."""
    key = "AQIDBAUGBwgJCgsMDQ4PEC=="
    expect(learn("accept", key), 0, http.accept_value(key))
    expect(learn("accept", text=_changed(Sec_WebSocket_Key=key)), 0, "unused bits")


def test_accept_names_the_mistake():
    """--got: what a server answered, and how it came to that."""
    digest = hashlib.sha1(http.KEY.encode() + http.GUID)
    wrong = base64.b64encode(digest.hexdigest().encode()).decode()
    expect(learn("accept", http.KEY, "--got", wrong), 1, "the hex digest was base64-encoded")
    expect(learn("accept", http.KEY, "--got", http.accept_value(http.KEY)), 0, "is right")


def test_accept_shows_the_bytes_behind_the_head():
    """They belong to the first frame; the next step draws it."""
    data = http.request() + frames.encode(TEXT, b"hi")
    expect(
        learn("accept", text=data), 0, "8 bytes follow the head", frames.encode(TEXT, b"hi").hex()
    )


# --- doctor ---------------------------------------------------------------------------------------


def test_doctor_connects_wscat():
    """All is here: exit 0, and wscat's message came back from a server that nobody here wrote."""
    expect(
        learn("doctor"),
        0,
        "all that is needed is here",
        "hello from wscat",
        "and it came back",
        "ulimit -n",
    )


def test_doctor_says_what_is_missing(tmp_path: Path):
    """Without strace and curl on PATH: exit 1, and the packages that bring them."""
    for name in ("g++", "make", "nc", "telnet", "wscat", "node", "tcpdump", "env", "sh"):
        for directory in os.environ["PATH"].split(":"):
            if (place := Path(directory) / name).exists():
                (tmp_path / name).symlink_to(place)
                break
    text = expect(
        learn("doctor", "--quick", PATH=str(tmp_path)), 1, "something is missing", "tools/setup"
    )
    assert "apt-get install strace" in text and "apt-get install curl" in text
    assert "cargo install websocat" in text and "github.com/vi/websocat/releases" in text


# --- the servers for review and trace -----------------------------------------------------------------


@pytest.fixture
def reference(pytestconfig: pytest.Config):
    """The path of a phase's executable, as the other suites take it."""

    def path(phase: int) -> str:
        build = pytestconfig.getoption("--build")
        program = pytestconfig.invocation_params.dir / build if build else ROOT
        program = program / f"phase{phase}"
        if not os.access(program, os.X_OK):
            pytest.fail(f"not built yet: make phase{phase}", pytrace=False)
        return str(program)

    return path


def reviewed(
    phase: int, server: str, *items: int, **environment: str
) -> subprocess.CompletedProcess:
    words = [word for item in items for word in ("--item", str(item))]
    return learn("review", str(phase), "--server", server, *words, **environment)


def failed(text: str) -> set[int]:
    """The items with a cross."""
    found, item = set(), 0
    for line in text.splitlines():
        if heading := re.match(r" (\d)  \S", line):
            item = int(heading.group(1))
        if line.startswith("    ✗"):
            found.add(item)
    return found


@pytest.mark.parametrize("phase", [1, 2, 3, 4, 5])
def test_review_passes_on_the_phases(phase: int, reference):
    """The reference passes all items of its phase, and none is left unmeasured."""
    text = expect(reviewed(phase, reference(phase)), 0, "8 items: ")
    assert "not measured" not in text
    for item, first in ((4, 3), (6, 5), (7, 4)):
        section = text.partition(f" {item}  ")[2].partition(f"\n {item + 1}  ")[0]
        assert ("not in this phase" in section) == (phase < first), section


BROKEN = r'''
"""A small server of the contract, phases 1, 3, 4 and 5, that can be told to make one mistake."""

import argparse, base64, ctypes, hashlib, re, select, socket, ssl

parser = argparse.ArgumentParser()
for flag, default in (("--port", 8080), ("--tls-port", 8443), ("--max-buffered", 4 << 20), ("--phase", 1)):
    parser.add_argument(flag, type=int, default=default)
for flag in ("--bug", "--cert", "--key"):
    parser.add_argument(flag, default="")
options = parser.parse_args()
BUG, PHASE = options.bug, options.phase
IN, OUT = select.EPOLLIN, select.EPOLLOUT
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
libc = ctypes.CDLL(None, use_errno=True)
epoll = select.epoll()
clients, kept = {}, []


class Client:
    def __init__(self, sock, tls):
        self.sock, self.tls = sock, tls
        self.input, self.out = bytearray(), bytearray()
        self.upgraded = PHASE == 1
        self.shaken, self.wants_write = not tls, False
        self.events, self.frame, self.message = IN, None, bytearray()
        self.opcode = 0

    def receive(self):
        if BUG == "eintr":
            buffer = ctypes.create_string_buffer(65536)
            count = libc.recv(self.sock.fileno(), buffer, 65536, 0)
            if count < 0 and ctypes.get_errno() == 11:
                raise BlockingIOError
            if count < 0:
                raise OSError("recv")
            return buffer.raw[:count]
        return self.sock.recv(1000 if BUG == "pending" else 65536)

    def on_read(self):
        while True:
            try:
                data = self.receive()
            except (BlockingIOError, ssl.SSLWantReadError):
                if BUG == "eagain-read":
                    raise OSError("recv failed")
                return True
            except ssl.SSLWantWriteError:
                self.wants_write = True
                return True
            if not data:
                return False
            self.input += data
            self.process()
            if not self.tls or BUG == "pending" or self.full():
                return True

    def process(self):
        if PHASE == 1:
            self.out += self.input
            self.input.clear()
        elif not self.upgraded:
            head, end, rest = bytes(self.input).partition(b"\r\n\r\n")
            if end:
                key = re.search(rb"(?i)sec-websocket-key: *(\S+)", head)[1]
                accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
                self.out += b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                self.out += b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
                self.input, self.upgraded = bytearray(rest), True
        if self.upgraded and PHASE > 1:
            while self.one_frame():
                pass
            if BUG == "partial" and self.input:
                self.input.clear()

    def one_frame(self):
        data = self.input
        if self.frame is None:
            size = data[1] & 127 if len(data) > 1 else 0
            width = {126: 2, 127: 8}.get(size, 0)
            if len(data) < 6 + width:
                return False
            if width:
                size = int.from_bytes(data[2 : 2 + width], "big")
            self.frame = [data[0], bytes(data[2 + width : 6 + width]), size, 0, bytearray()]
            del data[: 6 + width]
        first, key, size, place, payload = self.frame
        piece = data[: size - len(payload)]
        del data[: len(piece)]
        if BUG == "mask-restart":
            place = 0
        if BUG == "masked":
            key = bytes(4)
        turned = key[place % 4 :] + key[: place % 4]
        payload += bytes(a ^ b for a, b in zip(piece, turned * (len(piece) // 4 + 1)))
        self.frame[3] = place + len(piece)
        if len(payload) < size:
            return False
        self.frame = None
        self.whole(first & 128, first & 15, bytes(payload))
        return bool(data)

    def whole(self, fin, opcode, payload):
        if opcode == 9:
            return self.send(10, payload)
        if opcode == 10:
            return
        if opcode:
            self.opcode = opcode
            if BUG != "state":
                self.message.clear()
        if BUG == "order":
            self.message[:0] = payload
        else:
            self.message += payload
        if fin:
            self.send(self.opcode, bytes(self.message))

    def send(self, opcode, payload):
        size = len(payload)
        length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
        if size > 65535:
            length = b"\x7f" + size.to_bytes(8, "big")
        self.out += bytes([0x80 | opcode]) + length + payload

    def write(self):
        while self.out:
            try:
                count = self.sock.send(bytes(self.out[:65536]))
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                if BUG == "eagain-write":
                    self.out.clear()
                return
            del self.out[: len(self.out) if BUG == "short" else count]

    def full(self):
        return len(self.out) > (options.max_buffered // 2 if PHASE > 1 else 65536)

    def interest(self):
        events = (0 if self.full() else IN) | (OUT if self.out or self.wants_write else 0)
        if BUG == "epollout" and self.events & OUT:
            events |= OUT
        if BUG == "spin-stuck":
            events |= IN
        return events


def end(client):
    fd = client.sock.fileno()
    epoll.unregister(fd)
    del clients[fd]
    if BUG == "leak":
        kept.append(client)
    else:
        client.sock.close()


def serve(client, events):
    client.wants_write = False
    if not client.shaken:
        try:
            client.sock.do_handshake()
            client.shaken = True
        except ssl.SSLWantReadError:
            return
        except ssl.SSLWantWriteError:
            client.wants_write = True
    if events & OUT:
        client.write()
        if client.upgraded and PHASE > 1 and client.input:
            client.process()
    if events & ~OUT or client.tls:
        if client.shaken and not client.full() and not client.on_read():
            client.write()
            return end(client)
        client.write()
    wanted = client.interest()
    if wanted != client.events or BUG == "epoll_ctl":
        client.events = wanted
        epoll.modify(client.sock.fileno(), wanted)


def listen(port, scheme):
    listener = socket.create_server(("127.0.0.1", port), backlog=512)
    listener.setblocking(BUG == "blocking-listener")
    epoll.register(listener.fileno(), IN)
    print(f"listening on {scheme}://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    return listener


listeners = {}
first = listen(options.port, "tcp" if PHASE == 1 else "ws")
listeners[first.fileno()] = (first, None)
if PHASE == 5:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.cert, options.key)
    second = listen(options.tls_port, "wss")
    listeners[second.fileno()] = (second, context)
if BUG == "dies":
    raise SystemExit(3)
while True:
    for fd, events in epoll.poll(0.005 if BUG == "spin" else -1):
        if fd in listeners:
            listener, tls = listeners[fd]
            try:
                sock = listener.accept()[0]
            except BlockingIOError:
                continue
            sock.setblocking(BUG == "blocking")
            if tls:
                sock = tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            clients[sock.fileno()] = Client(sock, bool(tls))
            epoll.register(sock.fileno(), IN)
        elif fd in clients:
            try:
                serve(clients[fd], events)
            except OSError:
                if fd in clients:
                    end(clients[fd])
'''


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory):
    """The command of a server of a phase with one mistake; "" for none."""
    directory = tmp_path_factory.mktemp("broken")
    script = directory / "broken.py"
    script.write_text(BROKEN)
    files = Files.at(directory)
    files.write(issue("localhost"))

    def command(phase: int, bug: str = "") -> str:
        words = [sys.executable, str(script), "--phase", str(phase), *files.flags]
        return " ".join([*words, *(["--bug", bug] if bug else [])])

    return command


@pytest.mark.parametrize("phase", [1, 3, 4, 5])
def test_review_passes_on_another_server(phase: int, broken):
    """In another language, by other calls, without a mistake: nothing fails."""
    expect(reviewed(phase, broken(phase)), 0, "8 items: ")


# A mistake, the phase, the one item that must fail, and the cause that must be named.
MISTAKES = {
    "blocking": (1, 1, "while it does nobody else is served", [1]),
    "blocking-listener": (1, 1, "makes accept4 wait", [1]),
    "eagain-read": (1, 2, "recvfrom failed with EAGAIN, and the connection was closed", [2]),
    "eagain-write": (1, 2, "sendto said EAGAIN and the bytes were dropped", [2]),
    "eintr": (1, 2, "recvfrom failed with EINTR, and the connection was closed", [2]),
    "epollout": (3, 3, "EPOLLOUT was never disarmed", [3]),
    "spin-stuck": (3, 3, "epoll_wait returns at once", [3]),
    "epoll_ctl": (3, 3, "epoll is told anew what it knows", [3]),
    "masked": (3, 4, "your echo is still masked", [4, 5]),
    "mask-restart": (3, 4, "i % 4 was restarted at a partial read", [4, 5]),
    "partial": (3, 5, "", [5]),
    "short": (3, 5, "send() did not take", [4, 5]),
    "pending": (5, 6, "epoll cannot see that", [6]),
    "order": (4, 7, "in another order than they were sent", [7]),
    "state": (4, 7, "the state of the message before was not reset", [7]),
    "spin": (1, 8, "epoll_wait has a timeout that it does not need", [8]),
    "leak": (1, 8, "a descriptor is not closed", [8]),
}


@pytest.mark.parametrize("bug", MISTAKES)
def test_review_names_the_mistake(bug: str, broken):
    """The item that the mistake belongs to fails, its cause is named, and a hint is offered."""
    phase, item, cause, items = MISTAKES[bug]
    text = expect(
        reviewed(phase, broken(phase, bug), *items, WS_DEADLINE_SCALE="1"),
        1,
        cause,
        "measured",
        "look at",
    )
    assert failed(text) == {item}, text
    assert re.search(r"ask +\./learn hint [1-5]\.[1-5]", text)
    assert re.search(r"^next  \./learn hint [1-5]\.[1-5]", text, re.M)


def test_review_of_a_server_that_ends(broken):
    """A server that ends by itself is told as such, with its status."""
    expect(reviewed(1, broken(1, "dies"), 1), 1, "ended with exit status 3")


def test_review_of_nothing():
    """A command that is not there; phase 0, which is no server."""
    expect(learn("review", "1", "--server", "/no/such/server"), 1, "/no/such/server")
    expect(learn("review", "0"), 1, "no server")
    expect(learn("review", "7"), 2, "no phase")


def test_review_without_strace(reference, tmp_path: Path):
    """Where strace is not to be had, what needs it is not measured, and the rest is."""
    text = expect(
        learn(
            "review",
            "1",
            "--server",
            reference(1),
            "--item",
            "1",
            "--item",
            "2",
            PATH=str(tmp_path),
        ),
        0,
        "strace is not installed",
        "1 not measured",
    )
    assert failed(text) == set()


# --- trace ----------------------------------------------------------------------------------------


STEPS = {
    1: [
        "signals become bytes to read",
        "client 1 is descriptor",
        "EPOLLOUT is armed",
        "EPOLLOUT is disarmed",
        "end of client 1's stream",
    ],
    2: [
        "60 bytes of client 1",
        "all 129 bytes to client 1",
        "refused with 405",
        "our direction to client 2 ends",
    ],
    3: ["client 1 sends a frame in two pieces", "a short write", "CLOSE 1002"],
    4: ["gets its PONG", "in two fragments", "client 2 says CLOSE 1000"],
    5: [
        "the TLS handshake",
        "the timer has expired",
        "wait for EPOLLOUT",
        "client 2 says CLOSE 1000",
    ],
}


@pytest.mark.parametrize("phase", STEPS)
def test_trace_of_the_phases(phase: int, reference):
    """The calls of each step with what they mean; silence while idle; a bill; nothing is marked as wrong."""
    text = expect(learn("trace", str(phase), "--server", reference(phase)), 0, *STEPS[phase])
    assert "✗" not in text, text
    for words in (
        "not a single call",
        "✓ no call while nobody says anything",
        "exit status 0",
        "strace -f -e trace=network",
    ):
        assert words in text
    if phase != 2:
        assert re.search(r"✓ [34]\.\d calls a message over 20 messages", text), text


def test_trace_of_hello(reference):
    """Phase 0 is no server, and traced all the same."""
    expect(learn("trace", "0", "--server", reference(0)), 0, "write(1, ", "exit_group(0)")


def test_trace_finds_fault(broken):
    """What is wrong is marked: epoll told what it knows; a timeout that wakes the server up."""
    text = expect(learn("trace", "1", "--server", broken(1, "epoll_ctl")), 0, "a wasted call")
    assert re.search(r"✗ \d+ times: client \d is watched for EPOLLIN already", text), text
    expect(
        learn("trace", "1", "--server", broken(1, "spin")), 0, "✗ calls while nobody says anything"
    )


def test_trace_of_a_server_that_breaks_off(broken):
    """A conversation that breaks off: where, and why; exit status 1."""
    expect(
        learn("trace", "3", "--server", broken(3, "masked")),
        1,
        "broke off",
        "your echo is still masked",
    )


def test_syscalls_are_parsed():
    """Lines of strace -yy: descriptors, results, errors, injected ones, short writes, and calls cut by others."""
    from tools.syscalls import Tape, parse, peer_port

    client = "7<TCP:[127.0.0.1:8080->127.0.0.1:40000]>"
    call = parse(f'12 sendto({client}, "a, 9)<\\"b"..., 4096, MSG_NOSIGNAL, NULL, 0) = 392')
    assert call and (call.fd, call.result, call.offered, call.is_short) == (7, 392, 4096, True)
    assert peer_port(call.kind) == 40000 and call.is_write and "TCP" not in call.text
    call = parse(
        f"recvfrom({client}, 0x55, 4096, 0, NULL, NULL) = -1 EAGAIN (Resource temporarily unavailable) (INJECTED)"
    )
    assert call and (call.error, call.result, call.injected, call.is_read) == (
        "EAGAIN",
        -1,
        True,
        True,
    )
    call = parse(
        "9  accept4(5<TCPv6:[[::1]:80]>, NULL, NULL, SOCK_NONBLOCK) = 6<TCPv6:[[::1]:80->[::1]:77]>"
    )
    assert call and call.result == 6 and peer_port(call.fds[-1][1]) == 77
    call = parse(
        '1 sendmsg(7<socket:[1]>, {msg_iov=[{iov_base="x", iov_len=2}, {iov_base="y", iov_len=5}], msg_iovlen=2}, 0) = 7'
    )
    assert call and call.offered == 7 and not call.is_short
    assert parse("12 +++ exited with 0 +++") is None and parse("1 exit_group(0) = ?").result is None
    tape = Tape(Path("unused"))
    lines = [
        "1 read(3<pipe:[1]>, <unfinished ...>",
        "2 close(4) = 0",
        '1 <... read resumed>"x", 1) = 1',
    ]
    assert [parse(line).name for line in tape._joined(lines)] == ["close", "read"]


@pytest.mark.parametrize(
    "data",
    ["{u32=7, u64=7}", "{u32=7, u64=140000000000007}", "0x7", "0x7f5400000007"],
    ids=["strace 5", "strace 5, asyncio", "strace 6", "strace 6, asyncio"],
)
def test_epoll_data_is_read(data: str):
    """What epoll gives back is known again, as each strace prints it, and shown as a descriptor."""
    from tools.syscalls import parse
    from tools.trace import _shorten
    from tools.trace_reader import Reader

    reader, client = Reader(), "7<TCP:[127.0.0.1:8080->127.0.0.1:40000]>"
    reader.introduce(40000, "client 1")
    reader.read(parse(f"1 accept4(5<TCP:[127.0.0.1:8080]>, NULL, NULL, SOCK_NONBLOCK) = {client}"))
    add = f"epoll_ctl(4<anon_inode:[eventpoll]>, EPOLL_CTL_ADD, {client}, {{events=EPOLLIN, data={data}}}) = 0"
    wait = f"epoll_wait(4<anon_inode:[eventpoll]>, [{{events=EPOLLIN, data={data}}}], 64, -1) = 1"
    notes = [reader.read(parse(f"1 {line}")) for line in (add, add, wait)]
    assert [note and note.text for note in notes] == [
        "epoll watches client 1 for EPOLLIN",
        "client 1 is watched for EPOLLIN already: a wasted call",
        "woken: client 1 can be read",
    ]
    assert all("data=7}" in _shorten(note.call.text) for note in notes)


# --- all of them ------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["frame", "accept", "doctor", "trace", "review"])
def test_help_teaches(verb: str):
    """--help says what it is for, and shows examples; ./learn knows the verb."""
    text = said(learn(verb, "--help"))
    assert "Usage:" in text and (f"./learn {verb}" in text or verb == "doctor"), text


@pytest.mark.parametrize(
    "words",
    [["frame", "8105", "48656c6c6f"], ["accept", http.KEY], ["review", "--help"]],
    ids=" ".join,
)
def test_they_answer_at_once(words: list[str]):
    """Half a second at most, of this process's own time."""
    command = [sys.executable, "-X", "importtime", "-m", f"tools.{words[0]}", *words[1:]]
    imported = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stderr
    heavy = {"asyncio", "cryptography", "rich.markdown", "harness.client", "websockets"}
    found = {line.rsplit("|", 1)[-1].strip() for line in imported.splitlines()}
    assert not heavy & found, f"imported for nothing: {heavy & found}"
