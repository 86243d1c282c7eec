"""TLS clients that encrypt their records themselves, and so can send what no library would.

Python's ssl shakes hands and logs the secrets; from then on each record is made here (RFC 8446 §5.2,
§7.3; RFC 5246 §6.2.3, §6.3). What the server answers is read by Python's ssl as before.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import ssl
import tempfile

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from harness.failures import CheckFailed
from harness.http import request
from harness.server import Server
from harness.tls_clients import TLS1_2, TLS1_3, context
from trust.sockets import connect, record

ALERT, HANDSHAKE, DATA = 21, 22, 23  # content types (RFC 8446 §5.1)
OPEN = "still open"
_RANDOM_AT = 11  # of the ServerHello's random, from the start of its record


class Forger:
    """What both versions have in common."""

    version: ssl.TLSVersion

    def __init__(self, server: Server) -> None:
        self.server = server
        self.sock = connect(server, tls_port=True)
        self.sequence = 0
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._received = bytearray()
        settings = context(self.version)
        if self.version == TLS1_2:
            settings.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
        with tempfile.NamedTemporaryFile() as log:
            settings.keylog_filename = log.name
            self._tls = settings.wrap_bio(self._in, self._out, server_hostname="localhost")
            self._shake_hands()
            lines = [line.split() for line in log.read().decode().splitlines() if line[0] != "#"]
        self._derive({label: (bytes.fromhex(a), bytes.fromhex(b)) for label, a, b in lines})

    def _shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
                self.sock.sendall(self._out.read())
                return
            except ssl.SSLWantReadError:
                self.sock.sendall(self._out.read())
                self._feed()

    def _feed(self) -> None:
        data = self.sock.recv(65536)
        self._received = (self._received + data)[:1000]
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()

    def upgrade(self) -> Forger:
        self.send(DATA, request())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += self.read()
        return self

    def send(self, kind: int, data: bytes) -> None:
        self.sock.sendall(self.seal(kind, data))

    def read(self) -> bytes:
        """b"" at the end; ssl.SSLError for an alert or what else is wrong."""
        while True:
            try:
                return self._tls.read(65536)
            except ssl.SSLWantReadError:
                self._feed()
            except ssl.SSLZeroReturnError:
                return b""

    def rest(self) -> tuple[bytes, str]:
        """All that still comes, and how the server ends it: "close_notify", an alert's name, "end",
        "reset"; or OPEN, where it does not in time."""
        data = b""
        try:
            while piece := self.read():
                data += piece
            return data, "close_notify"
        except ssl.SSLError as error:
            reason = error.reason or str(error)
            return data, "end" if "EOF" in reason else reason
        except ConnectionError:
            return data, "reset"
        except TimeoutError:
            return data, OPEN

    def expect(self, wanted: bytes) -> None:
        """Exactly these bytes come next."""
        data = b""
        while len(data) < len(wanted) and (piece := self.read()):
            data += piece
        if data != wanted:
            raise CheckFailed(f"{wanted[:40]!r}", f"this came: {data[:40]!r}", server=self.server)

    def close(self) -> None:
        self.sock.close()

    def seal(self, kind: int, data: bytes, padding: int = 0) -> bytes:
        raise NotImplementedError

    def _derive(self, secrets: dict[str, tuple[bytes, bytes]]) -> None:
        raise NotImplementedError


class Forger13(Forger):
    version = TLS1_3
    _SUITES = {  # the key's size, and the hash and its size (RFC 8446 §B.4)
        "TLS_AES_128_GCM_SHA256": (16, "sha256", 32),
        "TLS_AES_256_GCM_SHA384": (32, "sha384", 48),
    }

    def _derive(self, secrets: dict[str, tuple[bytes, bytes]]) -> None:
        self._key_size, self._hash, self._hash_size = self._SUITES[self._tls.cipher()[0]]
        self._use(secrets["CLIENT_TRAFFIC_SECRET_0"][1])

    def _use(self, secret: bytes) -> None:
        self._secret, self.sequence = secret, 0
        self._key = AESGCM(self._expand(b"key", self._key_size))
        self._iv = int.from_bytes(self._expand(b"iv", 12), "big")

    def _expand(self, label: bytes, size: int) -> bytes:
        """HKDF-Expand-Label (§7.1); its output is one block at most, which is a plain HMAC."""
        return hmac.digest(self._secret, _expand_info(label, size), self._hash)[:size]

    def seal(self, kind: int, data: bytes, padding: int = 0) -> bytes:
        inner = data + bytes([kind]) * (kind != 0) + bytes(padding)
        nonce = (self._iv ^ self.sequence).to_bytes(12, "big")
        self.sequence += 1
        header = b"\x17\3\3" + (len(inner) + 16).to_bytes(2, "big")
        return header + self._key.encrypt(nonce, inner, header)

    def key_update(self, asked: bool = True) -> bytes:
        """A KeyUpdate; what is sealed after it has the next key (§4.6.3, §7.2)."""
        sealed = self.seal(HANDSHAKE, b"\x18\0\0\1" + bytes([asked]))
        self._use(self._expand(b"traffic upd", self._hash_size))
        return sealed


@functools.cache
def _expand_info(label: bytes, size: int) -> bytes:
    """The label without a context, and the number of the block (RFC 5869 §2.3)."""
    label = b"tls13 " + label
    return size.to_bytes(2, "big") + bytes([len(label)]) + label + b"\0\1"


class Forger12(Forger):
    version = TLS1_2

    def _derive(self, secrets: dict[str, tuple[bytes, bytes]]) -> None:
        client_random, master = secrets["CLIENT_RANDOM"]
        server_random = bytes(self._received[_RANDOM_AT : _RANDOM_AT + 32])
        block = _prf(master, b"key expansion" + server_random + client_random, 40)
        self._key, self._salt = AESGCM(block[:16]), block[32:36]
        self.sequence = 1  # the Finished had 0

    def seal(self, kind: int, data: bytes, padding: int = 0) -> bytes:
        explicit = self.sequence.to_bytes(8, "big")
        self.sequence += 1
        header = bytes([kind, 3, 3])
        associated = explicit + header + len(data).to_bytes(2, "big")
        sealed = explicit + self._key.encrypt(self._salt + explicit, data, associated)
        return header + len(sealed).to_bytes(2, "big") + sealed


def _prf(secret: bytes, seed: bytes, size: int) -> bytes:
    """P_SHA256 (RFC 5246 §5)."""
    out, a = b"", seed
    while len(out) < size:
        a = hmac.digest(secret, a, hashlib.sha256)
        out += hmac.digest(secret, a + seed, hashlib.sha256)
    return out[:size]
