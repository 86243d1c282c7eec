"""Phase 4: control frames, fragments, all lengths, UTF-8, and a good end. Tasks 4.1 to 4.5 of ROADMAP.md."""

import codecs
import random
import signal
import time
from typing import NamedTuple

import pytest
from hypothesis import given, strategies

from harness import frames, vectors
from harness.client import Client
from harness.deadlines import scaled
from harness.examples import bounded
from harness.failures import check
from harness.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MASK,
    PING,
    PONG,
    TEXT,
    UNMASKED,
    encode,
    encode_close,
)
from harness.run import Run
from harness.server import Target, run_to_end
from test_phase1 import expect_one_line

task = pytest.mark.task
MIB = 1 << 20


def fragments(opcode: int, *parts: bytes, final: bool = True) -> list[bytes]:
    """The frames of one message: the first names the type, the last has FIN (RFC 6455 §5.4)."""
    last = len(parts) - 1 if final else len(parts)
    return [
        encode(CONTINUATION if i else opcode, part, fin=i == last) for i, part in enumerate(parts)
    ]


def cut(payload: bytes, *places: int) -> list[bytes]:
    edges = [0, *sorted(places), len(payload)]
    return [payload[a:b] for a, b in zip(edges, edges[1:])]


# --- Task 4.1: PING, PONG and CLOSE ---------------------------------------------------------------


@task("4.1")
def test_ping(ws: Client):
    """A PING is answered with a PONG that carries the same payload (RFC 6455 §5.5.2)."""
    for payload in (
        b"Hello",
        b"",
        b"\0\xff\x80 no UTF-8 needed",
        b"p" * 124,
        b"p" * 125,
    ):
        ws.ping_pong(payload)


@task("4.1")
def test_ping_of_the_rfc(ws: Client):
    """The PING of RFC 6455 §5.7, masked, brings the PONG 8a 05 48 65 6c 6c 6f."""
    ws.send_frames(bytes.fromhex("898537fa213d7f9f4d5158"))
    ws.expect_frame(PONG, b"Hello", "RFC 6455 §5.7")


@task("4.1")
def test_every_ping_is_answered(ws: Client):
    """PINGs in one segment are answered in order, and so is the message between them (§5.5.2)."""
    ws.send_frames(
        encode(PING, b"1") + encode(BINARY, b"data") + encode(PING, b"2") + encode(PING, b"")
    )
    ws.expect_frame(PONG, b"1")
    ws.expect_frame(BINARY, b"data")
    ws.expect_frame(PONG, b"2")
    ws.expect_frame(PONG, b"")


@task("4.1")
def test_ping_byte_by_byte(ws: Client):
    """A PING may come one byte at a time."""
    data = encode(PING, b"slowly")
    ws.send_frames(data, cuts=range(1, len(data)))
    ws.expect_frame(PONG, b"slowly")


@task("4.1")
def test_unsolicited_pong(ws: Client):
    """A PONG that nobody asked for is ignored (RFC 6455 §5.5.3)."""
    ws.send_frames(encode(PONG, b"unasked") + encode(PONG) + encode(BINARY, b"after"))
    ws.expect_frame(BINARY, b"after", cause="a PONG is not answered.")


@task("4.1")
@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_fragmented_control_frame(ws: Client, opcode: int):
    """A control frame must not be fragmented: 1002 (RFC 6455 §5.5)."""
    ws.send_frame(opcode, b"", fin=False)
    ws.expect_failure(1002, "RFC 6455 §5.5", "FIN must be 1 in a control frame.")


@task("4.3")
@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_long_control_frame(ws: Client, opcode: int):
    """A control frame has at most 125 bytes: 1002 (RFC 6455 §5.5)."""
    ws.send_frame(opcode, b"\x03\xe8" + b"c" * 124)
    ws.expect_failure(1002, "RFC 6455 §5.5", "the length of a control frame is at most 125.")


GOOD_CODES = [
    1000,
    1001,
    1002,
    1003,
    1007,
    1008,
    1009,
    1010,
    1011,
    1012,
    1013,
    1014,
    3000,
    3999,
    4000,
    4999,
]
BAD_CODES = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]


@task("4.1")
@pytest.mark.parametrize("code", GOOD_CODES)
def test_close_code(ws: Client, code: int):
    """A code that may be sent is answered with the same code (RFC 6455 §5.5.1, §7.4)."""
    ws.goodbye(code)


@task("4.1")
@pytest.mark.parametrize("code", BAD_CODES)
def test_bad_close_code(ws: Client, code: int):
    """A code that must not be on the wire: 1002 (RFC 6455 §7.4.1, §7.4.2)."""
    ws.send_close(code)
    ws.expect_failure(
        1002, "RFC 6455 §7.4", f"{code} is reserved or out of range, and was accepted."
    )


@task("4.1")
def test_close_of_one_byte(ws: Client):
    """A CLOSE body is empty or has at least two bytes: one byte is 1002 (RFC 6455 §5.5.1)."""
    ws.send_frame(CLOSE, b"\x03")
    ws.expect_failure(1002, "RFC 6455 §5.5.1", "one byte is no code.")


@task("4.1")
def test_empty_close(ws: Client):
    """An empty CLOSE is answered with an empty one (RFC 6455 §5.5.1)."""
    ws.goodbye(None)


@task("4.1")
def test_one_close_each_way(ws: Client):
    """After its CLOSE the server sends nothing more, whatever comes (RFC 6455 §5.5.1)."""
    ws.send_frames(
        encode(PING, b"1") + encode_close(1000) + encode(PING, b"2") + encode_close(1001)
    )
    ws.expect_frame(PONG, b"1")
    ws.expect_close(1000)
    ws.expect_eof("RFC 6455 §5.5.1", "nothing is sent, and nothing processed, after a CLOSE.")


@task("4.1")
def test_nothing_is_processed_after_a_failure(ws: Client):
    """Behind a frame that fails the connection, PING and CLOSE are not answered (RFC 6455 §7.1.7)."""
    ws.send_frames(encode_close(1005) + encode(PING, b"2") + encode_close(1000))
    ws.expect_failure(1002, "RFC 6455 §7.1.7")
    ws.expect_patience()


@task("4.1")
def test_pongs_are_bounded(connect, start):
    """A client that sends PINGs and never reads cannot make the server keep PONGs without a bound (§5.5.2)."""
    server = start("--max-buffered", str(MIB))
    client = connect(server).handshake()
    client.ping_pong()
    before = server.rss()
    pings = encode(PING, b"p" * 125) * 500
    sent = client.send_until_stuck(pings, most=96 * MIB)
    grown = (server.rss() - before) / MIB
    limit = 24 if server.sanitized() else 12
    check(
        grown < limit,
        f"memory to grow by less than {limit} MiB",
        f"it grew by {grown:.0f} MiB",
        client=client,
    )
    rest = pings[sent % len(pings) :][: -sent % 131]
    client.send_bytes(
        rest + encode(PING, b"the last"),
        what="the rest of a PING, and a last one",
        seconds=30,
    )
    while client.next_frame("a PONG", "RFC 6455 §5.5.2").payload != b"the last":
        pass
    client.echo()


# --- Task 4.2: fragments ----------------------------------------------------------------------------


@task("4.2")
def test_fragments_of_the_rfc(ws: Client):
    """The fragments "Hel" and "lo" (RFC 6455 §5.7, masked) come back as one message "Hello"."""
    ws.send_frames(bytes.fromhex("018337fa213d7f9f4d" + "808237fa213d5b95"))
    ws.expect_frame(TEXT, b"Hello", "RFC 6455 §5.7")


@task("4.2")
def test_two_fragments_cut_everywhere(ws: Client):
    """A message in two fragments, cut at every place, comes back whole (RFC 6455 §5.4)."""
    message = b"a message of 33 bytes, cut in two"
    for place in range(len(message) + 1):
        ws.send_frames(b"".join(fragments(BINARY, *cut(message, place))))
        ws.expect_frame(BINARY, message, "RFC 6455 §5.4")


@task("4.2")
def test_fragments_of_one_byte(ws: Client):
    """A message may be cut into single bytes; the next one begins with a clean state (RFC 6455 §5.4)."""
    for message in (b"one byte at a time", b"and another one"):
        ws.send_frames(b"".join(fragments(BINARY, *cut(message, *range(1, len(message))))))
        ws.expect_frame(BINARY, message, "RFC 6455 §5.4")
    ws.echo(b"one frame after them")


@task("4.2")
def test_fragments_byte_by_byte(ws: Client):
    """Fragments may come one byte at a time."""
    data = b"".join(fragments(BINARY, b"first", b"", b"second", b"third"))
    ws.send_frames(data, cuts=range(1, len(data)))
    ws.expect_frame(BINARY, b"firstsecondthird", "RFC 6455 §5.4")


@task("4.2")
def test_the_first_fragment_names_the_type(ws: Client):
    """The type of a message is that of its first frame (RFC 6455 §5.4)."""
    ws.send_frames(b"".join(fragments(TEXT, b"te", b"xt") + fragments(BINARY, b"bi", b"na", b"ry")))
    ws.expect_frame(TEXT, b"text", "RFC 6455 §5.4")
    ws.expect_frame(BINARY, b"binary", "RFC 6455 §5.4")


@task("4.2")
@pytest.mark.parametrize(
    "parts",
    [
        [b"", b""],
        [b"", b"", b""],
        [b"", b"x"],
        [b"x", b""],
        [b"", b"x", b"", b"y", b""],
    ],
)
def test_empty_fragments(ws: Client, parts: list[bytes]):
    """Fragments may be empty (RFC 6455 §5.4)."""
    ws.send_frames(b"".join(fragments(BINARY, *parts)))
    ws.expect_frame(BINARY, b"".join(parts), "RFC 6455 §5.4")


@task("4.2")
def test_control_frames_between_fragments(ws: Client):
    """PINGs between fragments are answered at once, and do not disturb the message (RFC 6455 §5.4)."""
    first, second, third = fragments(BINARY, b"one ", b"two ", b"three")
    ws.send_frames(first + encode(PING, b"between"))
    ws.expect_frame(
        PONG,
        b"between",
        "RFC 6455 §5.5.2",
        cause="a PING is answered before the message ends.",
    )
    ws.send_frames(encode(PONG, b"unasked") + second + encode(PING) + third)
    ws.expect_frame(PONG)
    ws.expect_frame(BINARY, b"one two three", "RFC 6455 §5.4")


@task("4.2")
def test_close_between_fragments(ws: Client):
    """A CLOSE inside a message is answered; the message is lost (RFC 6455 §5.5.1)."""
    ws.send_frames(fragments(BINARY, b"never", b"ends")[0] + encode_close(1001))
    ws.expect_close(1001)
    ws.expect_eof()


@task("4.2")
def test_continuation_of_nothing(ws: Client):
    """A CONTINUATION outside a message: 1002 (RFC 6455 §5.4)."""
    ws.send_frame(CONTINUATION, b"of what?")
    ws.expect_failure(1002, "RFC 6455 §5.4", "there is no message to continue.")


@task("4.2")
def test_continuation_after_the_end(ws: Client):
    """A CONTINUATION after a message has ended: 1002, the state is clean again (RFC 6455 §5.4)."""
    ws.send_frames(b"".join(fragments(BINARY, b"a", b"b")) + encode(CONTINUATION, b"c", fin=False))
    ws.expect_frame(BINARY, b"ab")
    ws.expect_failure(1002, "RFC 6455 §5.4", "the state of the ended message was not reset.")


@task("4.2")
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("fin", [True, False])
def test_a_message_inside_a_message(ws: Client, opcode: int, fin: bool):
    """A new TEXT or BINARY before the message before has ended: 1002 (RFC 6455 §5.4)."""
    ws.send_frames(encode(BINARY, b"open", fin=False) + encode(opcode, b"new", fin=fin))
    ws.expect_failure(1002, "RFC 6455 §5.4", "fragments of two messages must not be mixed.")


@task("4.2")
def test_two_clients_with_open_messages(connect, start):
    """Two clients send the fragments of their messages in turn: the state belongs to the connection."""
    server = start()
    one, two = connect(server).handshake(), connect(server).handshake()
    for number, (mine, yours) in enumerate(
        zip(fragments(BINARY, *[b"m"] * 9), fragments(BINARY, *[b"y"] * 9))
    ):
        one.send_frames(mine)
        two.send_frames(yours)
    one.expect_frame(BINARY, b"m" * 9)
    two.expect_frame(BINARY, b"y" * 9)


@task("4.2")
@pytest.mark.parametrize("size, most", [(1000, 1024), (32768, 2048)])
def test_count_of_fragments(connect, start, size: int, most: int):
    """A message has at most max(1024, max-message / 16) fragments, empty ones too; past that 1008."""
    client = connect(start("--max-message", str(size))).handshake()
    for _ in range(2):
        client.send_frames(b"".join(fragments(BINARY, *[b""] * (most - 1), b"end")))
        client.expect_frame(BINARY, b"end", cause=f"{most} fragments are allowed.")
    client.send_frames(b"".join(fragments(BINARY, *[b""] * (most + 1), final=False)))
    client.expect_failure(
        1008,
        "RFC 6455 §7.4.1",
        "empty fragments count too: each costs work, and none ends it.",
    )


@task("4.2")
def test_sum_of_fragments(connect, start):
    """--max-message bounds the sum of the fragments: exactly at it is fine, one byte more is 1009."""
    server = start("--max-message", "100")
    for last in (20, 21):
        client = connect(server).handshake()
        client.send_frames(b"".join(fragments(BINARY, b"a" * 40, b"b" * 40, b"c" * last)))
        if last == 20:
            client.expect_frame(BINARY, b"a" * 40 + b"b" * 40 + b"c" * 20)
            client.echo(b"the sum starts anew")
        else:
            client.expect_failure(
                1009,
                "RFC 6455 §7.4.1",
                "each fragment is within the limit, their sum is not.",
            )


@task("4.2")
def test_max_message(connect, start):
    """--max-message 100: 100 bytes come back, 101 are 1009 (RFC 6455 §7.4.1)."""
    client = connect(start("--max-message", "100")).handshake()
    client.echo(b"x" * 100)
    client.ping_pong(b"a control frame is no message".ljust(125))
    client.send_frame(BINARY, b"x" * 101)
    client.expect_failure(1009, "RFC 6455 §7.4.1")


# --- Task 4.3: lengths ------------------------------------------------------------------------------


SIZES = [
    0,
    1,
    125,
    126,
    127,
    128,
    255,
    256,
    257,
    511,
    32767,
    32768,
    65535,
    65536,
    65537,
    131072,
    MIB - 1,
    MIB,
]


def bytes_of(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@task("4.3")
@pytest.mark.parametrize("size", SIZES)
def test_length(ws: Client, size: int):
    """Lengths of 7, 16 and 64 bits are read and written, each in its shortest form (RFC 6455 §5.2)."""
    for mask in (MASK, b"\1\2\3\4"):
        ws.send_frame(BINARY, bytes_of(size), mask=mask)
        ws.expect_frame(BINARY, bytes_of(size))


@task("4.3")
def test_lengths_one_after_another(ws: Client):
    """Frames of all length forms in one stream keep their borders."""
    sizes = [126, 0, 65536, 125, 127, 70000, 1, 300]
    ws.send_frames(b"".join(encode(BINARY, bytes_of(size)) for size in sizes))
    for size in sizes:
        ws.expect_frame(BINARY, bytes_of(size))


@task("4.3")
@pytest.mark.parametrize("size", [200, 65600])
def test_cuts_of_long_headers(ws: Client, size: int):
    """A long header may be cut at every place, and the payload soon after it."""
    data = encode(BINARY, bytes_of(size))
    for place in range(1, 24):
        ws.send_frames(data, cuts=[place, len(data) - 3])
        ws.expect_frame(BINARY, bytes_of(size))


@task("4.3")
def test_a_long_frame_byte_by_byte(ws: Client):
    """300 bytes, one at a time."""
    data = encode(BINARY, bytes_of(300))
    ws.send_frames(data, cuts=range(1, len(data)))
    ws.expect_frame(BINARY, bytes_of(300))


@task("4.3")
def test_large_pieces(ws: Client):
    """1 MiB in pieces of odd sizes: the mask's place is right at the start of each (RFC 6455 §5.3)."""
    data = encode(BINARY, bytes_of(MIB))
    places = [
        sum(random.Random(n).randrange(1, 65536) for n in range(count)) for count in range(1, 40)
    ]
    ws.send_frames(data, cuts=places)
    ws.expect_frame(BINARY, bytes_of(MIB), "RFC 6455 §5.3")


@task("4.3")
def test_long_fragments(ws: Client):
    """Fragments with 16- and 64-bit lengths make one message (RFC 6455 §5.4)."""
    parts = [bytes_of(size) for size in (65536, 126, 0, 125, 300_000)]
    ws.send_frames(b"".join(fragments(BINARY, *parts)))
    ws.expect_frame(BINARY, b"".join(parts), "RFC 6455 §5.4")


@task("4.3")
@pytest.mark.parametrize(
    "form, length",
    [(16, 0), (16, 1), (16, 125), (64, 0), (64, 125), (64, 126), (64, 65535)],
)
def test_a_length_that_is_not_minimal(ws: Client, form: int, length: int):
    """A length must be in its shortest form: else 1002 (RFC 6455 §5.2)."""
    ws.send_frame(BINARY, b"x" * length, form=form)
    ws.expect_failure(1002, "RFC 6455 §5.2", "the minimal number of bytes must encode the length.")


@task("4.3")
@pytest.mark.parametrize("length", [1 << 63, (1 << 63) + 5, (1 << 64) - 1])
def test_the_top_bit_of_a_length(ws: Client, length: int):
    """The top bit of a 64-bit length must be zero: else 1002 (RFC 6455 §5.2)."""
    ws.send_frame(BINARY, form=64, length=length)
    ws.expect_failure(1002, "RFC 6455 §5.2", "the most significant bit must be 0.")


@task("4.3")
@pytest.mark.parametrize("length", [MIB + 1, 1 << 31, (1 << 32) + 5, (1 << 63) - 1])
def test_too_long(ws: Client, length: int):
    """Over --max-message: 1009 as soon as the header is there, before any payload (RFC 6455 §7.4.1)."""
    ws.send_frame(BINARY, form=64, length=length)
    ws.expect_failure(
        1009,
        "RFC 6455 §7.4.1",
        "compare the whole 64-bit length, before anything is allocated.",
    )


@task("4.3")
@pytest.mark.parametrize("length", [MIB - 9, (1 << 32) - 10, (1 << 63) - 10, (1 << 63) - 1])
def test_a_sum_that_overflows(ws: Client, length: int):
    """Ten bytes and a fragment whose length makes the sum too large, or overflow: 1009 (§7.4.1)."""
    ws.send_frames(
        encode(BINARY, b"ten bytes.", fin=False) + encode(CONTINUATION, form=64, length=length)
    )
    ws.expect_failure(
        1009,
        "RFC 6455 §7.4.1",
        "compare length > limit - used: the sum used + length can overflow.",
    )


@task("4.3")
def test_a_promise_takes_no_memory(connect, start):
    """200 headers that announce 16 MiB each and bring nothing cost little memory."""
    server = start("--max-message", str(16 * MIB))
    connect(server).handshake().echo()
    before = server.rss()
    clients = [connect(server).handshake() for _ in range(200)]
    for client in clients:
        client.send_frame(BINARY, length=16 * MIB)
    connect(server).handshake().echo()
    grown = (server.rss() - before) / MIB
    cause = "memory was reserved (and touched) for what a header announces."
    check(
        grown < 64,
        "less than 64 MiB for 200 announced messages",
        f"{grown:.0f} MiB",
        cause=cause,
        server=server,
    )


@task("4.3")
def test_large_messages_to_a_slow_reader(connect, start):
    """Messages of 1 MiB to a client that reads late: none is lost, memory is bounded (the contract: --max-buffered)."""
    server = start("--max-buffered", str(2 * MIB))
    client = connect(server).handshake()
    client.echo()
    before = server.rss()
    frame = encode(BINARY, bytes_of(MIB))
    sent = client.send_until_stuck(frame, most=64 * len(frame))
    grown = (server.rss() - before) / MIB
    limit = 48 if server.sanitized() else 24
    check(
        grown < limit,
        f"memory to grow by less than {limit} MiB",
        f"it grew by {grown:.0f} MiB",
        client=client,
    )
    rest = frame[sent % len(frame) :] if sent % len(frame) else b""
    client.send_bytes(rest, what="the rest of a frame", seconds=30)
    for _ in range((sent + len(rest)) // len(frame)):
        client.expect_frame(BINARY, bytes_of(MIB), seconds=30)
    client.echo()


# --- Task 4.4: UTF-8 -----------------------------------------------------------------------------------


GOOD_TEXT = [
    "",
    "ASCII",
    "κόσμε",
    "\0",
    "\x7f\x80",
    "\u07ff\u0800",
    "\ud7ff\ue000",
    "\ufffd\uffff",
    "\U00010000",
    "\U0010ffff",
]
BAD_TEXT = {
    "a continuation alone": b"\x80",
    "the last continuation": b"\xbf",
    "overlong NUL": b"\xc0\x80",
    "overlong slash": b"\xc0\xaf",
    "C1": b"\xc1\xbf",
    "overlong in 3": b"\xe0\x80\x80",
    "highest overlong in 3": b"\xe0\x9f\xbf",
    "first surrogate": b"\xed\xa0\x80",
    "last surrogate": b"\xed\xbf\xbf",
    "overlong in 4": b"\xf0\x80\x80\x80",
    "highest overlong in 4": b"\xf0\x8f\xbf\xbf",
    "above U+10FFFF": b"\xf4\x90\x80\x80",
    "F5": b"\xf5\x80\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "FE": b"\xfe",
    "FF": b"\xff",
    "no continuation": b"\xc3(",
    "a character in a character": b"\xe2\x82\xe2",
    "a third continuation": b"\xe2\x82\xac\x80",
}
CUT_SHORT = [b"\xc3", b"\xe2", b"\xe2\x82", b"\xf0", b"\xf0\x9f", b"\xf0\x9f\x99"]


def first_wrong(data: bytes) -> int | None:
    """The index of the first byte that cannot be right, by Python's decoder; None if there is none."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for index in range(len(data)):
        try:
            decoder.decode(data[index : index + 1])
        except UnicodeDecodeError:
            return index
    return None


@task("4.4")
@pytest.mark.parametrize("text", GOOD_TEXT, ids=ascii)
def test_good_text(ws: Client, text: str):
    """What is UTF-8 comes back: the borders of each length, and what lies around the surrogates (RFC 3629)."""
    ws.send_text(text)
    ws.expect_text(text, "RFC 6455 §8.1")
    ws.send_text("before " + text + " behind")
    ws.expect_text("before " + text + " behind", "RFC 6455 §8.1")


@task("4.4")
@pytest.mark.parametrize("data", BAD_TEXT.values(), ids=BAD_TEXT)
def test_bad_text(ws: Client, data: bytes):
    """TEXT that is not UTF-8: 1007 (RFC 6455 §8.1)."""
    ws.send_text(b"before " + data + b" behind")
    ws.expect_failure(
        1007,
        "RFC 6455 §8.1",
        f"{data.hex(' ')} is not UTF-8 (RFC 3629 §4), and was accepted.",
    )


@task("4.4")
@pytest.mark.parametrize("data", BAD_TEXT.values(), ids=BAD_TEXT)
def test_fail_fast(ws: Client, data: bytes):
    """The connection fails at the first byte that cannot be right, before the frame has ended (§8.1)."""
    wrong = first_wrong(data)
    frame = encode(TEXT, b"begin " + data[: wrong + 1] + b"." * 80)
    ws.send_frames(frame[: 6 + len(b"begin ") + wrong + 1])
    ws.expect_failure(
        1007,
        "RFC 6455 §8.1",
        "check the text as it arrives: this byte can never become UTF-8.",
    )


@task("4.4")
@pytest.mark.parametrize("data", CUT_SHORT, ids=bytes.hex)
def test_text_that_ends_within_a_character(ws: Client, data: bytes):
    """A message must not end in the middle of a character: 1007 (RFC 6455 §8.1)."""
    ws.send_text(b"cut short " + data)
    ws.expect_failure(
        1007,
        "RFC 6455 §8.1",
        "at the end of the message the decoder must be between characters.",
    )


@task("4.4")
@pytest.mark.parametrize("data", CUT_SHORT, ids=bytes.hex)
def test_fragments_that_end_within_a_character(ws: Client, data: bytes):
    """The same, when an empty fragment is the last one (RFC 6455 §8.1)."""
    ws.send_frames(b"".join(fragments(TEXT, b"cut short " + data, b"")))
    ws.expect_failure(
        1007,
        "RFC 6455 §8.1",
        "at the end of the message the decoder must be between characters.",
    )


@task("4.4")
def test_characters_cut_by_fragments(ws: Client):
    """A character may be cut by the border of a fragment, at every place (RFC 6455 §5.4, §8.1)."""
    text = "é€🙂ü".encode()
    for place in range(len(text) + 1):
        ws.send_frames(b"".join(fragments(TEXT, *cut(text, place))))
        ws.expect_frame(
            TEXT,
            text,
            "RFC 6455 §8.1",
            cause="the decoder's state goes on from fragment to fragment.",
        )


@task("4.4")
def test_characters_cut_by_reads(ws: Client):
    """A character may be cut by a read, at every place (RFC 6455 §8.1)."""
    text = "é€🙂ü".encode()
    data = encode(TEXT, text)
    for place in range(1, len(data)):
        ws.send_frames(data, cuts=[place])
        ws.expect_frame(
            TEXT,
            text,
            "RFC 6455 §8.1",
            cause="the decoder's state goes on from read to read.",
        )


@task("4.4")
def test_a_ping_within_a_character(ws: Client):
    """A PING between the halves of a character, with bytes that are no UTF-8, disturbs nothing (§5.4)."""
    first, second = fragments(TEXT, b"\xf0\x9f", b"\x99\x82")
    ws.send_frames(first + encode(PING, b"\xff\xfe") + second)
    ws.expect_frame(PONG, b"\xff\xfe")
    ws.expect_frame(TEXT, "🙂".encode(), "RFC 6455 §8.1")


@task("4.4")
def test_text_after_binary(ws: Client):
    """What a BINARY leaves unfinished is no part of the TEXT after it, and is not checked (§5.6, §8.1)."""
    ws.echo(b"binary, and half a character: \xe2\x82")
    ws.send_text("fine")
    ws.expect_text("fine", "RFC 6455 §8.1")
    ws.send_frames(b"".join(fragments(BINARY, b"\xf0", b"\x9f")) + encode(TEXT, b"fine again"))
    ws.expect_frame(BINARY, b"\xf0\x9f")
    ws.expect_text("fine again", "RFC 6455 §8.1")


@task("4.4")
def test_one_bad_byte_anywhere(connect, start):
    """One wrong byte at each place of 70 ASCII bytes is found: block-wise checks skip none (§8.1)."""
    server = start()
    for place in range(70):
        client = connect(server).handshake()
        client.send_text(b"a" * place + b"\x80" + b"a" * (69 - place))
        client.expect_failure(1007, "RFC 6455 §8.1", f"the wrong byte at {place} was passed over.")
        client.close()


@task("4.4")
def test_one_good_character_anywhere(ws: Client):
    """One character of two bytes at each place of 70 ASCII bytes comes back (§8.1)."""
    for place in range(70):
        text = "a" * place + "é" + "a" * (69 - place)
        ws.send_text(text)
        ws.expect_text(text, "RFC 6455 §8.1")


@task("4.4")
@pytest.mark.parametrize(
    "reason",
    ["", "bye", "grüße 🙂", "r" * 123],
    ids=["empty", "ascii", "utf8", "longest"],
)
def test_close_reason(ws: Client, reason: str):
    """A CLOSE with a reason is answered with its code (RFC 6455 §5.5.1)."""
    ws.send_close(1000, reason.encode())
    ws.expect_close(1000)
    ws.expect_eof()


@task("4.4")
@pytest.mark.parametrize(
    "reason",
    [*BAD_TEXT.values(), *CUT_SHORT],
    ids=[*BAD_TEXT, *map(bytes.hex, CUT_SHORT)],
)
def test_bad_close_reason(ws: Client, reason: bytes):
    """A CLOSE whose reason is not UTF-8: 1007 (RFC 6455 §5.5.1, §8.1)."""
    ws.send_close(1000, b"why " + reason)
    ws.expect_failure(1007, "RFC 6455 §8.1", "the reason of a CLOSE is text too.")


# --- hypothesis: random conversations against a model -----------------------------------------------------


@task("4.4")
def test_random_text(run: Run):
    """Random bytes as TEXT, in random fragments: an echo if Python can decode them, else 1007 (§8.1)."""
    server = run.start()
    some_text = strategies.text(max_size=8).map(str.encode)
    pieces = some_text | some_text | strategies.sampled_from([*BAD_TEXT.values(), *CUT_SHORT])

    @bounded(200)
    @given(
        strategies.lists(pieces, max_size=5).map(b"".join),
        strategies.lists(strategies.integers(0, 30), max_size=3),
    )
    def holds(data: bytes, places: list[int]) -> None:
        client = run.connect(server).handshake()
        parts = cut(data, *(min(place, len(data)) for place in places))
        client.send_frames(b"".join(fragments(TEXT, *parts)))
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            client.expect_failure(1007, "RFC 6455 §8.1")
        else:
            client.expect_frame(TEXT, data, "RFC 6455 §8.1")
        client.close()

    holds()


class Message(NamedTuple):
    opcode: int
    payload: bytes
    places: list[int]  # where it is cut into fragments
    pings: list[bytes]  # one goes before each of the first fragments
    mask: bytes


SIZED = strategies.sampled_from([0, 1, 5, 125, 126, 127, 1000, 65535, 65536]) | strategies.integers(
    0, 300
)
MESSAGES = strategies.builds(
    Message,
    opcode=strategies.just(BINARY),
    payload=SIZED.map(bytes_of),
    places=strategies.lists(strategies.integers(0, 65536), max_size=5),
    pings=strategies.lists(strategies.binary(max_size=125), max_size=3),
    mask=strategies.binary(min_size=4, max_size=4),
) | strategies.builds(
    Message,
    opcode=strategies.just(TEXT),
    payload=strategies.text(max_size=60).map(str.encode),
    places=strategies.lists(strategies.integers(0, 60), max_size=5),
    pings=strategies.lists(strategies.binary(max_size=125), max_size=3),
    mask=strategies.binary(min_size=4, max_size=4),
)


def conversation(messages: list[Message]) -> tuple[bytes, list[tuple[int, bytes]]]:
    """The bytes to send, and the model: the frames that must come back, in this order."""
    sent, model = b"", []
    for message in messages:
        parts = cut(
            message.payload,
            *(min(place, len(message.payload)) for place in message.places),
        )
        for index, part in enumerate(parts):
            if index < len(message.pings):
                sent += encode(PING, message.pings[index])
                model.append((PONG, message.pings[index]))
            opcode = CONTINUATION if index else message.opcode
            sent += encode(opcode, part, fin=index == len(parts) - 1, mask=message.mask)
        model.append((message.opcode, message.payload))
    return sent, model


@task("4.4")
def test_random_conversations(run: Run):
    """Random messages, fragments, PINGs and cuts: what comes back is what the model says (RFC 6455 §5)."""
    server = run.start()

    @bounded(120)
    @given(
        strategies.lists(MESSAGES, min_size=1, max_size=6),
        strategies.lists(strategies.integers(1, 2000), max_size=8),
        strategies.sampled_from([None, 1000, 3000]),
    )
    def holds(messages: list[Message], cuts: list[int], code: int | None) -> None:
        client = run.connect(server).handshake()
        sent, model = conversation(messages)
        client.send_frames(sent, cuts=cuts)
        for opcode, payload in model:
            client.expect_frame(opcode, payload, "RFC 6455 §5")
        client.goodbye(code)
        client.close()

    holds()


# --- Task 4.5: a good end ---------------------------------------------------------------------------


def expect_exit(server, most: float, words: str) -> None:
    begin = time.monotonic()
    status = server.wait(most + 8)
    took = time.monotonic() - begin
    check(status == 0, f"exit status 0 {words}", server.ending(), server=server)
    check(
        took < most,
        f"the end within {most:.1f} s {words}",
        f"it took {took:.1f} s",
        server=server,
    )
    server.stopped = True


@task("4.5")
def test_sigterm_says_goodbye(connect, start):
    """SIGTERM: an open connection gets CLOSE 1001; when it has answered, the server ends (RFC 6455 §7.4.1)."""
    server = start()
    client = connect(server).handshake()
    client.echo()
    server.signal(signal.SIGTERM)
    client.expect_close(1001, "RFC 6455 §7.4.1")
    left = server.wait(0.3)
    words = "the server to wait for the answer to its CLOSE"
    check(left is None, words, "it did not", "RFC 6455 §7.1.1", server=server)
    client.send_close(1001)
    client.expect_eof(cause="a second CLOSE: the peer's answer to ours is not answered again.")
    client.close()
    expect_exit(server, scaled(8), "after all have answered")


@task("4.5")
def test_sigterm_with_a_thousand_connections(connect, start):
    """SIGTERM with 1,000 open connections: each gets 1001, and the server exits with 0."""
    server = start()
    clients = [connect(server).handshake() for _ in range(1000)]
    server.signal(signal.SIGTERM)
    for client in clients:
        client.expect_close(1001, "RFC 6455 §7.4.1")
    for client in clients:
        client.close()
    expect_exit(server, scaled(8), "with 1,000 connections")


@task("4.5")
def test_sigterm_with_a_client_that_does_not_answer(connect, start):
    """A client that does not answer the CLOSE is waited for at most 2 s."""
    server = start()
    client = connect(server).handshake()
    server.signal(signal.SIGTERM)
    client.expect_close(1001, "RFC 6455 §7.4.1")
    expect_exit(server, 2 + max(1.5, scaled(1.5)), "though a client does not answer")


@task("4.5")
def test_sigterm_with_a_slow_reader(connect, start):
    """A client that is stuck and never reads its CLOSE is waited for at most 2 s."""
    server = start("--max-buffered", "65536")
    client = connect(server, narrow=True).handshake()
    client.send_until_stuck(encode(BINARY, b"x" * 100) * 100, most=8 * MIB)
    server.signal(signal.SIGTERM)
    expect_exit(server, 2 + max(1.5, scaled(1.5)), "though a client does not read")


@task("4.5")
def test_a_second_signal_ends_the_wait(connect, start):
    """A second signal ends the wait for clients that do not answer."""
    server = start()
    client = connect(server).handshake()
    server.signal(signal.SIGTERM)
    client.expect_close(1001, "RFC 6455 §7.4.1")
    server.signal(signal.SIGINT)
    expect_exit(server, 1.5, "at once after the second signal")


@task("4.5")
def test_sigterm_in_the_middle(connect, start):
    """SIGTERM while a message, or a handshake, is half way: 1001 to the one, the end to the other."""
    server = start()
    inside, outside = connect(server).handshake(), connect(server)
    inside.send_frames(
        encode(BINARY, b"half a message", fin=False) + encode(CONTINUATION, b"half a frame")[:7]
    )
    outside.send_request(b"GET / HTTP/1.1\r\nHost: loc")
    connect(server).handshake().close()
    server.signal(signal.SIGTERM)
    inside.expect_close(1001, "RFC 6455 §7.4.1")
    inside.close()
    outside.close()
    expect_exit(server, scaled(8), "with a message and a handshake half way")


@task("4.5")
def test_sigterm_after_close(connect, start):
    """A connection that has had its CLOSE gets no second one at SIGTERM (RFC 6455 §5.5.1)."""
    server = start()
    client = connect(server).handshake()
    client.goodbye(1000)
    server.signal(signal.SIGTERM)
    expect_exit(server, 2 + max(1.5, scaled(1.5)), "with a connection that is closing")
    client.expect_eof()


@task("4.2")
@pytest.mark.parametrize(
    "flags",
    [["--max-message"], ["--max-message", "banana"], ["--max-message", "-1"]],
    ids=" ".join,
)
def test_a_wrong_flag(target: Target, flags: list[str]):
    """A wrong value for --max-message: one line on stderr that names the flag, and exit status 2."""
    expect_one_line(run_to_end(target, *flags), 2, flags[0])


# --- vectors/phase4.txt ---------------------------------------------------------------------------


@vectors.of_phase(4)
def test_vectors(ws: Client, vector: vectors.Vector):
    """The bytes of vectors/phase4.txt are answered with those that stand below them."""
    vectors.play(ws, vector)
