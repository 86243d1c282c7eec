"""Phase 2: the opening handshake of RFC 6455 §4. Tasks 2.1 and 2.2 of ROADMAP.md."""

import base64
import os

import pytest
from hypothesis import given, strategies

from harness import heads, http, vectors
from harness.client import Client
from harness.deadlines import wait_until
from harness.examples import bounded
from harness.failures import check
from harness.heads import HEADERS, with_headers, with_line
from harness.http import changed, request, upgrade_headers
from harness.run import Run
from harness.tools import tool

task = pytest.mark.task
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # §1.3


# --- Task 2.1: the handshake --------------------------------------------------------------------


@task("2.1")
def test_the_example_of_the_rfc(connect):
    """The key dGhlIHNhbXBsZSBub25jZQ== earns the accept value of RFC 6455 §1.3."""
    client = connect()
    client.send_request()
    response = client.expect_upgrade()
    check(
        response.header("Sec-WebSocket-Accept") == ACCEPT,
        ACCEPT,
        "another value",
        client=client,
    )


@task("2.1")
def test_curl(start):
    """curl sends a handshake and prints 101 Switching Protocols and the right accept value."""
    server = start()
    host, port = server.address
    scheme = "https" if server.tls else "http"
    headers = [f"{name}: {value}" for name, value in HEADERS if name != "Host"]
    words = [word for header in headers for word in ("-H", header)]
    url = f"{scheme}://{host}:{port}/"
    with tool(server, "curl", "-svkN", "--http1.1", *words, url) as curl:
        curl.expect("< HTTP/1.1 101 Switching Protocols", "RFC 6455 §4.2.2")
        curl.expect(ACCEPT, "RFC 6455 §4.2.2")


@task("2.1")
def test_many_keys(connect, start):
    """Each key has its own accept value: base64 of SHA-1 of key and GUID (RFC 6455 §4.2.2)."""
    server = start()
    for number in range(20):
        key = base64.b64encode(bytes([number * 13]) * 16).decode()
        client = connect(server)
        client.send_request(request(upgrade_headers(key)))
        client.expect_upgrade(key)


@task("2.1")
def test_random_keys(run: Run):
    """Any 16 bytes make a key (RFC 6455 §4.1)."""
    server = run.start()

    @bounded(40)
    @given(strategies.binary(min_size=16, max_size=16))
    def holds(nonce: bytes) -> None:
        key = base64.b64encode(nonce).decode()
        client = run.connect(server)
        client.send_request(request(upgrade_headers(key)))
        client.expect_upgrade(key)
        client.close()

    holds()


@task("2.1")
@pytest.mark.parametrize("what", heads.ACCEPTABLE)
def test_acceptable(connect, what: str):
    """Names and tokens are compared without case; lists may be split or repeated (RFC 6455 §4.2.1)."""
    client = connect()
    client.send_request(heads.ACCEPTABLE[what])
    client.expect_upgrade(cause=f"a check is too strict: {what}.")


@task("2.1")
def test_no_space_after_the_colon(connect):
    """The white space after a header's colon is optional (RFC 9112 §5)."""
    client = connect()
    client.send_request(request().replace(b": ", b":"))
    client.expect_upgrade()


def expect_all_taken(run: Run, family: heads.Heads, rule: str) -> None:
    """Each of them opens a WebSocket."""
    server = run.start()
    for what, head in family.items():
        client = run.connect(server)
        client.send_request(head)
        client.expect_upgrade(cause=f"this was refused: {what}. See {rule}.")
        client.close()


@task("2.1")
def test_targets(run: Run):
    """The target may be any path, with a query or without, or a URL (RFC 6455 §4.1, RFC 9112 §3.2.2)."""
    expect_all_taken(run, heads.GOOD_TARGETS, "RFC 9112 §3.2")


@task("2.1")
def test_hosts(run: Run):
    """A Host is a name or an address, perhaps with a port, or empty (RFC 9110 §7.2, RFC 9112 §3.2)."""
    expect_all_taken(run, heads.GOOD_HOSTS, "RFC 9110 §7.2")


@task("2.1")
def test_newer_http(run: Run):
    """A higher minor version of HTTP is taken for 1.1 (RFC 6455 §4.2.1, item 1; RFC 9110 §2.5)."""
    expect_all_taken(run, heads.NEWER_HTTP, "RFC 9110 §2.5")


@task("2.1")
def test_a_key_with_unused_bits(connect):
    """The key that RFC 6455 §4.1 prints has unused bits set: it is 16 bytes all the same, and its text is hashed."""
    key = "AQIDBAUGBwgJCgsMDQ4PEC=="
    client = connect()
    client.send_request(request(upgrade_headers(key)))
    client.expect_upgrade(key, cause="clients in the field send such keys: decode them leniently.")


@task("2.1")
def test_byte_by_byte(connect):
    """The request may come one byte at a time."""
    client = connect()
    data = request()
    client.send_request(data, cuts=range(1, len(data)))
    client.expect_upgrade(cause="keep the incomplete head, and go on with it at the next read.")


@task("2.1")
def test_every_cut(connect, start):
    """The request may come in two pieces, cut anywhere."""
    server = start()
    data = request()
    for cut in range(1, len(data)):
        client = connect(server)
        client.send_request(data, cuts=[cut])
        client.expect_upgrade(
            cause=f"the request was cut after byte {cut}: keep the incomplete head."
        )
        client.close()


@task("2.1")
def test_at_the_limits(connect, start):
    """A head of exactly 8 KiB is accepted, and so is one of exactly 100 fields."""
    server = start()
    filling = 8192 - len(request(with_headers(("X-Filling", ""))))
    for headers in (
        with_headers(("X-Filling", "f" * filling)),
        with_headers(*[("X", "y")] * (100 - len(HEADERS))),
    ):
        client = connect(server)
        client.send_request(request(headers))
        client.expect_upgrade(
            cause="the limits are 8,192 bytes and 100 fields; what is just within is accepted."
        )


@task("2.1")
@pytest.mark.phases(2)
def test_what_follows_is_discarded(connect):
    """Phase 2 keeps the connection open after 101, discards what comes, and ends when the client does."""
    client = connect()
    client.send_request(request() + b"bytes in the same segment as the head")
    client.expect_upgrade()
    for _ in range(3):
        client.send_bytes(os.urandom(100_000), what="100,000 bytes")
        client.expect_open("the contract: phase 2 keeps an upgraded connection open")
    client.half_close()
    client.expect_eof()


@task("2.1")
def test_many_handshakes_at_a_time(connect, start):
    """100 clients, each with its own key, are half way through their requests at the same time."""
    server = start()
    keys = [base64.b64encode(bytes([number]) * 16).decode() for number in range(100)]
    clients = [connect(server) for _ in keys]
    for half in (slice(0, 100), slice(100, None)):
        for client, key in zip(clients, keys):
            client.send_request(request(upgrade_headers(key))[half])
    for client, key in zip(clients, keys):
        client.expect_upgrade(key, cause="each connection needs a parser of its own.")


@task("2.1")
def test_a_client_that_gives_up(run: Run, start):
    """Clients that leave in the middle of their request leave nothing behind."""
    server = start()
    run.connect(server).handshake()
    before = server.descriptors()
    for cut in range(0, 150, 10):
        client = run.connect(server)
        client.send_request(request()[:cut])
        client.half_close()
        client.expect_eof()
        client.close()
    gone = wait_until(lambda: server.descriptors() <= before)
    check(
        gone,
        "no descriptor left behind",
        f"{server.descriptors() - before} are",
        server=server,
    )


# --- Task 2.2: refusals -------------------------------------------------------------------------


@task("2.2")
@pytest.mark.parametrize("what", heads.BAD_REQUEST)
def test_bad_request(connect, what: str):
    """A malformed head or handshake: 400, as a whole response that says why (RFC 6455 §4.2.1, RFC 9112)."""
    client = connect()
    client.send_request(heads.BAD_REQUEST[what])
    client.expect_refusal(400, cause=f"this was not refused: {what}.")


def expect_all_refused(run: Run, family: heads.Heads, *statuses: int, rule: str) -> None:
    """Each of them, and none is taken for the beginning of something."""
    server = run.start()
    for what, head in family.items():
        client = run.connect(server)
        client.send_request(head)
        client.expect_refusal(*statuses, rule=rule, cause=f"this is what was sent: {what}.")
        client.close()


@task("2.2")
def test_bad_hosts(run: Run):
    """More than one Host, none, or one that is no host and port: 400 (RFC 9112 §3.2)."""
    expect_all_refused(run, heads.BAD_HOSTS, 400, rule="RFC 9112 §3.2")


@task("2.2")
def test_bad_targets(run: Run):
    """A target that is neither a path nor a URL of http, https, ws or wss: 400 (RFC 9112 §3.2)."""
    expect_all_refused(run, heads.BAD_TARGETS, 400, rule="RFC 9112 §3.2")


@task("2.2")
def test_bad_lengths(run: Run):
    """A Content-Length that leaves in doubt where the request ends: 400 (RFC 9112 §6.3)."""
    expect_all_refused(run, heads.BAD_LENGTHS, 400, rule="RFC 9112 §6.3")


@task("2.2")
def test_content(run: Run):
    """Content behind the head is not taken for frames: a handshake that has any is refused (RFC 9110 §7.8)."""
    expect_all_refused(run, heads.CONTENT, 400, 411, 413, 501, rule="RFC 9110 §7.8")


@task("2.2")
def test_expectations(run: Run):
    """An Expect is refused, or answered: by a 100 before the 101 (RFC 9110 §7.8, §10.1.1)."""
    server = run.start()
    for what, head in heads.EXPECTING.items():
        client = run.connect(server)
        client.send_request(head)
        cause = f"the expectation was ignored: {what}."
        response = client.expect_response((100, 417), "RFC 9110 §10.1.1", cause)
        if response.status == 100:
            client.expect_upgrade()


@task("2.2")
def test_the_head_alone(run: Run):
    """A refusal of HEAD has no content, whatever is wrong, and as soon as the method is known (RFC 9110 §9.3.2)."""
    server = run.start()
    for data, status in (
        (request(method="HEAD"), 405),
        (request(heads.with_headers(Host=None), method="HEAD"), 400),
        (b"HEAD / HTTP/1.1\r\nX-A b\r\n\r\n", 400),
        (b"HEAD /" + b"t" * 9000, 414),
        (b"HEAD / HTTP/1.1\r\nX-A: " + b"b" * 9000, 431),
    ):
        client = run.connect(server)
        client.send_request(data)
        client.expect_refusal(status, rule="RFC 9110 §9.3.2")


@task("2.2")
@pytest.mark.parametrize("what", heads.NO_UPGRADE)
def test_no_upgrade(connect, what: str):
    """Without the tokens `websocket` and `Upgrade` it is no handshake; a substring is no match (§4.2.1)."""
    client = connect()
    client.send_request(heads.NO_UPGRADE[what])
    cause = "compare whole tokens of the comma list, not substrings of the line."
    client.expect_refusal(400, 404, 426, cause=cause)


@task("2.2")
@pytest.mark.parametrize("what", heads.METHODS)
def test_only_get(connect, what: str):
    """Another method than GET: 405 with `Allow: GET`; methods are case-sensitive (RFC 9110 §15.5.6)."""
    client = connect()
    client.send_request(heads.METHODS[what])
    cause = f"the method is {what}, and only GET, in capitals, opens a WebSocket."
    client.expect_refusal(405, rule="RFC 9110 §15.5.6", cause=cause, Allow="GET")


@task("2.2")
def test_old_http(run: Run):
    """The handshake is an HTTP/1.1 request, or a higher one (RFC 6455 §4.2.1, item 1)."""
    expect_all_refused(run, heads.OLD_HTTP, 400, 426, 505, rule="RFC 6455 §4.2.1")


@task("2.2")
def test_other_http(run: Run):
    """A version of HTTP that is well-formed and not spoken: 505 (RFC 9110 §15.6.6)."""
    expect_all_refused(run, heads.OTHER_HTTP, 505, rule="RFC 9110 §15.6.6")


@task("2.2")
def test_bad_http(run: Run):
    """A version that is none: 400. It is HTTP in capitals, a slash, a digit, a dot, a digit (RFC 9112 §2.3)."""
    expect_all_refused(run, heads.BAD_HTTP, 400, rule="RFC 9112 §2.3")


@task("2.2")
@pytest.mark.parametrize("what", heads.VERSIONS)
def test_version(connect, what: str):
    """Another version than 13: 426 that names 13, and what to upgrade to (RFC 6455 §4.4, RFC 9110 §15.5.22)."""
    client = connect()
    client.send_request(heads.VERSIONS[what])
    response = client.expect_refusal(
        426,
        rule="RFC 6455 §4.4",
        cause="Sec-WebSocket-Version must be there once, and be exactly 13.",
        Upgrade="websocket",
        Connection="Upgrade",
    )
    told = response.header("Sec-WebSocket-Version")
    check(
        told == "13",
        "Sec-WebSocket-Version: 13 in the 426",
        f"it is {told!r}",
        "RFC 6455 §4.4",
        client=client,
    )


@task("2.2")
def test_head_too_large(connect, start):
    """Past 8 KiB of head: 431, whether it ends, or goes on without an end (RFC 6585 §5)."""
    server = start()
    filling = 8192 - len(request(with_headers(("X-Filling", "")))) + 1
    heads = {
        "one byte too many": request(with_headers(("X-Filling", "f" * filling))),
        "one endless line": request()[:-2] + b"X-Endless: " + b"e" * 20_000,
        "endless lines": request()[:-2] + b"X-A: " + b"b" * 500 + b"\r\nX-A: " + b"b\r\n" * 10_000,
        "a long name": request()[:-2] + b"n" * 9000,
    }
    for head in heads.values():
        client = connect(server)
        client.send_request(head)
        client.expect_refusal(400 if b"b\r\nb\r\n" in head else 431, 431, rule="RFC 6585 §5")


@task("2.2")
def test_too_many_fields(connect, start):
    """Past 100 header fields: 431, and the server lives on (too many headers have crashed others)."""
    server = start()
    for count in (101, 500, 1500):
        client = connect(server)
        client.send_request(request(with_headers(*[("a", "")] * (count - len(HEADERS)))))
        client.expect_refusal(
            431, rule="RFC 6585 §5", cause=f"{count} fields were accepted: count them."
        )
    client = connect(server)
    client.send_request()
    client.expect_upgrade()


@task("2.2")
def test_target_too_long(connect, start):
    """An overlong target (over 4 KiB): 414, and no later than the end of the head (RFC 9110 §15.5.15)."""
    server = start()
    for data in (request(target="/" + "t" * 5000), b"GET /" + b"t" * 9000):
        client = connect(server)
        client.send_request(data)
        client.expect_refusal(
            414,
            rule="RFC 9110 §15.5.15",
            cause="bound the target on its own, before the head ends.",
        )


@task("2.2")
@pytest.mark.parametrize("data", [request(method="POST"), with_line("X-A : b")], ids=["405", "400"])
def test_refusal_byte_by_byte(connect, data: bytes):
    """A refusal comes whole too if the request came one byte at a time, and more follows it."""
    client = connect()
    client.send_request(data, cuts=range(1, len(data)))
    client.expect_refusal(400, 405)


def refused_while_sending(client: Client) -> None:
    """A request that is refused, with a megabyte behind it that nobody wants."""
    client.send_request(request(method="POST") + b"b" * (1 << 20), reading=False)


@task("2.2")
def test_refusal_reaches_a_client_that_still_sends(connect):
    """A client with a megabyte in flight gets the whole refusal, and no reset (RFC 9112 §9.6)."""
    client = connect()
    refused_while_sending(client)
    client.expect_refusal(405, Allow="GET")


@task("2.2")
def test_refusal_lingers(connect):
    """After a refusal the server half-closes, and reads on until the client's end of stream (RFC 9112 §9.6)."""
    client = connect()
    client.send_request(with_line("no colon"))
    client.expect_refusal(400)
    client.expect_patience()


@task("2.2")
def test_refused_connections_are_closed(run: Run, start):
    """When a refused client ends its side too, its descriptor is given back."""
    server = start()
    run.connect(server).handshake()
    before = server.descriptors()
    for _ in range(20):
        client = run.connect(server)
        client.send_request(with_line("no colon"))
        client.expect_refusal(400)
        client.close()
    gone = wait_until(lambda: server.descriptors() <= before)
    check(
        gone,
        "no descriptor left behind",
        f"{server.descriptors() - before} are",
        server=server,
    )


@task("2.2")
def test_refusal_disturbs_nobody(run: Run, start):
    """A refused client, or one that resets while it is refused, leaves the others alone."""
    server = start()
    other = run.connect(server)
    other.send_request(request()[:60])
    for _ in range(10):
        rude = run.connect(server)
        rude.send_bytes(with_line("no colon"))
        rude.abort()
    other.send_request(request()[60:])
    other.expect_upgrade()


# --- the lessons of advisories: heads that burn time ------------------------------------------------


@task("2.2")
def test_a_drip_of_a_head(connect, start):
    """The last bytes of a head of 8 KiB cost no more CPU than its first, one by one: it is not scanned anew."""
    server = start()
    lines = [(f"X-Filling-{n}", "f" * 70) for n in range(88)]
    head = request(with_headers(*lines))
    few = 512

    def drip(client, data: bytes) -> float:
        """CPU seconds for so many bytes, each in a read of its own."""
        wait_until(server.asleep)
        before = server.cpu()
        client.send_bytes(data, range(1, len(data)), what="a head's bytes one by one", seconds=60)
        wait_until(server.asleep)
        return server.cpu() - before

    def drip_heads() -> tuple[float, float]:
        first, last = 0.0, 0.0
        for client in [connect(server) for _ in range(8)]:
            first += drip(client, head[:few])
            client.send_bytes(head[few : -few - 4], what="the middle of the head")
            last += drip(client, head[-few - 4 : -4])
            client.send_bytes(head[-4:])
            client.expect_upgrade()
        return first, last

    for _ in range(3):  # others may have had the caches: once is enough
        first, last = drip_heads()
        if last < 1.35 * first:
            break
    cause = "each read parses the head from its start: keep the place where the last read ended."
    check(
        last < 1.35 * first,
        f"the last {few} bytes of a head of {len(head):,} to cost what the first do, {first:.3f} s of CPU",
        f"they cost {last:.3f} s",
        cause=cause,
        server=server,
    )


COSTLY = {
    "many commas": ("Connection", "," * 7000 + "Upgrade"),
    "many spaces": ("Upgrade", " " * 7000 + "websocket" + " " * 100),
    "quotes and backslashes": ("Sec-WebSocket-Extensions", 'x; a="' + "\\" * 7000),
    "almost a token, again and again": ("Connection", "upgrade " * 800),
}


@task("2.2")
@pytest.mark.parametrize("header", COSTLY.values(), ids=COSTLY)
def test_costly_headers(connect, start, header: tuple[str, str]):
    """Header values that have taken others exponential time cost nothing here (no backtracking)."""
    server = start()
    client = connect(server)
    before = server.cpu()
    client.send_request(
        request(
            changed(HEADERS, **{header[0].replace("-", "_"): None}) + [header],
            target="/chat",
        )
    )
    client.expect_response((101, 400, 404, 426, 431))
    used = server.cpu() - before
    check(
        used < 1.0,
        "less than 1 s of CPU",
        f"it used {used:.1f} s",
        cause="a regular expression?",
        server=server,
    )


# --- vectors/phase2.txt ---------------------------------------------------------------------------


@vectors.of_phase(2)
def test_vectors(connect, vector: vectors.Vector):
    """A request of vectors/phase2.txt earns the status, and the headers, that stand below it."""
    vectors.play(connect(), vector)
