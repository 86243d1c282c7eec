"""ClientHellos (RFC 8446 §4.1.2): captured from OpenSSL, or with as much in them as 64 KiB hold."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.libssl import client_hello
from harness.tls_clients import TLS1_2, TLS1_3
from trust.sockets import record

# What OpenSSL knows (RFC 8446 §4.2.7, RFC 7919); the last one since 3.5.
GROUPS = "X25519 P-256 X448 P-521 P-384 ffdhe2048 ffdhe3072 ffdhe4096 ffdhe6144 ffdhe8192".split()
GROUPS += ["X25519MLKEM768"]
# Extensions (RFC 8446 §4.2, RFC 7301).
_STATUS, _GROUPS, _SIGNATURES, _ALPN, _AUTHORITIES, _KEY_SHARE = 5, 10, 13, 16, 47, 51
_X25519 = b"\0\x1d"
_UNKNOWN = 0x5000  # from here on, no group, cipher or extension has a number
_MOST = 62_000  # bytes of a list


def one_group_each() -> dict[str, bytes]:
    """A hello for each key exchange."""
    made = {group: client_hello(group, TLS1_3) for group in GROUPS}
    made["P-256 in TLS 1.2"] = client_hello("P-256", TLS1_2)
    made["X25519 in TLS 1.2"] = client_hello("X25519:P-256", TLS1_2)
    return {name: hello for name, hello in made.items() if hello}


def long_ones() -> dict[str, Hello]:
    """Hellos that are full of one thing, each of which OpenSSL has to look at."""
    plain = Hello.parse(client_hello("X25519", TLS1_3))
    share = _sized(_X25519 + _sized(plain.extensions[_KEY_SHARE][6:]))[2:]
    unknown = numbers(_MOST // 2)
    groups = numbers(_MOST // 4)
    shares = (groups[-2:] + _sized(b"x")) * (_MOST // 2 // 5)
    name = _der(0x30, _der(0x31, _der(0x30, b"\6\3\x55\4\3" + _der(12, b"x"))))
    full = {
        "ciphers": replace(plain, ciphers=unknown + plain.ciphers),
        "signature algorithms": plain.with_list(_SIGNATURES, unknown + b"\4\3"),
        "groups": plain.with_list(_GROUPS, unknown + _X25519),
        "groups and key shares": plain.with_list(_GROUPS, groups + _X25519).with_list(
            _KEY_SHARE, shares + share
        ),
        "protocols": plain.with_list(_ALPN, b"\x08http/1.1" * (_MOST // 9)),
        "authorities": plain.with_list(_AUTHORITIES, _sized(name) * (_MOST // (len(name) + 2))),
        "OCSP responders": plain.with_extension(
            _STATUS, b"\1" + _sized(_sized(_der(0xA2, _der(4, b"x"))) * (_MOST // 7)) + b"\0\0"
        ),
        "unknown extensions": replace(
            plain,
            extensions={**plain.extensions, **{_UNKNOWN + i: b"" for i in range(_MOST // 4)}},
        ),
    }
    return {f"{what}, 64 KiB": hello for what, hello in full.items()}


def numbers(count: int) -> bytes:
    """So many of two bytes that nobody knows."""
    return b"".join((_UNKNOWN + i % 0x5000).to_bytes(2, "big") for i in range(count))


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def _der(tag: int, data: bytes) -> bytes:
    """A short element of DER."""
    return bytes([tag, len(data)]) + data


@dataclass(frozen=True)
class Hello:
    start: bytes  # version, random, session id
    ciphers: bytes
    extensions: dict[int, bytes]

    @classmethod
    def parse(cls, hello: bytes) -> Hello:
        """From a record."""
        at = 5 + 4 + 2 + 32
        at += 1 + hello[at]
        start, hello = hello[9:at], hello[at:]
        ciphers, hello = _taken(hello)
        hello, _ = _taken(hello[2:])  # without compression methods, of which there is one
        extensions = {}
        while hello:
            kind = int.from_bytes(hello[:2], "big")
            extensions[kind], hello = _taken(hello[2:])
        return cls(start, ciphers, extensions)

    def with_extension(self, kind: int, data: bytes) -> Hello:
        return replace(self, extensions={**self.extensions, kind: data})

    def with_list(self, kind: int, data: bytes) -> Hello:
        """An extension that is one list."""
        return self.with_extension(kind, _sized(data))

    def encode(self, size: int = 16_384) -> bytes:
        """In records of so many bytes."""
        extensions = b"".join(
            kind.to_bytes(2, "big") + _sized(data) for kind, data in self.extensions.items()
        )
        body = self.start + _sized(self.ciphers) + b"\1\0" + _sized(extensions)
        message = b"\1" + len(body).to_bytes(3, "big") + body
        pieces = (message[at : at + size] for at in range(0, len(message), size))
        return b"".join(record(22, piece, b"\3\1") for piece in pieces)


def _taken(data: bytes) -> tuple[bytes, bytes]:
    """What two bytes give the size of, and what follows."""
    end = 2 + int.from_bytes(data[:2], "big")
    return data[2:end], data[end:]
