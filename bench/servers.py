"""The servers that are measured: how each is built, started and stopped."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

BUILD = "build/release/bench"
START_TIMEOUT = 10.0  # seconds
# 16 MiB messages are part of the bench; the peers' own limits are as high.
PHASE5 = (
    "./phase5 --port {port} --tls-port {tls_port} --max-message 16777216 --max-buffered 67108864"
)


@dataclass(frozen=True)
class Server:
    """Commands have {port}, {tls_port} or both; '' is what the server does not speak."""

    name: str
    plain: str = ""
    tls: str = ""
    scheme: str = "ws"
    needs: str = ""  # a header for the compiler, or a module for node or python
    package: str = ""  # which Debian has it in
    peer: bool = False  # measured less often than phase 5 and what it is compared with

    def command(self, tls: bool) -> str:
        return self.tls if tls else self.plain


@dataclass(frozen=True)
class Running:
    pid: int
    url: str


OURS = [
    Server("phase5", PHASE5, PHASE5),
    Server("raw", f"{BUILD}/raw_echo --port {{port}}", scheme="tcp"),
]
PEERS = [
    Server(
        "beast", f"{BUILD}/peers/beast {{port}}", needs="boost/beast.hpp", package="libboost-dev"
    ),
    Server(
        "libwebsockets",
        f"{BUILD}/peers/libwebsockets {{port}}",
        needs="libwebsockets.h",
        package="libwebsockets-dev",
    ),
    Server(
        "lws+libuv",
        f"{BUILD}/peers/libwebsockets {{port}} libuv",
        needs="libwebsockets.h",
        package="libwebsockets-dev",
    ),
    Server(
        "websocketpp",
        f"{BUILD}/peers/websocketpp {{port}}",
        needs="websocketpp/server.hpp",
        package="libwebsocketpp-dev",
    ),
    Server("ws", "node bench/peers/ws.js {port}", needs="ws", package="node-ws"),
    Server(
        "websockets",
        "/usr/bin/python3 bench/peers/websockets_echo.py {port}",
        needs="websockets",
        package="python3-websockets",
    ),
]


def added(definition: str, servers: list[Server]) -> list[Server]:
    """`servers` with NAME=COMMAND added; a name may come twice, once with {tls_port}."""
    name, equals, command = definition.partition("=")
    if not name or not equals or "port}" not in command:
        raise ValueError(
            f"--peer takes NAME=COMMAND with {{port}} or {{tls_port}}, not {definition!r}"
        )
    servers = list(servers)
    if name not in [server.name for server in servers]:
        servers.append(Server(name))
    place = next(i for i, server in enumerate(servers) if server.name == name)
    if "{port}" in command:
        servers[place] = replace(servers[place], plain=command)
    if "{tls_port}" in command:
        servers[place] = replace(servers[place], tls=command)
    return servers


def has_what_it_needs(server: Server) -> bool:
    program = shlex.split(server.plain)[0]
    if program == "node":
        probe = ["node", "-e", f"require('{server.needs}')"]
    elif "python" in program:
        probe = [program, "-c", f"import {server.needs}"]
    else:
        compiler = os.environ.get("CXX", "g++")
        probe = [compiler, "-x", "c++", "-E", "-"]
    if shutil.which(probe[0]) is None:
        return False
    source = f"#if !__has_include(<{server.needs}>)\n#error\n#endif\n".encode()
    done = subprocess.run(probe, input=source, env=environment(), capture_output=True)
    return done.returncode == 0


def is_compiled(server: Server) -> bool:
    return shlex.split(server.plain)[0].startswith(BUILD)


def peers(build: bool) -> Iterator[Server]:
    """The peers that can be measured here; says which can't, and why. Without `build`, only those
    that are built already."""
    for peer in PEERS:
        program = shlex.split(peer.plain)[0]
        if not has_what_it_needs(peer):
            print(f"skipped: {peer.name} (wants {peer.package})", flush=True)
        elif is_compiled(peer) and not build and not os.path.exists(program):
            print(f"skipped: {peer.name} (not built yet; make bench without QUICK builds it)")
        elif is_compiled(peer) and build and not compiles(program):
            print(f"skipped: {peer.name} (does not compile)")
        else:
            yield replace(peer, peer=True)


def compiles(program: str) -> bool:
    return subprocess.run(["make", "--no-print-directory", program]).returncode == 0


def environment() -> dict[str, str]:
    """Debian keeps its packages for Node.js where only its own node looks."""
    return {**os.environ, "NODE_PATH": "/usr/share/nodejs"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_it_listens(process: subprocess.Popen[bytes], port: int, command: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command} does not listen") from None
            time.sleep(0.02)


@contextlib.contextmanager
def running(server: Server, tls: bool, cpu: int | None) -> Iterator[Running]:
    """Starts the server, on one CPU if told which, and stops it at the end."""
    ports = {"port": free_port(), "tls_port": free_port()}
    command = shlex.split(server.command(tls).format(**ports))
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
    )
    try:
        if cpu is not None:
            os.sched_setaffinity(process.pid, {cpu})
        port = ports["tls_port" if tls else "port"]
        wait_until_it_listens(process, port, shlex.join(command))
        scheme = server.scheme + ("s" if tls else "")
        yield Running(process.pid, f"{scheme}://127.0.0.1:{port}/")
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
