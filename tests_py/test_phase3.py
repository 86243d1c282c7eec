"""Phase 3: small frames and backpressure. Tasks 3.1, 3.2 and 3.3 of ROADMAP.md."""

import random
import re
import socket

import pytest

from harness import frames, strace, vectors, websockets_client
from harness.client import Client, send_until_stuck
from harness.deadlines import Deadline, wait_until
from harness.failures import CheckFailed, check
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
from harness.http import request
from harness.run import Run
from harness.server import Server, Target, run_to_end
from harness.tools import tool, wscat
from test_phase1 import expect_one_line

task = pytest.mark.task
small_only = pytest.mark.phases(3)  # what phase 4 adds is refused here
MIB = 1 << 20


def key(number: int) -> bytes:
    """A masking key whose four bytes differ."""
    return random.Random(number).randbytes(4)


# --- Task 3.1: frames ---------------------------------------------------------------------------


@task("3.1")
def test_hello(ws: Client):
    """The masked "Hello" of RFC 6455 §5.7 comes back as the unmasked one."""
    ws.send_frames(bytes.fromhex("818537fa213d7f9f4d5158"))
    ws.expect_frame(TEXT, b"Hello", "RFC 6455 §5.7")


@task("3.1")
def test_binary(ws: Client):
    """A BINARY frame comes back as BINARY, with every byte value (RFC 6455 §5.6)."""
    for start in range(0, 256, 64):
        ws.echo(bytes(range(start, start + 64)))


@task("3.1")
def test_text_that_is_not_ascii(ws: Client):
    """UTF-8 comes back byte for byte (RFC 6455 §5.6)."""
    for text in ("grüße", "κόσμε", "日本語", "🙂🙃"):
        ws.send_text(text)
        ws.expect_text(text)


@task("3.1")
def test_every_small_length(ws: Client):
    """All payload lengths from 0 to 125 come back (RFC 6455 §5.2)."""
    for size in range(126):
        ws.echo(bytes(255 - i for i in range(size)), TEXT if size == 0 else BINARY)


@task("3.1")
def test_many_masks(ws: Client):
    """Whatever the masking key, the payload is the same (RFC 6455 §5.3)."""
    for mask in [
        bytes(4),
        b"\xff" * 4,
        b"\0\0\0\1",
        b"\x80\0\0\0",
        *map(key, range(20)),
    ]:
        ws.send_frame(BINARY, b"the same payload", mask=mask)
        ws.expect_frame(BINARY, b"the same payload", "RFC 6455 §5.3")


@task("3.1")
def test_the_mask_starts_anew(ws: Client):
    """Each frame starts at byte 0 of its own masking key, whatever the length of the one before (§5.3)."""
    for number, size in enumerate([1, 2, 3, 5, 1, 6, 7, 4, 9, 3]):
        ws.send_frame(BINARY, b"abcdefghij"[:size], mask=key(number))
        ws.expect_frame(BINARY, b"abcdefghij"[:size], "RFC 6455 §5.3")


@task("3.1")
def test_byte_by_byte(ws: Client):
    """A frame may come one byte at a time: the mask's place survives each partial read (RFC 6455 §5.3)."""
    data = encode(BINARY, b"thirteen byte") + encode(TEXT, b"then seventeen by", mask=key(1))
    ws.send_frames(data, cuts=range(1, len(data)))
    ws.expect_frame(BINARY, b"thirteen byte")
    ws.expect_frame(TEXT, b"then seventeen by")


@task("3.1")
def test_every_cut(ws: Client):
    """Two frames in two pieces, cut at every place: in a header, in a key, in a payload."""
    first, second = b"seven b", b"and eleven!"
    for cut in range(1, 6 + 7 + 6 + 11):
        data = encode(BINARY, first, mask=key(cut)) + encode(BINARY, second, mask=key(-cut))
        ws.send_frames(data, cuts=[cut])
        ws.expect_frame(BINARY, first)
        ws.expect_frame(BINARY, second)


@task("3.1")
def test_several_frames_in_one_write(ws: Client):
    """Frames that come in one segment are all answered, in order."""
    messages = [b"message %d" % number for number in range(300)]
    ws.send_frames(b"".join(encode(BINARY, m, mask=key(i)) for i, m in enumerate(messages)))
    for message in messages:
        ws.expect_frame(
            BINARY,
            message,
            cause="after a frame, look for the next one in what was already read.",
        )


@task("3.1")
def test_frames_with_the_handshake(connect):
    """Frames in the same segment as the request are not lost (RFC 6455 §4.2.2: the connection is then open)."""
    client = connect()
    client.send_frames(request() + encode(TEXT, b"early") + encode(TEXT, b"bird"))
    client.sent = []
    client.expect_upgrade()
    cause = (
        "the bytes that follow the request's empty line were dropped: they are the first frames."
    )
    client.expect_frame(TEXT, b"early", cause=cause)
    client.expect_frame(TEXT, b"bird", cause=cause)


@task("3.1")
def test_a_cut_around_the_handshake(connect, start):
    """The request and a frame in two pieces, cut anywhere near the border between them."""
    server = start()
    head, frame = request(), encode(TEXT, b"early")
    for cut in range(len(head) - 5, len(head) + len(frame)):
        client = connect(server)
        client.send_request(head + frame, cuts=[cut])
        client.expect_upgrade()
        client.expect_frame(
            TEXT,
            b"early",
            cause="the first bytes of a frame came with the end of the request.",
        )
        client.close()


@task("3.1")
@small_only
def test_ping_and_pong_are_ignored(ws: Client):
    """Phase 3 reads over PING and PONG; the message after them is answered next."""
    ws.send_frames(
        encode(PING, b"are you there") + encode(PONG) + encode(PING) + encode(TEXT, b"after")
    )
    ws.expect_text("after", cause="phase 3 answers TEXT and BINARY only.")


@task("3.1")
def test_many_clients(connect, start):
    """100 clients at the same time, each with its own frames half way through."""
    server = start()
    clients = [connect(server).handshake() for _ in range(100)]
    sent = [encode(TEXT, b"from client %d" % n, mask=key(n)) for n in range(100)]
    for client, data in zip(clients, sent):
        client.send_frames(data[:9])
    for client, data in zip(clients, sent):
        client.send_frames(data[9:])
    for number, client in enumerate(clients):
        client.sent = []
        client.expect_text(
            f"from client {number}",
            cause="the state of a frame belongs to its connection.",
        )


@task("3.1")
def test_wscat(start):
    """wscat sends a small text message and prints its echo."""
    server = start()
    with tool(server, *wscat(server.url, "hello from wscat")) as client:
        client.expect("hello from wscat\n")
        client.end_input()
        status = client.wait()
    check(
        status == 0,
        "wscat to end in peace",
        f"its exit status is {status}",
        server=server,
    )


@task("3.3")
def test_python_websockets(start):
    """The library websockets, which masks at random, gets its messages back and closes with 1000."""
    server = start()
    messages = ["hello", b"\0\1\2", "grüße", "", b"x" * 125]
    echoes, code = websockets_client.converse(server.url, messages)
    check(
        echoes == messages,
        f"the echoes {messages}",
        f"they were {echoes}",
        server=server,
    )
    check(
        code == 1000,
        "the closing handshake to end with 1000",
        f"it ended with {code}",
        server=server,
    )


# --- Task 3.2: write buffering and backpressure ----------------------------------------------------


def numbered(count: int, size: int = 120) -> tuple[bytes, bytes]:
    """Frames to send, and what is to come back: payloads that tell their place."""
    payloads = [(b"%08d " % n).ljust(size, b".") for n in range(count)]
    sent = b"".join(encode(BINARY, p, mask=key(n)) for n, p in enumerate(payloads))
    return sent, b"".join(encode(BINARY, p, mask=UNMASKED) for p in payloads)


SENT, ECHOES = numbered(2000)
FRAME, ECHO = len(SENT) // 2000, len(ECHOES) // 2000


def expected_echoes(sent: int) -> bytes:
    """What comes back for that many bytes of SENT, over and over."""
    count = sent // FRAME * ECHO
    return (ECHOES * (count // len(ECHOES) + 1))[:count]


LOST = "what send() did not take must wait in the connection's queue, in order, until EPOLLOUT."
SPINS = "a paused socket is still watched for EPOLLIN, or EPOLLOUT is armed though nothing waits: epoll_wait returns at once."


@task("3.2")
@pytest.mark.parametrize("narrow", [False, True], ids=["wide", "narrow"])
@pytest.mark.parametrize("cap", ["4194304", "65536", "4096"])
def test_a_slow_reader_loses_nothing(connect, start, narrow: bool, cap: str):
    """A client sends until no more is taken, and only then reads: every echo comes, in order."""
    client = connect(start("--max-buffered", cap), narrow=narrow).handshake()
    sent = client.send_until_stuck(SENT, most=48 * MIB)
    client.expect_bytes(expected_echoes(sent), cause=LOST, seconds=30)
    rest = SENT[sent % len(SENT) :][: -sent % FRAME]
    if rest:  # finish the frame that was cut by being stuck
        client.send_bytes(rest, what="the rest of a frame")
        client.expect_bytes(expected_echoes(sent + FRAME)[-ECHO:], cause=LOST)
    client.echo(b"and now as before")


@task("3.2")
def test_a_long_conversation_on_narrow_sockets(connect, start):
    """Short writes at every turn: 20,000 echoes through the smallest socket buffers."""
    client = connect(start("--max-buffered", "16384"), narrow=True).handshake()
    client.send_bytes(SENT * 10, what="20,000 frames", seconds=30)
    client.expect_bytes(ECHOES * 10, cause=LOST, seconds=30)


@task("3.2")
def test_memory_is_bounded(connect, start):
    """What waits for a client that never reads is bounded by --max-buffered, and so is the memory."""
    server = start("--max-buffered", str(MIB))
    connect(server).handshake().echo()
    before = server.rss()
    client = connect(server).handshake()
    sent = client.send_until_stuck(SENT, most=96 * MIB)
    grown = (server.rss() - before) / MIB
    limit = 24 if server.sanitized() else 12
    check(
        grown < limit,
        f"the server's memory to grow by less than {limit} MiB with --max-buffered of 1 MiB",
        f"it grew by {grown:.0f} MiB while it took {sent / MIB:.0f} MiB",
        cause="stop reading (disarm EPOLLIN) while more than half of --max-buffered waits; TCP then slows the peer down.",
        client=client,
    )
    check(
        sent < 96 * MIB,
        "a client that never reads to be stopped",
        "all 96 MiB were taken",
        client=client,
    )


@task("3.2")
def test_memory_is_given_back(connect, start):
    """One client after the other is stuck and then reads all of it; idle, they keep no memory."""
    server = start("--max-buffered", str(MIB))

    def stuck_and_read() -> None:
        client = connect(server, narrow=True).handshake()
        sent = client.send_until_stuck(SENT, most=16 * MIB)
        client.expect_bytes(expected_echoes(sent), seconds=30)

    for _ in range(2):
        stuck_and_read()
    before = server.rss()
    for _ in range(8):
        stuck_and_read()
    grown, limit = (server.rss() - before) / MIB, 6 if server.sanitized() else 3
    check(
        grown < limit,
        f"8 clients whose queues are empty again to keep less than {limit} MiB",
        f"it is {grown:.1f} MiB",
        cause="clear() keeps the room of a vector, and so does `= {}`: move an empty vector into it.",
        server=server,
    )


@task("3.2")
def test_idle_while_stuck(connect, start):
    """While all that could be done is wait for a slow reader, the server sleeps."""
    server = start("--max-buffered", "65536")
    client = connect(server, narrow=True).handshake()
    client.send_until_stuck(SENT, most=16 * MIB)
    server.expect_idle("a slow reader is stuck", SPINS, wakeups=5)


@task("3.2")
def test_idle_after_draining(connect, start):
    """When the queue has drained, EPOLLOUT is no longer watched: the server sleeps."""
    server = start("--max-buffered", "65536")
    client = connect(server, narrow=True).handshake()
    sent = client.send_until_stuck(SENT, most=16 * MIB)
    client.expect_bytes(expected_echoes(sent), cause=LOST, seconds=30)
    server.expect_idle(
        "nothing waits to be sent",
        "EPOLLOUT was never disarmed: a drained socket is always writable.",
    )


@task("3.2")
def test_epollout_is_disarmed(run: Run):
    """strace: EPOLLOUT is armed when a client is stuck, and disarmed when its queue has drained (epoll(7))."""
    server, file = strace.traced(run, "--max-buffered", "65536")
    client = run.connect(server, narrow=True).handshake()
    sent = client.send_until_stuck(SENT, most=8 * MIB)
    client.expect_bytes(expected_echoes(sent), cause=LOST, seconds=30)
    client.close()
    server.stop()
    changes = [
        line
        for line in strace.calls(file)
        if re.search(r"epoll_ctl\(\d+, EPOLL_CTL_(ADD|MOD)", line)
    ]
    states: dict[str, list[bool]] = {}
    for line in changes:
        descriptor = re.search(r"EPOLL_CTL_\w+, (\d+)", line).group(1)
        states.setdefault(descriptor, []).append("EPOLLOUT" in line)
    armed = [fd for fd, history in states.items() if any(history)]
    drawn = [line[:100] for line in changes[-4:]]
    check(
        armed,
        "EPOLLOUT to be armed for a client that is stuck",
        "it never was",
        drawn=drawn,
        server=server,
    )
    left = [fd for fd in armed if states[fd][-1]]
    check(
        not left,
        "EPOLLOUT to be disarmed after the queue drained",
        "it stayed armed",
        drawn=drawn,
        server=server,
    )


@task("3.2")
def test_a_hundred_slow_readers(run: Run, start):
    """100 clients never read while 100 others are served; memory is bounded and the server sleeps."""
    server = start("--max-buffered", "65536")
    run.connect(server).handshake().echo()
    before = server.rss()
    stuck = [run.connect(server, narrow=True).handshake() for _ in range(100)]
    send_until_stuck(stuck, SENT, most=MIB)
    for number in range(100):
        run.connect(server).handshake().echo(b"served, number %d" % number)
    server.expect_idle("100 slow readers are stuck", SPINS, wakeups=10)
    grown = (server.rss() - before) / MIB
    limit = 64 if server.sanitized() else 32
    check(
        grown < limit,
        f"100 × --max-buffered of 64 KiB to take less than {limit} MiB",
        f"memory grew by {grown:.0f} MiB",
        server=server,
    )


@task("3.2")
def test_end_of_stream_of_a_slow_reader(connect, start):
    """A stuck client ends its direction: all that was read is still answered and sent, then the end."""
    client = connect(start("--max-buffered", "65536"), narrow=True).handshake()
    sent = client.send_until_stuck(SENT, most=16 * MIB)
    client.half_close()
    client.expect_bytes(
        expected_echoes(sent),
        cause="the peer's end of stream must not drop what is queued.",
        seconds=30,
    )
    client.expect_eof()


def flood(client: Client, server: Server, most: int = 64 * MIB) -> bool:
    """Send without reading until the server ends the connection; False if it never does."""
    deadline, sent = Deadline(15), 0
    others = server.descriptors() - 1
    while sent < most and not deadline.over():
        try:
            taken = client.try_send(memoryview(SENT)[sent % len(SENT) :])
        except OSError:
            return True
        sent += taken
        if not taken and wait_until(lambda: server.descriptors() <= others, 0.2):
            return True
    return wait_until(lambda: server.descriptors() <= others, 3)


@task("3.2")
def test_drop(run: Run, start):
    """--when-full drop: past --max-buffered the connection ends, and the others are served on."""
    server = start("--max-buffered", "65536", "--when-full", "drop")
    other = run.connect(server).handshake()
    client = run.connect(server, narrow=True).handshake()
    ended = flood(client, server)
    check(
        ended,
        "a client that never reads to be dropped",
        "the connection still stands",
        client=client,
    )
    other.echo()
    run.connect(server).handshake().echo()


@task("3.2")
def test_drop_sends_only_whole_frames_in_order(run: Run, start):
    """What a dropped client still gets is the beginning of its echoes, perhaps cut, perhaps with CLOSE 1013."""
    server = start("--max-buffered", "65536", "--when-full", "drop")
    client = run.connect(server, narrow=True).handshake()
    flood(client, server)
    deadline = Deadline()
    while client.read_more(deadline):
        pass
    got = bytes(client.inbox)
    whole = got[: len(got) // ECHO * ECHO]
    if whole != expected_echoes(len(whole) // ECHO * FRAME):
        whole = whole[: frames.first_difference(whole, expected_echoes(len(whole) // ECHO * FRAME))]
        found = frames.decode(got, len(whole))
        is_close = (
            found and found.opcode == CLOSE and found.payload[:2] == (1013).to_bytes(2, "big")
        )
        drawn = frames.draw(got[len(whole) :])
        check(
            is_close,
            "only echoes, and then CLOSE 1013",
            "something else came",
            drawn=drawn,
            client=client,
        )


@task("3.2")
def test_drop_spares_a_client_that_reads(connect, start):
    """--when-full drop: a client that reads its echoes is never dropped, however much it sends."""
    client = connect(start("--max-buffered", "1048576", "--when-full", "drop")).handshake()
    for _ in range(20):
        client.send_bytes(SENT, what="2,000 frames", seconds=30)
        client.expect_bytes(ECHOES, seconds=30)


@task("3.2")
@pytest.mark.parametrize(
    "flags",
    [
        ["--max-buffered"],
        ["--max-buffered", "banana"],
        ["--max-buffered", "-5"],
        ["--when-full", "sometimes"],
    ],
    ids=" ".join,
)
def test_a_wrong_flag(target: Target, flags: list[str]):
    """A wrong value for a flag of phase 3: one line on stderr that names the flag, and exit status 2."""
    expect_one_line(run_to_end(target, *flags), 2, flags[0])


# --- Task 3.3: CLOSE, and what breaks the protocol ---------------------------------------------------


@task("3.3")
@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4999])
def test_close_is_answered(ws: Client, code: int):
    """A CLOSE is answered with its own code; then the server ends the connection (RFC 6455 §5.5.1)."""
    ws.echo()
    ws.goodbye(code)


@task("3.3")
def test_empty_close(ws: Client):
    """An empty CLOSE is answered with an empty one (RFC 6455 §5.5.1)."""
    ws.goodbye(None)


@task("3.3")
def test_nothing_after_close(ws: Client):
    """After CLOSE nothing is processed: a message behind it is not answered (RFC 6455 §5.5.1)."""
    ws.send_frames(
        encode(TEXT, b"before") + encode_close(1000) + encode(TEXT, b"after") + encode_close(1001)
    )
    ws.expect_text("before")
    ws.expect_close(1000)
    ws.expect_eof("RFC 6455 §5.5.1", "after a CLOSE, frames must not be processed any more.")


@task("3.3")
def test_close_byte_by_byte(ws: Client):
    """A CLOSE may come in pieces too."""
    data = encode_close(1000)
    ws.send_frames(data, cuts=range(1, len(data)))
    ws.expect_close(1000)
    ws.expect_eof()


@task("3.3")
def test_server_waits_for_our_end(ws: Client):
    """After the closing handshake the server half-closes, and reads on until our end of stream (§7.1.1)."""
    ws.goodbye()
    ws.expect_patience()


@task("3.3")
def test_closed_connections_are_given_back(run: Run, start):
    """Closed and failed connections leave no descriptor behind once the client has ended its side."""
    server = start()
    run.connect(server).handshake()
    before = server.descriptors()
    for number in range(20):
        client = run.connect(server).handshake()
        if number % 2:
            client.goodbye()
        else:
            client.send_frame(TEXT, b"unmasked", mask=UNMASKED)
            client.expect_failure(1002, "RFC 6455 §5.1")
        client.close()
    gone = wait_until(lambda: server.descriptors() <= before)
    check(
        gone,
        "no descriptor left behind",
        f"{server.descriptors() - before} are",
        server=server,
    )


@task("3.3")
def test_end_of_stream_without_close(connect, start):
    """A client that just ends, between frames or within one, gets its echoes and then the end."""
    server = start()
    whole = encode(TEXT, b"whole")
    for rest in (b"", whole[:1], whole[:4], whole[:8]):
        client = connect(server).handshake()
        client.send_frames(whole + rest)
        client.half_close()
        client.expect_text("whole")
        client.expect_eof("the contract: what is queued is still sent, then the connection ends")


UNMASKED_FRAMES = {
    "text": encode(TEXT, b"Hello", mask=UNMASKED),
    "empty": encode(TEXT, mask=UNMASKED),
    "ping": encode(PING, mask=UNMASKED),
    "close": encode_close(1000, mask=UNMASKED),
}


@task("3.3")
@pytest.mark.parametrize("data", UNMASKED_FRAMES.values(), ids=UNMASKED_FRAMES)
def test_unmasked(ws: Client, data: bytes):
    """A client's frame must be masked: 1002 (RFC 6455 §5.1)."""
    ws.send_frames(data + encode(TEXT, b"after"))
    ws.expect_failure(
        1002, "RFC 6455 §5.1", "the mask bit, 0x80 of the second byte, was not checked."
    )


@task("3.3")
@pytest.mark.parametrize("rsv", range(1, 8))
def test_reserved_bits(ws: Client, rsv: int):
    """RSV bits without an extension: 1002 (RFC 6455 §5.2)."""
    ws.send_frame(TEXT, b"Hello", rsv=rsv)
    ws.expect_failure(1002, "RFC 6455 §5.2", "bits 0x70 of the first byte must be zero.")


@task("3.3")
@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_unknown_opcode(ws: Client, opcode: int):
    """An opcode that RFC 6455 does not define: 1002 (§5.2)."""
    ws.send_frame(opcode, b"Hello")
    ws.expect_failure(
        1002, "RFC 6455 §5.2", "only the opcodes 0, 1, 2, 8, 9 and 10 have a meaning."
    )


@task("3.3")
@small_only
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_fragments_are_refused(ws: Client, opcode: int):
    """Phase 3 has no fragments: FIN=0 is answered with 1003."""
    ws.send_frame(opcode, b"first part", fin=False)
    ws.expect_failure(1003, "RFC 6455 §7.4.1", "FIN, 0x80 of the first byte, was not checked.")


@task("3.3")
@small_only
def test_continuations_are_refused(ws: Client):
    """Phase 3 has no fragments: a CONTINUATION is answered with 1003."""
    ws.send_frame(CONTINUATION, b"last part")
    ws.expect_failure(1003, "RFC 6455 §7.4.1", "opcode 0 continues a message; here there are none.")


@task("3.3")
@small_only
@pytest.mark.parametrize("size", [126, 127, 200, 65535, 65536, 100_000])
def test_longer_payloads_are_refused(ws: Client, size: int):
    """Phase 3 takes at most 125 bytes of payload: more is answered with 1009 (RFC 6455 §7.4.1)."""
    ws.send_frame(BINARY, b"x" * size)
    ws.expect_failure(
        1009,
        "RFC 6455 §7.4.1",
        "126 and 127 announce a longer length; they are no lengths.",
    )


@task("3.3")
def test_answers_before_the_failure(ws: Client):
    """What came before the bad frame is answered; what comes behind it is not (RFC 6455 §7.1.7)."""
    good, bad = encode(TEXT, b"good"), encode(TEXT, b"bad", mask=UNMASKED)
    ws.send_frames(good + good + bad + good)
    ws.expect_text("good")
    ws.expect_text("good")
    ws.expect_failure(1002, "RFC 6455 §5.1")


@task("3.3")
def test_failure_reaches_a_client_that_still_sends(ws: Client):
    """A client with a megabyte in flight still gets the close code, and no reset (RFC 6455 §7.1.1)."""
    ws.send_frames(encode(TEXT, b"bad", mask=UNMASKED) + b"m" * MIB, reading=False)
    ws.expect_failure(1002, "RFC 6455 §5.1")
    ws.expect_patience()


@task("3.3")
def test_failure_does_not_wait_for_our_close(ws: Client):
    """After a failure the server half-closes at once; our CLOSE later changes nothing (RFC 6455 §7.1.7)."""
    ws.send_frame(3, b"what is this")
    ws.expect_failure(1002, "RFC 6455 §7.1.7")
    ws.send_close(1002)
    ws.expect_patience()


@task("3.3")
def test_failure_of_a_slow_reader(connect, start):
    """A bad frame behind a full queue: the client gets all its echoes, and then the code."""
    client = connect(start("--max-buffered", "65536"), narrow=True).handshake()
    sent = client.send_until_stuck(SENT, most=16 * MIB)
    rest = SENT[sent % len(SENT) :][: -sent % FRAME]
    client.send_bytes(
        rest + encode(TEXT, b"bad", mask=UNMASKED),
        what="the rest of a frame, and an unmasked one",
    )
    client.expect_bytes(expected_echoes(sent + len(rest)), cause=LOST, seconds=30)
    client.expect_failure(1002, "RFC 6455 §5.1")


@task("3.3")
def test_failure_disturbs_nobody(connect, start):
    """20 connections fail, each in its own way; another one goes on as if nothing had happened."""
    server = start()
    other = connect(server).handshake()
    other.send_frames(encode(TEXT, b"patience")[:8])
    for number in range(20):
        client = connect(server).handshake()
        client.send_bytes(random.Random(number).randbytes(200), what="200 bytes of noise")
        client.abort()
    other.send_bytes(encode(TEXT, b"patience")[8:], what="the rest of the frame")
    other.expect_text("patience")


@task("3.2")
def test_end_of_stream_behind_a_queue(connect, start):
    """A client ends its stream before it reads: it gets all of its echoes, and then the end."""
    server = start()
    client = connect(server, narrow=True).handshake()
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MIB)
    client.send_bytes(SENT * 4, reading=False, seconds=30)
    client.half_close()
    wait_until(server.asleep)
    cause = "the peer's end of stream must not drop what is queued."
    client.expect_bytes(ECHOES * 4, cause=cause, seconds=30)
    client.expect_eof()


@task("3.2")
def test_an_end_and_then_a_reset(run: Run, start):
    """A client ends its stream, is owed echoes, and breaks off: no SIGPIPE, and others are served."""
    server = start()
    other, rude = run.connect(server), run.connect(server, narrow=True).handshake()
    rude.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MIB)
    rude.send_bytes(SENT[:300_000], reading=False, seconds=30)
    rude.half_close()
    rude.wait_until_end_has_come()
    wait_until(server.asleep)
    rude.abort()
    run.expect_served(other)


# --- vectors/phase3.txt ---------------------------------------------------------------------------


@vectors.of_phase(3)
def test_vectors(ws: Client, vector: vectors.Vector):
    """The bytes of vectors/phase3.txt are answered with those that stand below them."""
    vectors.play(ws, vector)


@small_only
@vectors.of_phase(3, only=True)
def test_vectors_of_this_phase_only(ws: Client, vector: vectors.Vector):
    """What later phases take is refused in phase 3, or read over (vectors/phase3.txt)."""
    vectors.play(ws, vector)
