"""Tickets across a reload, and early data (RFC 8446 §2.2, §2.3)."""

from __future__ import annotations

import ctypes
import signal
import socket
import tempfile
from pathlib import Path

from harness.certificates import Files, fingerprint_of, issue
from harness.deadlines import wait_until
from harness.failures import CheckFailed, check
from harness.frames import TEXT, encode
from harness.libssl import LibsslClient, LibsslSocket
from harness.server import Server
from harness.tls_clients import TLS1_2, TLS1_3, TlsClient, context
from trust.sockets import REQUEST
from trust.trial import Trial, attack

MOST_EARLY = 16_384  # what OpenSSL skips of early data that it does not want


@attack(
    "tickets", "sessions resumed, then the same tickets after a reload with another certificate"
)
def tickets(trial: Trial) -> None:
    directory = trial.closers.enter_context(tempfile.TemporaryDirectory())
    files = Files.at(Path(directory))
    files.write(issue("before"))
    server = trial.start_watched(*files.flags)
    for number in range(trial.many(50, 5)):
        for version in (TLS1_2, TLS1_3):
            settings = context(version)
            first = trial.keep(TlsClient(server, settings=settings)).handshake()
            first.echo()
            session = first.sock.session
            again(trial, server, settings, session, reused=True)
            wanted = files.write(issue(f"after {number}"))
            reload(server)
            client = again(trial, server, settings, session, reused=False)
            shown = fingerprint_of(client.certificate())
            check(shown == wanted, "the new certificate", f"{shown} came", client=client)
            first.echo(b"as before")
            first.close()
            client.close()


def again(trial: Trial, server: Server, settings, session, reused: bool) -> TlsClient:
    client = trial.keep(TlsClient(server, settings=settings, session=session))
    words = {True: "resumed", False: "not resumed"}
    check(
        client.sock.session_reused == reused,
        f"the session to be {words[reused]}",
        f"it was {words[not reused]}",
        client=client,
    )
    client.handshake().echo()
    trial.count += 1
    if reused:
        client.close()
    return client


def reload(server: Server) -> None:
    """SIGHUP, and wait until the server has told what it did."""
    told = server.stderr().count("SIGHUP")
    server.signal(signal.SIGHUP)
    done = wait_until(lambda: server.stderr().count("SIGHUP") > told)
    check(done, "a line about SIGHUP on stderr", "there is none", server=server)


# --- early data ---------------------------------------------------------------------------------


class EarlySocket(LibsslSocket):
    """Says its first words with the ClientHello, though the ticket does not allow it."""

    def __init__(self, sock: socket.socket, session: int, data: bytes) -> None:
        super().__init__(sock)
        self._session, self._data = session, data
        self._lib.SSL_SESSION_set_max_early_data(session, 1 << 24)
        self._lib.SSL_set_session(self._ssl, session)

    def connect(self) -> None:
        written = ctypes.c_size_t()
        call = self._lib.SSL_write_early_data
        self._call(call, self._data, len(self._data), ctypes.byref(written))
        super().connect()

    def accepted(self) -> bool:
        return self._lib.SSL_get_early_data_status(self._ssl) == 2

    def sent(self) -> bool:
        return self._lib.SSL_get_early_data_status(self._ssl) != 0


class EarlyClient(LibsslClient):
    sock: EarlySocket

    def __init__(self, server: Server, session: int, data: bytes) -> None:
        self._session, self._data = session, data
        super().__init__(server)

    def _wrap(self, sock: socket.socket) -> EarlySocket:
        wrapped = EarlySocket(sock, self._session, self._data)
        wrapped.connect()
        return wrapped


def session_of(client: LibsslClient) -> int:
    lib, pointer = client.sock._lib, ctypes.c_void_p
    lib.SSL_get1_session.restype, lib.SSL_get1_session.argtypes = pointer, [pointer]
    lib.SSL_SESSION_set_max_early_data.argtypes = [pointer, ctypes.c_uint32]
    lib.SSL_SESSION_free.argtypes = [pointer]
    lib.SSL_set_session.argtypes = [pointer, pointer]
    lib.SSL_get_early_data_status.argtypes = [pointer]
    lib.SSL_write_early_data.argtypes = [pointer, ctypes.c_char_p, ctypes.c_size_t, pointer]
    return lib.SSL_get1_session(client.sock._ssl)


@attack(
    "early data", "a request and a message as TLS 1.3 early data: never taken, and not for long"
)
def early_data(trial: Trial) -> None:
    server = trial.start_watched()
    for number in range(trial.many(200, 10)):
        first = trial.keep(LibsslClient(server)).handshake()
        first.echo()
        session = session_of(first)
        too_early(trial, server, session, ended=number % 2 == 1)
        first.sock._lib.SSL_SESSION_free(session)
        first.goodbye()
        first.close()
        trial.count += 1
    trial.tell(f"over {MOST_EARLY} bytes of it end the connection")


def too_early(trial: Trial, server: Server, session: int, ended: bool) -> None:
    words = (REQUEST + encode(TEXT, b"too early")) * (400 if ended else 1)
    try:
        client = trial.keep(EarlyClient(server, session, words))
        client.handshake().echo()
    except CheckFailed as error:
        check(ended, "early data to be skipped", f"{error}", client=error.client)
        if error.client:
            error.client.close()
        return
    check(client.sock.sent(), "early data to be sent", "it was not", client=client)
    check(not client.sock.accepted(), "early data to be refused", "it was taken", client=client)
    check(not ended, "an end after so much early data", "there was none", client=client)
    client.goodbye()
    client.close()
