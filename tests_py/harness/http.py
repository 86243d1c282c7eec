"""The opening handshake's text: requests to send, responses to read (RFC 9112, RFC 6455 §4)."""

import base64
import hashlib
import math
from dataclasses import dataclass, field
from datetime import datetime, timezone

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # the example of §1.3
DATE = "%a, %d %b %Y %H:%M:%S GMT"  # RFC 9110 §5.6.7: IMF-fixdate
Headers = list[tuple[str, str]]


def age_of(date: str) -> float:
    """How many seconds it is from now, on either side; infinite where it is no date of that form."""
    try:
        time = datetime.strptime(date, DATE).replace(tzinfo=timezone.utc)
    except ValueError:
        return math.inf
    if time.strftime(DATE) != date:  # a wrong day of the week, or "6" for "06"
        return math.inf
    return abs((datetime.now(timezone.utc) - time).total_seconds())


def accept_value(key: str) -> str:
    """§4.2.2: the base64 of the SHA-1 of the key, as it was sent, and the GUID."""
    return base64.b64encode(hashlib.sha1(key.encode("latin-1") + GUID).digest()).decode()


def upgrade_headers(key: str = KEY) -> Headers:
    return [
        ("Host", "localhost"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", key),
        ("Sec-WebSocket-Version", "13"),
    ]


def changed(headers: Headers, **changes: str | None) -> Headers:
    """The headers with some replaced, or left out (None): changed(h, Sec_WebSocket_Key="x")."""
    wanted = {name.replace("_", "-").lower(): value for name, value in changes.items()}
    kept = [(n, wanted.pop(n.lower(), v) if n.lower() in wanted else v) for n, v in headers]
    return [(n, v) for n, v in kept if v is not None]


def request(
    headers: Headers | None = None,
    *,
    method: str = "GET",
    target: str = "/",
    version: str = "HTTP/1.1",
) -> bytes:
    """The text of a request. Header names and values are written as given, right or wrong."""
    lines = [f"{method} {target} {version}"]
    lines += [f"{n}: {v}" for n, v in (upgrade_headers() if headers is None else headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


@dataclass
class Response:
    version: str
    status: int
    reason: str
    headers: dict[str, list[str]] = field(default_factory=dict)
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The value, lists of the same name joined as §5.3 of RFC 9110 says."""
        values = self.headers.get(name.lower())
        return None if values is None else ", ".join(values)

    def tokens(self, name: str) -> list[str]:
        return [token.strip().lower() for token in (self.header(name) or "").split(",")]


def parse_head(head: bytes) -> Response:
    """A response head without its blank line; ValueError says what is wrong with it."""
    if b"\n" in head.replace(b"\r\n", b"") or b"\r" in head.replace(b"\r\n", b""):
        raise ValueError("a line ends with a bare CR or LF, not with CRLF")
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ", 2)
    if len(parts) < 2 or not parts[0].startswith("HTTP/") or not parts[1].isdigit():
        raise ValueError(f"this is no status line: {lines[0]!r}")
    response = Response(parts[0], int(parts[1]), parts[2] if len(parts) > 2 else "")
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise ValueError(f"this is no header line: {line!r}")
        response.headers.setdefault(name.lower(), []).append(value.strip(" \t"))
    return response
