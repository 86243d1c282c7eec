"""`./learn doctor`: is all here that phase 0 asks for, and does a WebSocket go through?"""

from __future__ import annotations

import asyncio
import os
import select
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import click

from tools.doctor_checks import LEAST_DESCRIPTORS, MANY_DESCRIPTORS, Check, all_checks, descriptors
from tools.ink import bad, bold, dim, good, next_step, say, warn

_MESSAGE = "hello from wscat"


def _say_check(check: Check) -> None:
    if check.found:
        say(f"  {good('✓')} {check.name:<22} {check.found:<26} {dim(check.what_for)}")
        return
    mark = bad("✗") if check.needed else warn("–")
    say(f"  {mark} {check.name:<22} {'not here':<26} {dim(check.what_for)}")
    for line in check.how.splitlines():
        say(f"      {line}")
    if check.package:
        say(f"      apt-get install {check.package}")


def _say_descriptors() -> bool:
    """A connection is a descriptor; the suites open ten thousand."""
    soft, hard = descriptors()
    enough = hard >= LEAST_DESCRIPTORS
    many = soft >= MANY_DESCRIPTORS
    mark = bad("✗") if not enough else good("✓")
    say(
        f"  {mark} {'ulimit -n':<22} {f'{soft:,} now, {hard:,} at most':<26} {dim('a connection is a descriptor')}"
    )
    if not many and hard > soft:
        say(
            f"      more, in this shell: ulimit -n {min(hard, 1 << 20)}   (the tests do that for themselves)"
        )
    if not enough:
        say(
            f"      at least {LEAST_DESCRIPTORS:,} are needed. Raise the hard limit, then log in anew:"
        )
        say("        /etc/security/limits.conf    *  hard  nofile  65536")
        say("        a container                  docker run --ulimit nofile=65536")
    return enough


# --- a WebSocket that nobody here wrote ---------------------------------------------------------------


@contextmanager
def library_server() -> Iterator[str]:
    """An echo server made of the library websockets, in a thread of its own; its URL."""
    import websockets

    loop = asyncio.new_event_loop()
    started, ports, stop = threading.Event(), [], asyncio.Event()

    async def echo(socket) -> None:
        with suppress(websockets.ConnectionClosed):  # type: ignore[attr-defined]
            async for message in socket:
                await socket.send(message)

    async def serve() -> None:
        async with websockets.serve(echo, "127.0.0.1", 0) as server:  # type: ignore[attr-defined]
            ports.append(server.sockets[0].getsockname()[1])
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    started.wait(10)
    try:
        yield f"ws://127.0.0.1:{ports[0]}/"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(5)


def _echo_through_wscat(url: str) -> str:
    """What wscat prints until the message has come back; then its input ends, and so does wscat.

    Not -w -1, which wscat knows from 6.1 on.
    """
    command = ["wscat", "-c", url, "-x", _MESSAGE, "-w", "60"]
    pipe = subprocess.PIPE
    said = ""
    with subprocess.Popen(
        command, bufsize=0, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT
    ) as wscat:
        assert wscat.stdout and wscat.stdin
        deadline = time.monotonic() + 15
        while (
            _MESSAGE not in said
            and select.select([wscat.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]
        ):
            if not (data := os.read(wscat.stdout.fileno(), 4096)):
                break
            said += data.decode("utf-8", "replace")
        wscat.stdin.close()
        try:
            wscat.wait(5)
        except subprocess.TimeoutExpired:
            wscat.kill()
    return said


def _try_wscat() -> bool:
    say()
    say(bold("a WebSocket goes through"))
    try:
        with library_server() as url:
            said = _echo_through_wscat(url)
    except (ImportError, OSError, IndexError, subprocess.TimeoutExpired) as error:
        say(f"  {bad('✗')} {error}")
        return False
    echoed = _MESSAGE in said
    say(f"  {dim('the server: Python websockets, on this machine')}")
    say(f"  {dim('$')} wscat -c {url} -x '{_MESSAGE}' -w 60")
    for line in said.strip().splitlines()[:6]:
        say(f"  {line}")
    if echoed:
        say(f"  {good('✓')} wscat sent it, and it came back: success criterion of task 0.2")
    else:
        say(f"  {bad('✗')} the message did not come back")
    return echoed


def _say_next(missing: list[Check], well: bool) -> None:
    if missing:
        packages = " ".join(check.package for check in missing if check.package)
        next_step(
            ("tools/setup", "installs what Debian has of it"),
            (f"apt-get install {packages}", "the same by hand"),
        )
    elif not well:
        next_step(("./learn doctor", "when that is mended"))
    else:
        next_step(
            ("make phase0 && ./phase0", "task 0.1"),
            ("./learn start 1", "the first server of yours"),
        )


@click.command()
@click.option("--quick", is_flag=True, help="Do not start a server and connect wscat to it.")
def doctor(quick: bool) -> None:
    """Are the tools of phase 0 here, and do they work?

    Looks for the compiler, the libraries, strace, nc, curl, wscat, tcpdump and what else the lessons use;
    says how to get what is missing; looks at `ulimit -n`. Then it starts a WebSocket server that nobody here
    wrote, and connects wscat to it.

    Exit status: 0 when all that is needed is here and works. What is marked – is good to have, and not needed.
    """
    say(bold("tools"))
    checks = all_checks()
    for check in checks:
        _say_check(check)
    enough = _say_descriptors()
    missing = [check for check in checks if check.needed and not check.found]
    echoed = quick or shutil.which("wscat") is not None and _try_wscat()
    well = enough and echoed and not missing
    say()
    say(good("all that is needed is here") if well else bad("something is missing"))
    _say_next(missing, well)
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    doctor()
