"""A TLS client on libssl itself, for what Python's ssl leaves out: KeyUpdate (RFC 8446 §4.6.3)."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import select
import socket
import ssl

from harness.client import Client
from harness.deadlines import Deadline

_KEY_UPDATE_REQUESTED = 1
_HANDSHAKE, _KEY_UPDATE = 22, 24  # a content type, and a handshake message (§4, §5.1)
_WANT_READ, _WANT_WRITE, _ZERO_RETURN, _SYSCALL = 2, 3, 6, 5
_SET_GROUPS, _SET_LEAST_VERSION, _SET_LAST_VERSION = 92, 123, 124  # openssl/ssl.h

_OnMessage = ctypes.CFUNCTYPE(
    None,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_void_p,
    ctypes.c_void_p,
)


@functools.cache
def _libssl() -> ctypes.CDLL:
    lib = ctypes.CDLL(ctypes.util.find_library("ssl") or "libssl.so.3")
    pointer, number = ctypes.c_void_p, ctypes.c_int
    for name, result, arguments in (
        ("TLS_client_method", pointer, []),
        ("SSL_CTX_new", pointer, [pointer]),
        ("SSL_CTX_free", None, [pointer]),
        ("SSL_CTX_set_msg_callback", None, [pointer, _OnMessage]),
        ("SSL_new", pointer, [pointer]),
        ("SSL_free", None, [pointer]),
        ("SSL_set_fd", number, [pointer, number]),
        ("SSL_set0_wbio", None, [pointer, pointer]),
        ("BIO_s_mem", pointer, []),
        ("BIO_new", pointer, [pointer]),
        ("BIO_read", number, [pointer, pointer, number]),
        ("SSL_connect", number, [pointer]),
        ("SSL_read", number, [pointer, pointer, number]),
        ("SSL_write", number, [pointer, ctypes.c_char_p, number]),
        ("SSL_key_update", number, [pointer, number]),
        ("SSL_get_error", number, [pointer, number]),
        ("ERR_clear_error", None, []),
        ("ERR_peek_error", ctypes.c_ulong, []),
        ("ERR_reason_error_string", ctypes.c_char_p, [ctypes.c_ulong]),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


def forget_errors() -> None:
    """Empties this thread's error queue of OpenSSL."""
    _libssl().ERR_clear_error()


class LibsslSocket:
    """As much of a TlsStream as Client needs, and key_update().

    libssl writes into memory, and _flush() from there to the socket. With the socket itself, an
    SSL_read whose answer to a KeyUpdate has no room would try to write for ever and never read.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._lib = _libssl()
        self._sock = sock
        self._buffer = ctypes.create_string_buffer(65536)
        self._on_message = _OnMessage(self._count)  # kept alive for as long as libssl has it
        self.key_updates = 0  # that the server has sent
        self._context = self._lib.SSL_CTX_new(self._lib.TLS_client_method())
        self._lib.SSL_CTX_set_msg_callback(self._context, self._on_message)
        self._ssl = self._lib.SSL_new(self._context)
        self._lib.SSL_set_fd(self._ssl, sock.fileno())
        self._out = self._lib.BIO_new(self._lib.BIO_s_mem())
        self._lib.SSL_set0_wbio(self._ssl, self._out)  # which owns it from now on
        self._waiting = b""  # records that the kernel has not taken yet

    def _count(self, sent, _version, kind, data, size, _ssl, _argument) -> None:
        if not sent and kind == _HANDSHAKE and size:
            self.key_updates += ctypes.string_at(data, 1)[0] == _KEY_UPDATE

    def _call(self, function, *arguments) -> int:
        """The result of a call; would-block becomes the exception that Python's ssl has for it."""
        self._lib.ERR_clear_error()
        result = function(self._ssl, *arguments)
        if result > 0:
            return result
        error = self._lib.SSL_get_error(self._ssl, result)
        if error == _ZERO_RETURN:
            return 0
        if error == _WANT_READ:
            raise ssl.SSLWantReadError
        if error == _WANT_WRITE:
            raise ssl.SSLWantWriteError
        reason = self._lib.ERR_reason_error_string(self._lib.ERR_peek_error())
        raise ssl.SSLError(error, (reason or b"the connection broke").decode())

    def _flush(self) -> bool:
        """Whether the kernel has taken every record."""
        while (count := self._lib.BIO_read(self._out, self._buffer, len(self._buffer))) > 0:
            self._waiting += self._buffer.raw[:count]
        try:
            while self._waiting:
                self._waiting = self._waiting[self._sock.send(self._waiting) :]
        except BlockingIOError:
            return False
        return True

    @property
    def wants_write(self) -> bool:
        return bool(self._waiting)

    def connect(self) -> None:
        deadline = Deadline()
        self._sock.setblocking(False)
        while True:
            try:
                self._call(self._lib.SSL_connect)
                self._flush()
                return
            except ssl.SSLWantReadError:
                poll = select.poll()
                poll.register(self._sock, select.POLLIN | select.POLLOUT * (not self._flush()))
                if not poll.poll(deadline.left_ms()):
                    raise TimeoutError("the TLS handshake went no further") from None

    def send(self, data: bytes | memoryview) -> int:
        if not self._flush():
            raise ssl.SSLWantWriteError
        data = bytes(data[:16384])
        count = self._call(self._lib.SSL_write, data, len(data))
        self._flush()
        return count

    def recv(self, size: int) -> bytes:
        size = min(size, len(self._buffer))
        try:
            count = self._call(self._lib.SSL_read, self._buffer, size)
        except ssl.SSLWantReadError:
            self._flush()  # reading may have made records too, such as a KeyUpdate
            raise
        return self._buffer.raw[:count]

    def key_update(self) -> bool:
        """Change our sending key with the next write, and ask the server to change its own.

        False while the kernel has not taken all that was written.
        """
        self._lib.ERR_clear_error()
        return self._flush() and self._lib.SSL_key_update(self._ssl, _KEY_UPDATE_REQUESTED) == 1

    def close(self) -> None:
        if self._ssl:
            self._lib.SSL_free(self._ssl)
            self._lib.SSL_CTX_free(self._context)
            self._ssl = None
        self._sock.close()

    def __getattr__(self, name: str):
        return getattr(self._sock, name)


class LibsslClient(Client):
    sock: LibsslSocket

    def _wrap(self, sock: socket.socket) -> LibsslSocket:
        wrapped = LibsslSocket(sock)
        wrapped.connect()
        return wrapped


def client_hello(groups: str, version: ssl.TLSVersion) -> bytes | None:
    """The first words of a client that offers one version, and these groups for the key exchange
    ("X25519:P-256"; it has a key for the first); None where OpenSSL does not know them."""
    lib = _libssl()
    context = lib.SSL_CTX_new(lib.TLS_client_method())
    ours, theirs = socket.socketpair()
    with ours, theirs:
        lib.SSL_CTX_ctrl(context, _SET_LEAST_VERSION, version, None)
        lib.SSL_CTX_ctrl(context, _SET_LAST_VERSION, version, None)
        known = lib.SSL_CTX_ctrl(context, _SET_GROUPS, 0, groups.encode()) == 1
        tls = lib.SSL_new(context)
        ours.setblocking(False)
        lib.SSL_set_fd(tls, ours.fileno())
        lib.SSL_connect(tls)
        lib.ERR_clear_error()
        lib.SSL_free(tls)
        lib.SSL_CTX_free(context)
        return theirs.recv(65536) if known else None
