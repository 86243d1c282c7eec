"""Phase 0: a compiler, a hello, and the tools. Tasks 0.1 and 0.2 of ROADMAP.md."""

import asyncio
import resource
import shutil
import threading
from contextlib import contextmanager
from typing import Iterator

import pytest

from harness.failures import check
from harness.server import Target, run_to_end
from harness.tools import need, tool, wscat

task = pytest.mark.task


@task("0.1")
def test_hello(target: Target):
    """./phase0 prints `hello` and nothing else, and exits 0."""
    result = run_to_end(target, exact=True)
    check(
        result.stdout == "hello\n",
        "`hello` and a newline on stdout",
        f"it printed {result.stdout!r}",
    )
    check(result.stderr == "", "nothing on stderr", f"it says {result.stderr!r}")
    check(
        result.status == 0,
        "exit status 0",
        f"it is {result.status}",
        cause="main returns 0, or nothing.",
    )


@task("0.2")
@pytest.mark.parametrize("name", ["strace", "tcpdump", "nc", "telnet", "curl", "wscat"])
def test_tool(name: str):
    """The tools that the lessons use are installed."""
    need(name)


@task("0.2")
def test_websocat():
    """websocat is installed; Debian has no package of it, so it may be missing."""
    if shutil.which("websocat") is None:
        pytest.skip("websocat is missing: not a Debian package, see ./learn doctor")


@task("0.2")
def test_descriptor_limit():
    """`ulimit -n` can be raised to 4,096 descriptors or more."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    cause = "raise the hard limit in /etc/security/limits.conf, or in the container's settings."
    check(
        most >= 4096,
        "a hard limit of at least 4,096 descriptors",
        f"it is {most}",
        "getrlimit(2)",
        cause=cause,
    )


@contextmanager
def library_server() -> Iterator[str]:
    """An echo server made of the library websockets, in a thread; its URL."""
    import websockets

    loop = asyncio.new_event_loop()
    started, ports, stop = threading.Event(), [], asyncio.Event()

    async def echo(socket) -> None:
        async for message in socket:
            await socket.send(message)

    async def serve() -> None:
        async with websockets.serve(echo, "127.0.0.1", 0) as server:
            ports.append(server.sockets[0].getsockname()[1])
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    started.wait(10)
    try:
        yield f"ws://127.0.0.1:{ports[0]}/"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@task("0.2")
def test_wscat_reaches_a_local_server():
    """wscat talks with a real server on this machine, one that nobody here wrote."""
    with library_server() as url, tool(None, *wscat(url, "hello")) as client:
        client.expect("hello\n")
        client.end_input()
        check(client.wait() == 0, "wscat to end in peace", "it did not")
