"""Request heads, right and wrong, by what they earn: for the suite of phase 2, and for `./learn accept`,
which has to say of each what the servers say (RFC 6455 §4.2.1, RFC 9110, RFC 9112)."""

import base64

from harness.http import KEY, Headers, changed, request, upgrade_headers

HEADERS = upgrade_headers()
Heads = dict[str, bytes]


def with_headers(*extra: tuple[str, str], **changes: str | None) -> Headers:
    return changed(HEADERS, **changes) + list(extra)


def with_line(text: str) -> bytes:
    """The request with one more header line, written as it is."""
    return request()[:-2] + text.encode("latin-1") + b"\r\n\r\n"


def _asked(*extra: tuple[str, str], **changes: str | None) -> bytes:
    return request(with_headers(*extra, **changes), target="/chat")


def _hosts(*values: str) -> Heads:
    return {f"Host: {value}": _asked(Host=value) for value in values}


def _targets(*values: str) -> Heads:
    return {f"the target {value}": request(target=value) for value in values}


def _versions(*values: str) -> Heads:
    return {f"the version {value}": request(version=value) for value in values}


def _key(value: str) -> bytes:
    return _asked(Sec_WebSocket_Key=value)


# --- 101 ------------------------------------------------------------------------------------------

ACCEPTABLE: Heads = {
    "lower case names": request([(name.lower(), value) for name, value in HEADERS]),
    "upper case names": request([(name.upper(), value) for name, value in HEADERS]),
    "tokens in odd case": _asked(Upgrade="WebSocket", Connection="uPGRADE"),
    "Connection is a list": _asked(Connection="keep-alive, Upgrade"),
    "Connection is a tight list": _asked(Connection="keep-alive,Upgrade,x"),
    "Upgrade is a list": _asked(Upgrade="h2c, websocket"),
    "empty list elements": _asked(Connection=", ,Upgrade,"),
    "Connection twice": _asked(("Connection", "Upgrade"), Connection="keep-alive"),
    "Upgrade twice": _asked(("Upgrade", "websocket"), Upgrade="h2c"),
    "tabs and spaces around values": _asked(
        Sec_WebSocket_Key=f"  \t{KEY} \t ", Upgrade="\twebsocket  "
    ),
    "headers in reverse": request(HEADERS[::-1]),
    "headers nobody knows": _asked(
        ("X-Empty", ""), ("Cookie", "a=b; c=d"), ("x!#$%&'*+-.^_`|~9", "1")
    ),
    "bytes over 127 in a value": _asked(("X-Name", "Andr\xe9, \xc3\xa9")),
    "an Origin": _asked(("Origin", "http://example.com")),
    "offers that are not taken": _asked(
        ("Sec-WebSocket-Protocol", "chat, superchat"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
    ),
    "an empty line before it": b"\r\n" + request(),  # RFC 9112 §2.2
    "a Content-Length of 0": _asked(("Content-Length", "0")),
}
GOOD_HOSTS = _hosts("", "a", "a.example:8080", "a.example:", "A_b.example.", "127.0.0.1:65535")
GOOD_HOSTS |= _hosts("a:0080", "[::1]", "[::ffff:127.0.0.1]:80", "[v1.a+b:c]", "%41.example")
GOOD_HOSTS |= _hosts("a!$&'()*+;=b~")
GOOD_TARGETS = _targets("/", "//", "/?", "/chat?room=1&name=a%20b", "/" + "x" * 3000)
GOOD_TARGETS |= _targets("/a:b@c;d=e,f!$&'()*+", "/{a}|b^c`d[e]", "HTTPS://a.example/")
GOOD_TARGETS |= _targets("http://a.example/chat", "http://a.example", "http://a.example?x")
GOOD_TARGETS |= _targets("ws://[::1]:80/", "wss://a.example:/chat?x=http://b.example")
NEWER_HTTP = _versions("HTTP/1.2", "HTTP/1.9")

# --- 400 ------------------------------------------------------------------------------------------

BAD_REQUEST: Heads = {
    "no Host": _asked(Host=None),
    "Host twice": _asked(("Host", "localhost")),
    "no key": _asked(Sec_WebSocket_Key=None),
    "key twice": _asked(("Sec-WebSocket-Key", KEY)),
    "empty key": _key(""),
    "key of 15 bytes": _key(base64.b64encode(b"k" * 15).decode()),
    "key of 17 bytes": _key(base64.b64encode(b"k" * 17).decode()),
    "key of 18 bytes": _key(base64.b64encode(b"k" * 18).decode()),
    "key without padding": _key(KEY.rstrip("=")),
    "key with too much padding": _key(KEY[:-3] + "==="),
    "key with padding inside": _key(KEY[:10] + "=" + KEY[11:]),
    "key that is no base64": _key("!" * 22 + "=="),
    "key in base64url": _key("-_" * 10 + "-A=="),
    "key with a space inside": _key(KEY[:10] + " " + KEY[11:]),
    "one bare LF": request().replace(b"Upgrade: websocket\r\n", b"Upgrade: websocket\n"),
    "bare CR": with_line("X-A: b\rc"),
    "CR before CRLF": with_line("X-A: b\r"),
    "CR in a name": with_line("X\rA: b"),
    "NUL in a value": with_line("X-A: b\0c"),
    "NUL in a name": with_line("X\0A: b"),
    "space before the colon": with_line("X-A : b"),
    "space in a name": with_line("X A: b"),
    "folded line": with_line("X-A: b\r\n c"),
    "folded first header": b"GET / HTTP/1.1\r\n Host: localhost\r\n"
    + request().split(b"\r\n", 1)[1],
    "no colon": with_line("X-A b"),
    "empty name": with_line(": b"),
    "no version": request().replace(b" HTTP/1.1", b""),
    "no target": request().replace(b"GET / HTTP", b"GET HTTP"),
    "empty target": request().replace(b"GET / HTTP", b"GET  HTTP"),
    "spaces in the target": request().replace(b"GET / HTTP", b"GET /a b HTTP"),
    "no method": request(method=""),
    "no HTTP": b"hello there\r\n\r\n",
    "TLS to the plain port": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03"
    + b"\x17" * 50
    + b"\r\n\r\n",
}
PASTED = request().replace(b"\r\n", b"\n")  # 400 too; `./learn accept` reads it, with a remark

BAD_HOSTS = _hosts("a b", "user@host", "x/path", "a?b", "a#b", "localhost:notaport", "a:8 0")
BAD_HOSTS |= _hosts("localhost:99999999", "localhost:65536", "a:-1", "a:+1", "a:1:2", ":", ":80")
BAD_HOSTS |= _hosts("<script>", '"a"', "a,b", "a, b", "a\\b", "a|b", "{a}", "a^b", "a`b", "a\tb")
BAD_HOSTS |= _hosts("[::1", "::1", "[]", "[::1]x", "[::1]:x", "a[::1]", "[g::1]", "[1.2.3.4]")
BAD_HOSTS |= _hosts("[::1%25lo]", "[v.a]", "[v1.]", "%", "%4", "%zz", "h\xf6st", "http://a")
BAD_HOSTS |= {
    "Host twice, once empty": _asked(("Host", "")),
    "no Host, but an absolute target": request(with_headers(Host=None), target="http://a/"),
    "a bad Host, and an absolute target": request(with_headers(Host="a b"), target="http://a/"),
    "no Host, and another method": request(with_headers(Host=None), method="POST"),
    "HTTP/1.2 without Host": request(with_headers(Host=None), version="HTTP/1.2"),
    "HTTP/1.0 with a bad Host": request(with_headers(Host="a b"), version="HTTP/1.0"),
    "HTTP/1.0 with two Hosts": request(with_headers(("Host", "a")), version="HTTP/1.0"),
}

BAD_TARGETS = _targets("chat", "*", "localhost:80", "?x", "#", "/#", "/chat#top", "/h\xf6he")
BAD_TARGETS |= _targets("/a\tb", "/\x7f", "http:", "http:/a", "http://", "http:///a", "://a/")
BAD_TARGETS |= _targets("http://:80/", "ftp://a/", "http://a b/", "http://user@a/", "http://a:x/")
BAD_TARGETS |= _targets("http://[::1/", "http://a/#b", "http://a\\b/")
BAD_HTTP = _versions("http/1.1", "HTTP/1.1x", "HTTP/11.1", "HTTP/1.10", "HTTP/1", "HTTP/1.", "1.1")
BAD_HTTP |= _versions("HTTP/x.1", "HTTP/1,1", "HTTP/-1.1", "HTTPS/1.1", "ICY/1.1", "HTTP/1.1 ")

CONTENT: Heads = {
    "5 bytes": _asked(("Content-Length", "5")) + b"Hello",
    "a frame": _asked(("Content-Length", "8")) + b"\x81\x82\0\0\0\0hi",
    "a length with a zero before it": _asked(("Content-Length", "010")),
    "a length of 30 digits": _asked(("Content-Length", "9" * 30)),
    "chunks": _asked(("Transfer-Encoding", "chunked")) + b"0\r\n\r\n",
    "an odd Transfer-Encoding": _asked(("Transfer-Encoding", "identity")),
    "an empty Transfer-Encoding": _asked(("Transfer-Encoding", "")),
}
BAD_LENGTHS: Heads = {
    "two lengths": _asked(("Content-Length", "8"), ("Content-Length", "9")),
    "a length and chunks": _asked(("Content-Length", "0"), ("Transfer-Encoding", "chunked")),
    **{
        f"Content-Length: {length}": _asked(("Content-Length", length))
        for length in ("", "x", "-1", "+0", "0x0", "0 0", "0.0", "0, 1", "\xb2")
    },
    "a bad length, and another method": request(
        with_headers(("Content-Length", "x")), method="POST"
    ),
}

# --- other refusals -------------------------------------------------------------------------------

NO_UPGRADE: Heads = {
    "no Upgrade": _asked(Upgrade=None),
    "no Connection": _asked(Connection=None),
    "Upgrade is a longer word": _asked(Upgrade="websockets"),
    "Upgrade has a word before": _asked(Upgrade="xwebsocket"),
    "Upgrade with a space inside": _asked(Upgrade="web socket"),
    "Upgrade of another protocol": _asked(Upgrade="h2c"),
    "Connection is a longer word": _asked(Connection="Upgrades"),
    "Connection is a substring": _asked(Connection="no-upgrade"),
    "Connection: close": _asked(Connection="close"),
}
VERSIONS: Heads = {
    "missing": _asked(Sec_WebSocket_Version=None),
    "8": _asked(Sec_WebSocket_Version="8"),
    "14": _asked(Sec_WebSocket_Version="14"),
    "130": _asked(Sec_WebSocket_Version="130"),
    "013": _asked(Sec_WebSocket_Version="013"),
    "13, 8": _asked(Sec_WebSocket_Version="13, 8"),
    "words": _asked(Sec_WebSocket_Version="thirteen"),
}
METHODS: Heads = {
    method: request(method=method) for method in ("POST", "HEAD", "PUT", "OPTIONS", "get", "GETS")
}
METHODS["POST with content"] = (
    request(with_headers(("Content-Length", "5"), ("Expect", "100-continue")), method="POST")
    + b"Hello"
)
OLD_HTTP = _versions("HTTP/1.0")
OLD_HTTP["HTTP/1.0 without Host"] = request(with_headers(Host=None), version="HTTP/1.0")
OTHER_HTTP = _versions("HTTP/0.9", "HTTP/2.0", "HTTP/3.0", "HTTP/9.9")
OTHER_HTTP["the beginning of HTTP/2"] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
EXPECTING: Heads = {
    "100-continue": _asked(("Expect", "100-continue")),
    "something else": _asked(("Expect", "a-miracle")),
}


def _filled(size: int) -> bytes:
    """A head of this many bytes."""
    filling = size - len(request(with_headers(("X-Filling", ""))))
    return request(with_headers(("X-Filling", "f" * filling)))


TOO_LARGE: Heads = {
    "8 KiB": _filled(8192),
    "8 KiB and a byte": _filled(8193),
    "100 fields": request(with_headers(*[("X", "y")] * (100 - len(HEADERS)))),
    "101 fields": request(with_headers(*[("X", "y")] * (101 - len(HEADERS)))),
    "a request line of 4 KiB": request(target="/".ljust(4096 - len("GET  HTTP/1.1\r"), "t")),
    "a byte more": request(target="/".ljust(4097 - len("GET  HTTP/1.1\r"), "t")),
    "an endless target": b"GET /" + b"t" * 9000,
    "an endless line": request()[:-2] + b"X: " + b"e" * 9000,
    "nothing but empty lines": b"\r\n" * 5000,
}
TWO_FAULTS: Heads = {  # the first that is met is the one that is answered
    "a line without a colon, then too much": with_line("X-A b\r\nX: " + "f" * 9000),
    "too much, then a line without a colon": with_line("X: " + "f" * 9000 + "\r\nX-A b"),
    "a NUL in a long target": b"GET /\0" + b"t" * 9000,
    "a NUL behind a long target": b"GET /" + b"t" * 5000 + b"\0",
    "another HTTP, and spaces in the target": b"GET /a b HTTP/2.0\r\n\r\n",
    "another method, and no upgrade": request(with_headers(Upgrade=None), method="PUT"),
    "no upgrade, and content": _asked(("Content-Length", "5"), Upgrade=None),
    "a line without a colon, and no end": b"GET / HTTP/1.1\r\nX-A b\r\n",
    "a bad target, and no end": b"GET * HTTP/1.1\r\n",
}

FAMILIES = (ACCEPTABLE, GOOD_HOSTS, GOOD_TARGETS, NEWER_HTTP, BAD_REQUEST, BAD_HOSTS, BAD_TARGETS)
FAMILIES += (BAD_HTTP, CONTENT, BAD_LENGTHS, NO_UPGRADE, VERSIONS, METHODS, OLD_HTTP, OTHER_HTTP)
FAMILIES += (EXPECTING, TOO_LARGE, TWO_FAULTS)
