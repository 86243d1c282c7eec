"""The attacks are reported as they went, SECURITY.md names what there is, and the sandbox fits the server."""

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import trust.__main__  # noqa: E402: it loads the attacks
import trust.watch  # noqa: E402
from harness import strace  # noqa: E402
from harness.certificates import Files, issue  # noqa: E402
from harness.client import Client  # noqa: E402
from harness.deadlines import scaled  # noqa: E402
from harness.server import Server, Target, launch  # noqa: E402
from trust.aside import Task  # noqa: E402
from trust.programs import PROGRAMS, Program, run_program  # noqa: E402
from trust.sessions import reload  # noqa: E402
from trust.sockets import connect  # noqa: E402
from trust.trial import ATTACKS, Attack, Settings, Trial, perform  # noqa: E402

SETTINGS = Settings(ROOT / "build" / "release", quick=True)
UNIT = ROOT / "phase5_tls" / "websocket-echo.service"
EXPOSURE = 15  # in tenths, of 100 at most: what is left is a server's business, the network
systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd")


# --- the table --------------------------------------------------------------------------------------


def result_line(attack: str, count: int, ok: bool) -> str:
    row = {"attack": attack, "tried": "this", "count": count, "ok": ok, "detail": ""}
    return f"RESULT {json.dumps(row)}"


@pytest.mark.parametrize(
    "lines, status, rows",
    [
        ([result_line("a", 3, True), "noise"], 0, [("a", 3, True)]),
        ([result_line("a", 3, False)], 1, [("a", 3, False)]),
        ([result_line("a", 3, True)], 1, [("a", 3, True), ("it", 1, False)]),
        (["noise"], 0, [("it", 0, False)]),
        ([result_line("b", 3, True)], 0, [("b", 3, True), ("it", 1, False)]),
    ],
    ids=["held", "failed", "failed without a word", "said nothing", "said something else"],
)
def test_programs(tmp_path: Path, lines: list[str], status: int, rows: list):
    """A program's rows are taken as it prints them; one that fails or is silent is a failure of its own."""
    script = tmp_path / "attack.sh"
    said = "\n".join(["#!/bin/sh", "cat << END", *lines, "END", f"exit {status}"])
    script.write_text(said + "\n")
    script.chmod(0o755)
    came = run_program(Program("it", str(script), "--quick", ("a",)), SETTINGS)
    assert [(row.attack, row.count, row.ok) for row in came] == rows


def nothing_tried(trial: Trial) -> None:
    pass


def nobody_home(trial: Trial) -> None:
    trial.count = 1
    server = trial.start_watched()
    server.kill()
    server.stopped = False


@pytest.mark.parametrize("run", [nothing_tried, nobody_home])
def test_what_fails_is_no_success(run):
    """An attack that tried nothing does not hold, nor does one after which the server is gone."""
    result = perform(Attack("it", "this", run, 30), SETTINGS)
    assert not result.ok and result.detail


def stop(task: Task, server: Server, seconds: float) -> int:
    """Nobody is served for so long, and SIGTERM is not heard."""
    server.signal(signal.SIGSTOP)
    task.ready()
    task.over(seconds)
    server.signal(signal.SIGCONT)
    return 1


def let_wait(trial: Trial) -> None:
    trial.count += sum(trial.assault((stop, trial.start_watched(), 0.5)))


def make_deaf(trial: Trial) -> None:
    trial.count += sum(trial.assault((stop, trial.start_watched(timed=False), scaled(2))))


def keep_descriptors(trial: Trial) -> None:
    trial.count += 1
    server = trial.start_watched("--handshake-timeout", "0")
    for _ in range(3):
        trial.closers.callback(connect(server).close)


@pytest.mark.parametrize(
    "run, told",
    [(let_wait, "one waited for"), (make_deaf, "1001"), (keep_descriptors, "3 are open")],
)
def test_what_an_attack_must_not_do(run, told: str, monkeypatch):
    """Honest clients who wait, a SIGTERM that is not heard, descriptors that stay: each is told."""
    monkeypatch.setattr(trust.watch, "RECOVERY", 0.2)
    result = perform(Attack("it", "this", run, 60), SETTINGS)
    assert not result.ok and told in result.detail, result.detail


# --- SECURITY.md ----------------------------------------------------------------------------------


def test_each_row_is_shown():
    """Each row of SECURITY.md names attacks and tests that there are, and each attack is named."""
    text = (ROOT / "SECURITY.md").read_text("utf-8")
    table = text.partition("| attack | answer |")[2]
    rows = [row.split("|")[1:-1] for row in table.splitlines() if row.startswith("| ")][1:]
    tests = "".join(p.read_text("utf-8") for p in ROOT.glob("tests_py/test_*.py"))
    names = {attack.name for attack in ATTACKS}
    names |= {attack for program in PROGRAMS for attack in program.attacks}
    for _, _, shown in rows:
        assert re.search(r"\*[^*]+\*|`test_\w+`", shown), f"by nothing: {shown}"
        for attack in re.findall(r"\*([^*]+)\*", shown):
            assert attack in names, f"make trust has no attack {attack}"
        for test in re.findall(r"`(test_\w+)`", shown):
            assert f"def {test}(" in tests, f"there is no {test}"
    for name in names - {"soak"}:
        assert f"*{name}*" in text, f"SECURITY.md does not name the attack {name}"


# --- the unit file --------------------------------------------------------------------------------


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit file, with a server that is there."""
    copy = tmp_path / UNIT.name
    server = str(SETTINGS.build / "phase5")
    copy.write_text(UNIT.read_text("utf-8").replace("/usr/local/bin/websocket-echo", server))
    return copy


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    words = ["systemd-analyze", "--no-pager", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=60)


@systemd
def test_the_unit_file_is_right(unit: Path):
    """systemd finds nothing to say about the unit file."""
    done = analyze("verify", "--man=no", unit)
    assert done.returncode == 0 and unit.name not in done.stderr, done.stderr


def test_the_limits_of_the_unit_fit_together():
    """As many connections as it lets in, each as large as SECURITY.md says, fit into MemoryMax."""
    text = UNIT.read_text("utf-8")
    flags = {flag: int(value) for flag, value in re.findall(r"(--max-[a-z]+) (\d+)", text)}
    files = int(re.search(r"^LimitNOFILE=(\d+)$", text, re.M).group(1))
    memory = int(re.search(r"^MemoryMax=(\d+)G$", text, re.M).group(1)) << 30
    each = 3 * flags["--max-buffered"] + flags["--max-message"] + (384 << 10)
    assert flags["--max-connections"] * each <= memory * 0.9  # the rest is the server's own
    assert flags["--max-connections"] + 20 <= files


@systemd
def test_the_sandbox_is_tight(unit: Path):
    """What systemd-analyze still finds exposed is little."""
    done = analyze("security", "--offline=true", f"--threshold={EXPOSURE}", unit)
    if "unrecognized option" in done.stderr:
        pytest.skip("systemd-analyze is too old to look at a file")
    assert done.returncode == 0, done.stdout + done.stderr


def allowed_calls() -> set[str]:
    words = re.search(r"^SystemCallFilter=(.*)$", UNIT.read_text("utf-8"), re.M).group(1).split()
    calls = {word for word in words if word[0] != "@"}
    todo = [word for word in words if word[0] == "@"]
    while todo:
        lines = analyze("syscall-filter", todo.pop()).stdout.splitlines()[1:]
        found = {line.strip() for line in lines if line.strip() and "#" not in line}
        todo += [name for name in found if name[0] == "@"]
        calls |= found
    return calls


@systemd
def test_the_sandbox_lets_it_work(tmp_path: Path):
    """A life of the server, from its start to a reload and SIGTERM, asks for no call that is not allowed."""
    files, trace = Files.at(tmp_path), tmp_path / "trace"
    files.write(issue("first"))
    target = Target(5, True, (str(SETTINGS.build / "phase5"),), ROOT)
    flags = ["--host", "0.0.0.0", "-v", *files.flags]
    server = launch(target, *flags, under=["strace", "-f", "-qq", "-o", str(trace)])
    try:
        for plain in (True, False):
            client = Client(server, plain=plain).handshake()
            client.echo(bytes(300_000))
            client.goodbye()
            client.close()
        files.write(issue("second"))
        reload(server)
        server.stop()
    finally:
        server.kill()
        server.process.stdout.close()
        server.stderr_file.unlink()
    calls = set(strace.names(strace.calls(trace, "execve("))) | {"madvise"}  # of malloc_trim, later
    assert {"accept4", "timerfd_settime", "openat"} <= calls
    assert calls <= allowed_calls(), calls - allowed_calls()
    families = set(re.findall(r"socket\((AF_\w+)", trace.read_text()))
    assert families <= {"AF_INET", "AF_INET6"}, families
