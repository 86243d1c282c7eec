"""TLS on a non-blocking socket, by memory BIOs: a send can be short, and a half-close is just that.

(An SSLSocket would want each send repeated with the same bytes, and drops TLS at shutdown().)
"""

from __future__ import annotations

import select
import socket
import ssl

from harness.deadlines import Deadline

_RECORD = 16384


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class TlsStream:
    """Looks like a non-blocking socket: what would block raises BlockingIOError."""

    def __init__(self, sock: socket.socket) -> None:
        """Shake hands; OSError (ssl.SSLError is one) if that fails."""
        self._sock = sock
        sock.setblocking(False)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = _context().wrap_bio(self._in, self._out, server_hostname="localhost")
        self._waiting = b""  # records that the kernel has not taken yet
        self._ending = False
        deadline = Deadline()
        while True:
            try:
                self._tls.do_handshake()
                self._flush()
                return
            except ssl.SSLWantReadError:
                self._flush()
                poll = select.poll()
                poll.register(sock, select.POLLIN)
                if not poll.poll(deadline.left_ms()):
                    raise TimeoutError("the TLS handshake went no further") from None
                self._feed()

    def __getattr__(self, name: str):
        return getattr(self._sock, name)

    def _feed(self) -> None:
        data = self._sock.recv(262144)
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()

    def _flush(self) -> bool:
        """Whether the kernel has taken every record."""
        self._waiting += self._out.read()
        try:
            while self._waiting:
                self._waiting = self._waiting[self._sock.send(self._waiting) :]
        except BlockingIOError:
            return False
        if self._ending:
            self._ending = False
            self._sock.shutdown(socket.SHUT_WR)
        return True

    @property
    def wants_write(self) -> bool:
        return bool(self._waiting)

    def send(self, data: bytes | memoryview) -> int:
        if not self._flush():
            raise BlockingIOError
        taken = self._tls.write(data[:_RECORD])
        self._flush()
        return taken

    def recv(self, size: int) -> bytes:
        """b"" at the server's close_notify, or at the end of the TCP stream."""
        while True:
            try:
                return self._tls.read(size)
            except ssl.SSLWantReadError:
                self._flush()  # reading may have made records too, such as a KeyUpdate
                self._feed()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    def end_sending(self) -> None:
        """Our close_notify, and our TCP stream's end; what the server still sends can be read on."""
        try:
            self._tls.unwrap()
        except ssl.SSLError:  # it would wait for the server's close_notify, too
            pass
        self._ending = True
        self._flush()
