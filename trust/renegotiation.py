"""Renegotiation, with which a client could make a TLS 1.2 server work at no cost of its own."""

from __future__ import annotations

from harness.deadlines import REPLY, scaled, wait_until
from harness.failures import check
from harness.server import Server
from harness.sockdiag import unread
from trust.forger import HANDSHAKE, Forger12
from trust.sockets import HELLO, connect, reset
from trust.trial import MIB, Trial, attack


@attack("renegotiation", "ClientHellos within TLS 1.2 connections: refused, for next to nothing")
def renegotiation(trial: Trial) -> None:
    server = trial.start_watched()
    before = server.rss()
    work = cost_of_hellos(server, trial.many(500, 50))
    clients, each = trial.many(20, 4), trial.many(500, 100)
    cost = 0.0
    for _ in range(clients):
        own = Forger12(server).upgrade()
        cpu = server.cpu()
        for _ in range(each):
            own.send(HANDSHAKE, HELLO[5:])
        wait_until(lambda: not unread(own.sock) and server.asleep())
        cost += server.cpu() - cpu
        _, how = own.rest()
        check(how == "NO_RENEGOTIATION", "the alert no_renegotiation", f"this came: {how}")
        own.close()
        trial.count += each
    share = cost / trial.count / work
    check(share < 0.25, "a quarter of a handshake's work at most", f"it is {share:.2f}")
    trial.tell(f"each {share:.0%} of the work for a first ClientHello")
    trial.bound_memory(server, before, 2 * MIB, "all of them")


def cost_of_hellos(server: Server, count: int) -> float:
    """Seconds of CPU that the answer to a connection's first ClientHello takes."""
    cpu = server.cpu()
    for _ in range(count):
        sock = connect(server, True)
        sock.settimeout(scaled(REPLY))
        sock.sendall(HELLO)
        sock.recv(100)
        reset(sock)
    wait_until(server.asleep)
    return (server.cpu() - cpu) / count
