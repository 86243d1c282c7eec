"""What RFC 6455 §4.2.1 and RFC 9112 ask of the request that opens a WebSocket."""

from __future__ import annotations

import base64
import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_HEAD, MAX_FIELDS, MAX_TARGET = 8192, 100, 4096
WAITS = 1  # for a status: a server does not answer yet
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_WANTED = ("Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version")

REASONS = {
    400: "Bad Request",
    405: "Method Not Allowed",
    414: "URI Too Long",
    426: "Upgrade Required",
    431: "Request Header Fields Too Large",
    505: "HTTP Version Not Supported",
}
EXTRA_HEADERS = {
    405: ["Allow: GET"],
    426: ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"],
}


@dataclass(frozen=True)
class Finding:
    """One rule, and whether the request keeps it. Status 0: it keeps it, or it is a remark only."""

    subject: str  # the line, or what of it is meant
    text: str
    rule: str
    status: int = 0
    remark: bool = False


@dataclass
class Head:
    method: str = ""
    target: str = ""
    version: str = ""
    fields: list[tuple[str, str]] = field(default_factory=list)
    rest: bytes = b""  # after the empty line: of the first frame

    def values(self, name: str) -> list[str]:
        return [value for given, value in self.fields if given.lower() == name.lower()]

    def tokens(self, name: str) -> list[str]:
        return [token.strip(" \t") for value in self.values(name) for token in value.split(",")]


def shorten(text: str, limit: int = 48) -> str:
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


# --- the text -------------------------------------------------------------------------------------


def _line_ends(data: bytes) -> tuple[bytes, list[Finding]]:
    """The head with CRLF everywhere: text that was pasted has bare line feeds."""
    found = []
    head = data.partition(b"\r\n\r\n")[0]
    if _CONTROL.search(head):
        text = "a control character, such as NUL, in the head"
        found.append(Finding("the text", text, "RFC 9110 §5.5", 400))
    if re.search(rb"\r(?!\n|\Z)", head):
        found.append(Finding("the text", "a CR that no LF follows", "RFC 9112 §2.2", 400))
    if re.search(rb"(?<!\r)\n", head):
        text = "its lines end with a bare LF, as pasted text does; on the wire it must be CRLF"
        found.append(Finding("the text", text, "RFC 9112 §2.2", remark=True))
        cut = re.search(rb"\n\r?\n", data)
        end = cut.end() if cut else len(data)
        data = re.sub(rb"(?<!\r)\n", b"\r\n", data[:end]) + data[end:]
    return data, found


def _split(data: bytes) -> tuple[list[str], bytes, list[Finding]]:
    """The lines of the head, what follows it, and what is wrong with its size."""
    data, found = _line_ends(data)
    while data.startswith(b"\r\n"):  # forgiven (RFC 9112 §2.2)
        data = data[2:]
    head, end, rest = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").removesuffix("\r\n").split("\r\n")
    if not end:
        text = "the empty line that ends a head is missing: a server waits for it"
        found.append(Finding("the text", text, "RFC 9112 §2.1", WAITS))
    if len(lines[0]) > MAX_TARGET:
        text = f"a target of {len(lines[0]):,} characters"
        found.append(Finding("the target", text, "RFC 9110 §15.5.15", 414))
    if len(head) + 4 > MAX_HEAD or len(lines) - 1 > MAX_FIELDS:
        text = f"{len(head):,} bytes and {len(lines) - 1} fields; this server takes 8 KiB and 100"
        found.append(Finding("the text", text, "RFC 6585 §5", 431))
    return lines, rest, found


def _field_problem(line: str) -> str | None:
    """Which character is where it must not be."""
    name, colon, _ = line.partition(":")
    if line[:1] in (" ", "\t"):
        return "a folded line: it begins with a space, and no line may (§5.2)"
    if not colon:
        return "a header line without a colon"
    if not name:
        return "a header without a name"
    if name != name.rstrip(" \t"):
        return "a space before the colon: proxies and servers have read such names differently"
    if not _TOKEN.match(name):
        return "a header name with a character that no name may have"
    return None


def parse(data: bytes) -> tuple[Head, list[Finding]]:
    lines, rest, found = _split(data)
    head = Head(rest=rest)
    parts = lines[0].split(" ")
    if len(parts) == 3 and all(parts) and _TOKEN.match(parts[0]) and parts[2].startswith("HTTP/"):
        head.method, head.target, head.version = parts
    else:
        text = "a request line is METHOD, TARGET and HTTP/1.1, with one space between them"
        found.append(Finding(shorten(lines[0]) or "the request line", text, "RFC 9112 §3", 400))
    for line in filter(None, lines[1:]):
        if problem := _field_problem(line):
            found.append(Finding(shorten(line), problem, "RFC 9112 §5.1", 400))
        else:
            name, _, value = line.partition(":")
            head.fields.append((name, value.strip(" \t")))
    return head, found


# --- the handshake --------------------------------------------------------------------------------


def _request_line(head: Head) -> Iterator[Finding]:
    if not head.method:
        return
    line = f"{head.method} {shorten(head.target, 24)} {head.version}"
    if head.version != "HTTP/1.1":
        status = 400 if head.version.startswith("HTTP/1.") else 505
        text = "the version is HTTP/1.1: an upgrade does not exist before it, nor in HTTP/2"
        yield Finding(line, text, "RFC 6455 §4.2.1, 1", status)
    elif head.method != "GET":
        yield Finding(line, "the method is GET, nothing else", "RFC 6455 §4.2.1, 1", 405)
    else:
        yield Finding(line, "a GET, in HTTP/1.1", "RFC 6455 §4.2.1, 1")


def _missing(head: Head, name: str) -> str:
    near = difflib.get_close_matches(name, [given for given, _ in head.fields], 1, 0.8)
    return f"there is none; is {near[0]!r} meant for it?" if near else "there is none"


def _host(head: Head) -> Finding:
    values = head.values("Host")
    if len(values) == 1:
        return Finding(f"Host: {shorten(values[0])}", "exactly one", "RFC 9112 §3.2")
    count = (
        f"there are {len(values)}, and exactly one is right" if values else _missing(head, "Host")
    )
    return Finding("Host", count, "RFC 9112 §3.2", 400)


def _token(head: Head, name: str, token: str, rule: str) -> Finding:
    values = head.values(name)
    if not values:
        return Finding(name, _missing(head, name), rule, 426)
    line = f"{name}: {shorten(', '.join(values))}"
    if token in [given.lower() for given in head.tokens(name)]:
        lists = len(head.tokens(name)) > 1
        what = "is in the list" if lists else "is what it says"
        return Finding(line, f"the token {token} {what}; its case does not matter", rule)
    if any(token in value.lower() for value in values):
        text = f"the token {token} is not in it: a substring of a token is no match"
    else:
        text = f"the token {token} is not in it"
    return Finding(line, text, rule, 426)


def _version(head: Head) -> Finding:
    values, name = head.values("Sec-WebSocket-Version"), "Sec-WebSocket-Version"
    if values == ["13"]:
        return Finding(f"{name}: 13", "the only version there is", "RFC 6455 §4.2.1, 6")
    text = "it is exactly 13; a server tells in its answer which one it speaks"
    if not values:
        text = f"{_missing(head, name)}: {text}"
    line = f"{name}: {shorten(', '.join(values))}" if values else name
    return Finding(line, text, "RFC 6455 §4.4", 426)


def key_problem(key: str) -> str | None:
    """Why this is no key: base64 of 16 bytes is 22 characters and two of padding."""
    try:
        size = len(base64.b64decode(key, validate=True))
    except ValueError:
        return "it is no base64"
    if size != 16 or len(key) != 24:
        return f"it decodes to {size} bytes, and a key has 16"
    return None


def _key(head: Head) -> Finding:
    name, values = "Sec-WebSocket-Key", head.values("Sec-WebSocket-Key")
    if len(values) != 1:
        text = (
            f"there are {len(values)}, and exactly one is right" if values else _missing(head, name)
        )
        return Finding(name, text, "RFC 6455 §4.2.1, 5", 400)
    problem = key_problem(values[0])
    text = problem or "base64 of 16 bytes"
    line = f"{name}: {shorten(values[0])}"
    return Finding(line, text, "RFC 6455 §4.2.1, 5", 400 if problem else 0)


def _remarks(head: Head) -> Iterator[Finding]:
    for name, text, rule in (
        ("Origin", "a browser sent it; a server may refuse pages of elsewhere", "RFC 6455 §10.2"),
        (
            "Sec-WebSocket-Protocol",
            "an offer: the answer names one of these or none",
            "RFC 6455 §4.2.2",
        ),
        (
            "Sec-WebSocket-Extensions",
            "an offer: the answer names none that it does not speak",
            "RFC 6455 §9.1",
        ),
    ):
        for value in head.values(name):
            yield Finding(f"{name}: {shorten(value)}", text, rule, remark=True)
    if head.rest:
        text = f"{len(head.rest)} bytes follow the head: they belong to the first frame"
        yield Finding("the text", text, "RFC 6455 §4.1", remark=True)


def judge(data: bytes) -> tuple[Head, list[Finding]]:
    """The request, and every rule with whether it is kept, in the order in which to mend them."""
    head, found = parse(data)
    found += _request_line(head)
    found.append(_host(head))
    found.append(_token(head, "Upgrade", "websocket", "RFC 6455 §4.2.1, 3"))
    found.append(_token(head, "Connection", "upgrade", "RFC 6455 §4.2.1, 4"))
    found += [_version(head), _key(head), *_remarks(head)]
    return head, found
