"""A server process under test: started, watched through /proc, stopped, and asked why it died."""

import os
import re
import resource
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from harness.deadlines import Deadline, scaled, wait_until
from harness.failures import TODO_EXIT, CheckFailed

LISTENING = re.compile(r"^listening on (tcp|http|ws|wss)://(\[[^\]]+\]|[^:\s]+):(\d+)$")
# The kernel kills a server when whoever started it is gone, however that came (PR_SET_PDEATHSIG in
# prctl(2)). setpriv(1) asks for it and becomes the server; a preexec_fn is not safe with threads.
GUARD = ("setpriv", "--pdeathsig", "KILL", "--") if shutil.which("setpriv") else ()
SANITIZER = re.compile(r"(ERROR: \w+Sanitizer|runtime error:|WARNING: ThreadSanitizer)")


@dataclass(frozen=True)
class Target:
    """What a test runs on: a phase, by its plain or its TLS port, and the command that starts it."""

    phase: int
    tls: bool
    command: tuple[str, ...]
    directory: Path

    def arguments(self, flags: tuple[str, ...]) -> list[str]:
        ports = ["--port", "0"] if "--port" not in flags else []
        if self.phase == 5 and "--tls-port" not in flags:
            ports += ["--tls-port", "0"]
        return [*self.command, *ports, *flags]

    def schemes(self) -> list[str]:
        return {1: ["tcp"], 2: ["http"], 5: ["ws", "wss"]}.get(self.phase, ["ws"])


@dataclass
class Server:
    arguments: list[str]
    process: subprocess.Popen
    stderr_file: Path
    tls: bool = False
    pid: int = 0
    stdout: str = ""
    addresses: dict[str, tuple[str, int]] = field(default_factory=dict)
    task: str = "9.9"  # the task that the test is about
    stopped: bool = False  # the test has ended it, and has checked how

    # --- where it listens -------------------------------------------------------------------

    @property
    def address(self) -> tuple[str, int]:
        return self.addresses["wss" if self.tls else next(iter(self.addresses))]

    @property
    def url(self) -> str:
        host, port = self.address
        return f"{'wss' if self.tls else 'ws'}://{f'[{host}]' if ':' in host else host}:{port}/"

    # --- how it is ----------------------------------------------------------------------------

    def running(self) -> bool:
        return self.process.poll() is None

    def stderr(self) -> str:
        return self.stderr_file.read_text("utf-8", "replace")

    def rss(self) -> int:
        """Resident memory in bytes."""
        return int(_proc(self.pid, "statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu(self) -> float:
        """Seconds on a CPU so far, all threads together, exact to less than a millisecond."""
        return self._scheduled(0)

    def kept_waiting(self) -> float:
        """Seconds so far in which it could have run, but others had the CPU."""
        return self._scheduled(1)

    def _scheduled(self, column: int) -> float:
        threads = os.listdir(f"/proc/{self.pid}/task")
        counts = [_proc(self.pid, f"task/{t}/schedstat").split() for t in threads]
        return sum(int(count[column]) for count in counts) / 1e9

    def wakeups(self) -> int:
        """How often it has gone to sleep: a loop that spins on a timer cannot hide from this."""
        status = _proc(self.pid, "status")
        return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.M).group(1))

    def asleep(self) -> bool:
        """It waits for something, and so is done with all that came so far; or it is gone."""
        return _proc(self.pid, "stat").rpartition(") ")[2][0] in "SZ"

    def watch(self, seconds: float = 0.4) -> tuple[int, float]:
        """Look on while nothing happens: how often it woke up, and which share of a CPU it used."""
        wait_until(self.asleep, 1)  # it may just be on its way there
        wait_until(self.asleep, 1.0)
        wakeups, cpu, start = self.wakeups(), self.cpu(), time.monotonic()
        exit_event = os.pidfd_open(self.pid)
        try:
            poll = select.poll()
            poll.register(exit_event, select.POLLIN)
            poll.poll(int(seconds * 1000))
        finally:
            os.close(exit_event)
        return self.wakeups() - wakeups, (self.cpu() - cpu) / (time.monotonic() - start)

    def expect_idle(self, what: str, cause: str, wakeups: int = 0) -> None:
        """For a while there is nothing to do, and it does nothing."""
        woken, share = self.watch()
        if woken > wakeups or share > 0.1:
            but = f"it woke up {woken} times and used {share:.0%} of a CPU"
            raise CheckFailed(
                f"the server to sleep while {what}",
                but,
                "epoll(7)",
                cause=cause,
                server=self,
            )

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def limit_descriptors(self, count: int) -> None:
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (count, count))

    def sanitized(self) -> bool:
        return (
            "libasan" in _proc(self.pid, "maps")
            or b"__asan_init" in Path(f"/proc/{self.pid}/exe").read_bytes()
        )

    # --- how it ends ----------------------------------------------------------------------------

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, seconds: float = 8.0) -> int | None:
        """The exit status (negative: the signal), or None while it still runs."""
        try:
            return self.process.wait(scaled(seconds))
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> None:
        """SIGTERM; it must exit with 0 and leave no sanitizer report.

        A test must not fail over a later task: before 1.2, a signal may just kill the server.
        """
        if self.running():
            self.signal(signal.SIGTERM)
        status = self.wait()
        self.kill()
        self.stopped = True
        if status == TODO_EXIT and self.later_task():
            return
        if status == -signal.SIGTERM and self.task < "1.2":
            return
        if status is None:
            raise CheckFailed(
                "the server to end on SIGTERM",
                "it still runs",
                "signal(7)",
                server=self,
            )
        report = SANITIZER.search(self.stderr())
        if report or status != 0:
            what = f"its stderr has a report: {report.group(0)}" if report else self.ending()
            raise CheckFailed("the server to end on SIGTERM with exit status 0", what, server=self)

    def kill(self) -> None:
        for pid in {self.pid, self.process.pid} if self.running() else ():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        self.stopped = True

    def ending(self) -> str:
        """How it ended, in words."""
        status = self.process.poll()
        if status is None:
            return "still running"
        if status < 0:
            return f"killed by {signal.Signals(-status).name}"
        return f"ended with exit status {status}"

    def _grace(self) -> None:
        """A connection that breaks may be the first sign of a server that is just dying."""
        wait_until(lambda: not self.running(), 0.3)

    def fell(self) -> bool:
        """It is gone, and nobody has asked it to go: there is nothing to wait for any more."""
        return self.process.poll() not in (None, 0)

    def todo(self) -> str | None:
        """The number of the task that is missing, if that is what ended the server."""
        if not self.stopped:
            self._grace()
        if self.process.poll() != TODO_EXIT:
            return None
        found = re.findall(r"\b[1-9]\.[1-9]\b", self.stderr())
        return found[-1] if found else "?"

    def missing_task(self) -> str | None:
        """What the server itself says about the missing task, if that is what ended it."""
        return self.stderr().strip() if self.todo() else None

    def later_task(self) -> bool:
        missing = self.todo()
        return missing is not None and missing > self.task

    def last_words(self) -> list[str]:
        """For a report: the command, how it ended, the end of its stderr."""
        text = self.stderr()
        found = SANITIZER.search(text)
        lines = text[found.start() :].splitlines()[:12] if found else text.splitlines()[-8:]
        told = [f"{shlex.join(self.arguments)}   ({self.ending()})"]
        return told + [f"stderr: {line}" for line in lines if line.strip()]


def _proc(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


def environment(**extra: str) -> dict[str, str]:
    """A small quarantine keeps the memory of an ASan build comparable."""
    asan = ":".join(
        filter(
            None,
            [
                "quarantine_size_mb=1",
                os.environ.get("ASAN_OPTIONS"),
                extra.pop("asan", ""),
            ],
        )
    )
    return {**os.environ, "ASAN_OPTIONS": asan, **extra}


def launch(
    target: Target,
    *flags: str,
    under: list[str] | None = None,
    env: dict[str, str] | None = None,
    **streams: int,
) -> Server:
    """Start it and wait for its `listening on` lines.

    `under`: a command that runs it, such as strace. `streams`: descriptors, for stdin in place of
    /dev/null, for stderr in place of the file that Server.stderr() reads.
    """
    arguments = [*(under or []), *target.arguments(flags)]
    handle, path = tempfile.mkstemp(prefix="server-", suffix=".stderr")
    with os.fdopen(handle, "wb") as file:
        process = subprocess.Popen(
            [*GUARD, *(under or []), *(GUARD if under else []), *target.arguments(flags)],
            cwd=target.directory,
            stdout=subprocess.PIPE,
            env=env or environment(),
            **{"stdin": subprocess.DEVNULL, "stderr": file, **streams},
        )
    server = Server(arguments, process, Path(path), target.tls, process.pid)
    try:
        _await_listening(server, target.schemes())
    except BaseException:
        server.kill()
        raise
    if under:
        children = _proc(process.pid, f"task/{process.pid}/children").split()
        server.pid = int(children[0]) if children else process.pid  # it may be gone already
    return server


def _await_listening(server: Server, schemes: list[str]) -> None:
    deadline = Deadline(10)
    stdout = server.process.stdout.fileno()
    poll = select.poll()
    poll.register(stdout, select.POLLIN)
    while len(server.addresses) < len(schemes):
        data = os.read(stdout, 4096) if poll.poll(deadline.left_ms()) else b""
        server.stdout += data.decode("utf-8", "replace")
        for line in server.stdout.splitlines():
            if found := LISTENING.match(line):
                server.addresses.setdefault(found[1], (found[2].strip("[]"), int(found[3])))
        if not data:
            break
    if [*server.addresses] != schemes:
        wanted = " and ".join(f"`listening on {scheme}://ADDRESS:PORT`" for scheme in schemes)
        if not deadline.over():
            server.wait(1)
        said = (
            f"it printed {server.stdout!r}"
            if server.stdout
            else f"it printed nothing ({server.ending()})"
        )
        raise CheckFailed(f"the server to print {wanted} on stdout", said, server=server)


@dataclass
class Result:
    """What a command that ends by itself left behind."""

    status: int | None
    stdout: str
    stderr: str


def run_to_end(
    target: Target,
    *flags: str,
    exact: bool = False,
    env: dict[str, str] | None = None,
    **options,
) -> Result:
    """Run the server's command where it is expected to end at once (--help, a wrong flag)."""
    arguments = [*target.command, *flags] if exact else target.arguments(flags)
    process = subprocess.Popen(
        [*GUARD, *arguments],
        cwd=target.directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env or environment(),
        **options,
    )
    try:
        stdout, stderr = process.communicate(timeout=scaled(10))
    except subprocess.TimeoutExpired:
        process.kill()
        stdout, stderr = process.communicate()
        return Result(None, stdout, stderr)
    if process.returncode == TODO_EXIT:
        raise CheckFailed("the task to be written", stderr.strip())
    return Result(process.returncode, stdout, stderr)
