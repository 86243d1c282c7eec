"""TLS clients with a mind of their own: versions, ALPN, sessions, broken records, no TLS at all."""

from __future__ import annotations

import os
import select
import socket
import ssl
import warnings

from harness.client import Client
from harness.deadlines import REPLY, Deadline, scaled
from harness.failures import CheckFailed
from harness.libssl import forget_errors
from harness.server import Server

TLS1_1, TLS1_2, TLS1_3 = (
    ssl.TLSVersion.TLSv1_1,
    ssl.TLSVersion.TLSv1_2,
    ssl.TLSVersion.TLSv1_3,
)
APPLICATION_DATA = 23  # the content type of a record (RFC 8446 §5.1)


class ForgetfulSocket(ssl.SSLSocket):
    """Python 3.13 leaves a failed send in OpenSSL's error queue, from where the next call takes it,
    on whichever socket of the thread."""

    def send(self, *arguments) -> int:
        try:
            return super().send(*arguments)
        except OSError:
            forget_errors()
            raise


def context(version: ssl.TLSVersion | None = None, alpn: list[str] | None = None) -> ssl.SSLContext:
    """A client's settings; it takes any certificate. With `version`: this one and no other."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.sslsocket_class = ForgetfulSocket
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # a missing close_notify is to be seen
    if version:
        made.set_ciphers("ALL:@SECLEVEL=0")  # the server is to say no to TLS 1.1, not we
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            made.minimum_version = made.maximum_version = version
    if alpn:
        made.set_alpn_protocols(alpn)
    return made


class TlsClient(Client):
    """A client with settings of its own; `session` is one to resume."""

    sock: ssl.SSLSocket

    def __init__(
        self,
        server: Server,
        narrow: bool = False,
        *,
        settings: ssl.SSLContext | None = None,
        session: ssl.SSLSession | None = None,
        name: str = "localhost",
    ) -> None:
        self._settings = settings or context()
        self._session = session
        self._name = name
        super().__init__(server, narrow)

    def _wrap(self, sock: socket.socket) -> ssl.SSLSocket:
        return self._settings.wrap_socket(
            sock,
            server_hostname=self._name,
            session=self._session,
            suppress_ragged_eofs=False,
        )

    def certificate(self) -> bytes:
        """The server's, in DER."""
        return self.sock.getpeercert(binary_form=True)

    def send_raw(self, data: bytes, what: str) -> None:
        """Bytes on the TCP connection itself, past TLS."""
        self._step(f"sent past TLS: {what}")
        os.write(self.sock.fileno(), data)

    def end_tcp(self) -> None:
        """The end of the TCP stream, without the close_notify that should come first."""
        self._step("ended the TCP stream without close_notify")
        with socket.socket(fileno=os.dup(self.sock.fileno())) as tcp:
            tcp.shutdown(socket.SHUT_WR)

    def end_of_tls(self) -> str:
        """What comes next, where it is to be the end: "close_notify", "" (the TCP stream just
        ended), the name of an alert, or what broke the connection."""
        deadline = Deadline()
        try:
            while (data := self._read_tls(deadline)) is None:
                pass
        except ssl.SSLError as error:
            end = error.reason or str(error)
            end = "" if "UNEXPECTED_EOF" in end or "EOF occurred" in end else end
        except OSError as error:
            end = f"{error.strerror}"
        else:
            if data:
                self.fail("the end of the stream", f"{len(data)} bytes came")
            end = "close_notify"
        self.ended = True
        self._step(f"the server ended its stream: {end or 'without close_notify'}")
        return end

    def expect_close_notify(self, rule: str = "RFC 8446 §6.1") -> None:
        """Nothing more comes but a close_notify."""
        end = self.end_of_tls()
        if end != "close_notify":
            cause = (
                "SSL_shutdown sends it; it may have to be tried again when there is room for it."
            )
            words = "a close_notify before the end of the TCP stream"
            self.fail(words, f"it ended so: {end or 'without one'}", rule, cause=cause)

    def _read_tls(self, deadline: Deadline) -> bytes | None:
        try:
            return self.sock.recv(65536)
        except ssl.SSLWantReadError:
            if deadline.over() or not self._wait(select.POLLIN, deadline):
                self.fail("the server to end the connection", "nothing more came")
            return None


class TcpClient(Client):
    """Speaks to the TLS port without TLS."""

    def _wrap(self, sock: socket.socket) -> socket.socket:
        self.tls = False
        return sock


def refusal(server: Server, settings: ssl.SSLContext) -> str | None:
    """What OpenSSL says of the alert that ends this client's handshake; None: it was let in."""
    sock = socket.create_connection(server.address, timeout=scaled(REPLY))
    with sock:
        try:
            with settings.wrap_socket(sock, server_hostname="localhost") as tls:
                tls.settimeout(scaled(0.2))
                tls.recv(1)  # a TLS 1.3 client hears of a refusal when it reads
        except TimeoutError:
            return None
        except ssl.SSLError as error:
            return str(error)
        except OSError as error:
            raise CheckFailed("a TLS alert", f"the connection broke: {error}")
    return None


def client_hello() -> bytes:
    """The first record of a TLS handshake."""
    outgoing = ssl.MemoryBIO()
    tls = context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()
