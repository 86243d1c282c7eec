"""What RFC 6455 §4.2.1, RFC 9110 and RFC 9112 ask of the request that opens a WebSocket."""

from __future__ import annotations

import base64
import difflib
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_HEAD, MAX_FIELDS, MAX_REQUEST_LINE = 8192, 100, 4096
WAITS = 1  # for a status: a server does not answer yet
END = 1 << 30  # for a place: what is judged once the whole head is there
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VERSION = re.compile(r"HTTP/[0-9]\.[0-9]")
_NUMBER = re.compile(r"[0-9]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_NAME = r"[A-Za-z0-9\-._~!$&'()*+;=]"  # RFC 3986's unreserved and sub-delims, but the comma
_HOST_AND_PORT = re.compile(
    rf"(?:(?:{_NAME}|%[0-9A-Fa-f]{{2}})+|\[(?P<address>[^\]]*)\])(?::(?P<port>[0-9]*))?"
)
_FUTURE_ADDRESS = re.compile(rf"[vV][0-9A-Fa-f]+\.(?:{_NAME}|[:,])+")
_ABSOLUTE = re.compile(r"(?i:https?|wss?)://([^/?]*).*")

REASONS = {
    400: "Bad Request",
    405: "Method Not Allowed",
    414: "URI Too Long",
    417: "Expectation Failed",
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
    place: int = END  # where a server that reads on finds it: the first fault is what it answers


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


def _as_pasted(data: bytes) -> tuple[bytes, list[Finding]]:
    """Text that was pasted has LF alone, everywhere: its head with CRLF, and a remark."""
    cut = data.find(b"\n\n")
    end = len(data) if cut < 0 else cut + 2
    head = data[:end]
    if b"\n" not in head or b"\r" in head:
        return data, []
    text = "its lines end with a bare LF, as in pasted text: on the wire it must be CRLF, else 400"
    found = Finding("the text", text, "RFC 9112 §2.2", remark=True)
    return head.replace(b"\n", b"\r\n") + data[end:], [found]


def _lines(data: bytes) -> Iterator[tuple[int, bytes, bool]]:
    """Each line of the head: where it begins, its text, whether it has ended; the last one is empty."""
    begin, started = 0, False
    while (end := data.find(b"\r\n", begin)) >= 0:
        if end > begin or started:  # an empty line before the request is forgiven (RFC 9112 §2.2)
            yield begin, data[begin:end], True
            if end == begin:
                return
            started = True
        begin = end + 2
    yield begin, data[begin:], False


def _text_fault(begin: int, line: bytes, ended: bool) -> Finding | None:
    """The first character of a line that may be in none."""
    if not (wrong := _CONTROL.search(line)):
        return None
    place = begin + wrong.start()
    if wrong[0] == b"\r":
        if not ended and wrong.end() == len(line):
            return None  # its LF may come
        return Finding("the text", "a CR that no LF follows", "RFC 9112 §2.2", 400, place=place + 1)
    if wrong[0] == b"\n":
        return Finding("the text", "an LF without a CR", "RFC 9112 §2.2", 400, place=place)
    text = "a control character, such as NUL, in the head"
    return Finding("the text", text, "RFC 9110 §5.5", 400, place=place)


def _request_line_problem(head: Head, line: str) -> tuple[str, str, int] | None:
    """What of it is wrong, where that is written, and its status; else the head has its parts."""
    method, _, rest = line.partition(" ")
    target, spaced, version = rest.rpartition(" ")
    if not spaced or not _TOKEN.fullmatch(method):
        return "a request line is METHOD, TARGET and HTTP/1.1", "RFC 9112 §3", 400
    head.method = method
    if not _VERSION.fullmatch(version):
        return "its version is not HTTP/, a digit, a dot and a digit", "RFC 9112 §2.3", 400
    if not version.startswith("HTTP/1."):
        return f"{version} is not spoken here: the version is HTTP/1.1", "RFC 9110 §15.6.6", 505
    if not target or " " in target:
        return "its three parts have one space between them", "RFC 9112 §3", 400
    if not is_target(target):
        text = "its target is neither a path nor an http, https, ws or wss URL"
        return text, "RFC 9112 §3.2", 400
    head.target, head.version = target, version
    return None


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
    if not _TOKEN.fullmatch(name):
        return "a header name with a character that no name may have"
    return None


def _take_line(head: Head, line: str, place: int, is_first: bool) -> Iterator[Finding]:
    if is_first:
        if problem := _request_line_problem(head, line):
            subject = shorten(line) or "the request line"
            yield Finding(subject, *problem, place=place)
    elif problem := _field_problem(line):
        yield Finding(shorten(line), problem, "RFC 9112 §5.1", 400, place=place)
    elif line:
        name, _, value = line.partition(":")
        head.fields.append((name, value.strip(" \t")))
        if len(head.fields) == MAX_FIELDS + 1:
            text = f"over {MAX_FIELDS} fields, which is what this server takes"
            yield Finding("the text", text, "RFC 6585 §5", 431, place=place)


def parse(data: bytes) -> tuple[Head, list[Finding]]:
    """The request, and what is wrong with its text. Of two faults at one place, the first counts."""
    data, found = _as_pasted(data)
    head, is_first, end = Head(), True, 0
    for begin, line, ended in _lines(data):
        end = begin + len(line) + (2 if ended else 0)
        wrong = _text_fault(begin, line, ended)
        found += [wrong] if wrong else []
        if is_first and len(line) + ended > MAX_REQUEST_LINE:
            text = "a request line, and with it a target, of over 4 KiB"
            place = begin + MAX_REQUEST_LINE
            found.append(Finding("the target", text, "RFC 9110 §15.5.15", 414, place=place))
        if not ended:
            text = "the empty line that ends a head is missing: a server waits for it"
            found.append(Finding("the text", text, "RFC 9112 §2.1", WAITS, place=end))
        if line and not wrong:
            text = line.decode("latin-1")
            found += _take_line(head, text, end if ended else END, is_first)
        if ended and not line:
            head.rest = data[end:]
        is_first = False
    if end > MAX_HEAD:
        text = "it goes on after 8 KiB, which is what this server takes"
        found.append(Finding("the text", text, "RFC 6585 §5", 431, place=MAX_HEAD))
    return head, found


# --- URIs (RFC 3986) --------------------------------------------------------------------------------


def _is_address(text: str) -> bool:
    """An IPv6 address, or what may follow it."""
    try:
        return bool(_FUTURE_ADDRESS.fullmatch(text) or socket.inet_pton(socket.AF_INET6, text))
    except (OSError, UnicodeError):
        return False


def is_host_and_port(text: str) -> bool:
    if not (found := _HOST_AND_PORT.fullmatch(text)):
        return False
    port = (found["port"] or "0").lstrip("0") or "0"
    named = found["address"] is None or _is_address(found["address"])
    return named and len(port) <= 5 and int(port) <= 65535


def is_target(text: str) -> bool:
    """Origin form or absolute form, without a fragment."""
    if not re.fullmatch(r"[\x21-\x22\x24-\x7e]+", text):
        return False
    absolute = _ABSOLUTE.fullmatch(text)
    return text.startswith("/") or bool(absolute and is_host_and_port(absolute[1]))


# --- the handshake --------------------------------------------------------------------------------


def _request_line(head: Head) -> Iterator[Finding]:
    if not head.version:
        return
    line = f"{head.method} {shorten(head.target, 24)} {head.version}"
    if head.method != "GET":
        text = f"the method is {head.method}, and only GET opens a WebSocket"
        yield Finding(line, text, "RFC 6455 §4.2.1, 1", 405, place=END + 1)
    elif head.version == "HTTP/1.0":
        text = "the version is HTTP/1.1 or higher: an upgrade does not exist before it"
        yield Finding(line, text, "RFC 6455 §4.2.1, 1", 400, place=END + 1)
    else:
        yield Finding(line, "a GET, in HTTP/1.1 or higher", "RFC 6455 §4.2.1, 1")


def _missing(head: Head, name: str) -> str:
    near = difflib.get_close_matches(name, [given for given, _ in head.fields], 1, 0.8)
    return f"there is none; is {near[0]!r} meant for it?" if near else "there is none"


def _host(head: Head) -> Finding:
    values = head.values("Host")
    if len(values) > 1:
        text = f"there are {len(values)}, and exactly one is right"
        return Finding("Host", text, "RFC 9112 §3.2", 400)
    if not values:
        status = 0 if head.version == "HTTP/1.0" else 400
        return Finding("Host", _missing(head, "Host"), "RFC 9112 §3.2", status, not status)
    line = f"Host: {shorten(values[0])}"
    if values[0] and not is_host_and_port(values[0]):
        text = "it is not a host, or a host, a colon and a port"
        return Finding(line, text, "RFC 9112 §3.2", 400)
    return Finding(line, "exactly one, and a valid one", "RFC 9112 §3.2")


def _content(head: Head) -> Iterator[Finding]:
    """Bytes that would follow the head and are no frames: how many, and whether they are waited for."""
    lengths, codings = head.values("Content-Length"), head.values("Transfer-Encoding")
    line = f"Content-Length: {shorten(', '.join(lengths))}"
    if lengths and not (len(lengths) == 1 and _NUMBER.fullmatch(lengths[0])):
        yield Finding(line, "it is not one number", "RFC 9112 §6.3", 400)
    elif lengths and codings:
        text = "a Transfer-Encoding is there too: where the request ends is in doubt"
        yield Finding(line, text, "RFC 9112 §6.3", 400)
    elif lengths and lengths[0].strip("0"):
        text = "a handshake has no content: the bytes behind its head are frames"
        yield Finding(line, text, "RFC 9110 §7.8", 400, place=END + 3)
    elif lengths:
        yield Finding(line, "no content, as it must be", "RFC 9110 §7.8")
    for coding in codings:
        text = "a handshake has no content: the bytes behind its head are frames"
        line = f"Transfer-Encoding: {shorten(coding)}"
        yield Finding(line, text, "RFC 9110 §7.8", 400, place=END + 3)
    for expectation in head.values("Expect"):
        ignored = head.version == "HTTP/1.0"
        text = (
            "nothing is expected in HTTP/1.0" if ignored else "it can not be met: nothing follows"
        )
        line = f"Expect: {shorten(expectation)}"
        status = 0 if ignored else 417
        yield Finding(line, text, "RFC 9110 §10.1.1", status, ignored, place=END + 4)


def _token(head: Head, name: str, token: str, rule: str) -> Finding:
    values = head.values(name)
    if not values:
        return Finding(name, _missing(head, name), rule, 426, place=END + 2)
    line = f"{name}: {shorten(', '.join(values))}"
    if token in [given.lower() for given in head.tokens(name)]:
        lists = len(head.tokens(name)) > 1
        what = "is in the list" if lists else "is what it says"
        return Finding(line, f"the token {token} {what}; its case does not matter", rule)
    if any(token in value.lower() for value in values):
        text = f"the token {token} is not in it: a substring of a token is no match"
    else:
        text = f"the token {token} is not in it"
    return Finding(line, text, rule, 426, place=END + 2)


def _version(head: Head) -> Finding:
    values, name = head.values("Sec-WebSocket-Version"), "Sec-WebSocket-Version"
    if values == ["13"]:
        return Finding(f"{name}: 13", "the only version there is", "RFC 6455 §4.2.1, 6")
    text = "it is exactly 13; a server tells in its answer which one it speaks"
    if not values:
        text = f"{_missing(head, name)}: {text}"
    line = f"{name}: {shorten(', '.join(values))}" if values else name
    return Finding(line, text, "RFC 6455 §4.4", 426, place=END + 2)


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
        return Finding(name, text, "RFC 6455 §4.2.1, 5", 400, place=END + 2)
    problem = key_problem(values[0])
    text = problem or "base64 of 16 bytes"
    if not problem and base64.b64encode(base64.b64decode(values[0])).decode() != values[0]:
        text += ", with unused bits set, which a decoder may let pass (RFC 4648 §3.5)"
    line = f"{name}: {shorten(values[0])}"
    return Finding(line, text, "RFC 6455 §4.2.1, 5", 400 if problem else 0, place=END + 2)


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
    """The request, and every rule with whether it is kept."""
    head, found = parse(data)
    found += _request_line(head)
    found.append(_host(head))
    found.append(_token(head, "Upgrade", "websocket", "RFC 6455 §4.2.1, 3"))
    found.append(_token(head, "Connection", "upgrade", "RFC 6455 §4.2.1, 4"))
    found += [_version(head), _key(head), *_content(head), *_remarks(head)]
    return head, found


def status_of(found: list[Finding]) -> int:
    """What a server answers: the first fault that it finds, if there is one."""
    faults = [finding for finding in found if finding.status]
    return min(faults, key=lambda fault: fault.place).status if faults else 101
