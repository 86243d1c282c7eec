"""What differs from machine to machine: the checkout, the locale, the terminal, what is installed."""

import os
import pty
import re
import shlex
import shutil
import socket
import ssl
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import walkthrough
from harness.certificates import Files, issue
from harness.tls_clients import context

TOP = walkthrough.ROOT


def run(*command: str, cwd: Path = TOP, **environment: str) -> subprocess.CompletedProcess:
    """Both outputs as one text; variables of a make around this one are left out."""
    inherited = {
        name: v for name, v in os.environ.items() if not re.match("MA?KE?F?LAGS|MAKE", name)
    }
    return subprocess.run(
        command,
        cwd=cwd,
        env={**inherited, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=120,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    target = tmp_path / "a workbook"
    target.mkdir()
    walkthrough.fresh_copy(target)
    return target


def fake(directory: Path, name: str, script: str) -> None:
    """A program that stands for another where `directory` is first in PATH."""
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


# --- the checkout ---------------------------------------------------------------------------------


def test_a_copy_without_links_is_told(copy: Path):
    """Links that became texts: make and ./learn say so, and how to clone; doctor shows it."""
    for link in (path for path in copy.rglob("*") if path.is_symlink()):
        text = os.readlink(link)
        link.unlink()
        link.write_text(text)
    for command, status in (
        (("make", "phase5"), 2),
        (("./learn",), 1),
        (("./learn", "start", "2"), 1),
        (("/usr/bin/python3", "-m", "tools.stages", "check"), 1),
    ):
        result = run(*command, cwd=copy)
        assert result.returncode == status, result.stdout
        assert "no symbolic links" in result.stdout and "core.symlinks=true" in result.stdout
    assert not (copy / "work").exists()
    result = run("./learn", "doctor", "--quick", cwd=copy)
    assert result.returncode == 1 and re.search("✗ symbolic links +not here", result.stdout)


def test_line_ends_stay(tmp_path: Path):
    """Git for Windows' default, core.autocrlf: scripts keep their line ends, and bytes stay bytes."""
    clone = ("git", "-c", "core.autocrlf=true", "clone", "--quiet", str(TOP), str(tmp_path / "c"))
    if not (TOP / ".git").exists() or run(*clone).returncode != 0:
        pytest.skip("this is no git checkout")
    changed = [
        str(path.relative_to(tmp_path / "c"))
        for path in (tmp_path / "c").rglob("*")
        if path.is_file() and ".git" not in path.parts and b"\r\n" in path.read_bytes()
    ]
    assert all(name.startswith(("fuzz/corpus/", "fuzz/regressions/")) for name in changed), changed


def test_export_into_a_path_with_a_space(copy: Path):
    """The directory is one word, also in what is shown to be typed next."""
    target = copy / "my export"
    result = run("make", "export", "PHASE=1", f"DIR={target}", cwd=copy)
    assert result.returncode == 0, result.stdout
    last = result.stdout.splitlines()[-1]
    assert shlex.split(last)[:2] == ["cd", str(target)] and (target / "Makefile").is_file()


def test_a_file_system_without_hard_links(copy: Path, tmp_path: Path):
    """A phase's executable is copied then."""
    fake(tmp_path, "ln", "echo 'ln: Operation not permitted' >&2; exit 1")
    result = run("make", "phase0", cwd=copy, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert result.returncode == 0, result.stdout
    assert run("./phase0", cwd=copy).stdout == "hello\n"


def test_a_standard_in_the_environment():
    """CXXFLAGS of the environment may be anybody's; C++20 it is all the same."""
    made = "build/release/common/sha1.o"
    result = run("make", "-n", "--always-make", made, CXXFLAGS="-O2 -std=c++17")
    assert re.findall(r"-std=\S+", result.stdout)[-1:] == ["-std=c++20"], result.stdout


# --- the locale and the terminal --------------------------------------------------------------------

VERBS = [[], ["--help"], ["status"], ["diff", "3"], ["doctor", "--quick"], ["frame", "8100"]]


@pytest.mark.parametrize("words", VERBS, ids=lambda words: " ".join(words) or "where")
@pytest.mark.parametrize(
    "locale",
    [
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"PYTHONIOENCODING": "iso-8859-1"},
    ],
    ids=["ASCII", "Latin-1"],
)
def test_a_locale_without_utf8(words: list[str], locale: dict[str, str]):
    """What it cannot show becomes a question mark, and nothing ends in a traceback."""
    result = run("./learn", *words, **locale)
    assert result.returncode == 0 and "Traceback" not in result.stdout, result.stdout


@pytest.mark.parametrize("words", [["doctor", "--quick"], ["frame", "8100"], ["status"]])
@pytest.mark.parametrize("terminal", ["dumb", "xterm"])
def test_a_terminal_without_colours(words: list[str], terminal: str):
    """TERM=dumb, such as Emacs' shell, gets no escape codes; others do."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": terminal}
    environment.pop("NO_COLOR", None)
    with subprocess.Popen(
        ["./learn", *words], cwd=TOP, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    ):
        os.close(theirs)
        said = b""
        try:
            while data := os.read(ours, 65536):
                said += data
        except OSError:  # EIO: the other end is closed
            pass
    os.close(ours)
    assert (b"\x1b" in said) == (terminal == "xterm"), said


# --- Python and its OpenSSL -------------------------------------------------------------------------


def test_a_failed_send_is_forgotten(tmp_path: Path):
    """What a TLS socket could not send is not taken for a failure of another one."""
    files = Files.at(tmp_path)
    files.write(issue("localhost"))
    accepting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    accepting.load_cert_chain(files.certificate, files.key)

    def connected() -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
        ours, theirs = socket.socketpair()
        with ThreadPoolExecutor(1) as thread:
            other = thread.submit(accepting.wrap_socket, theirs, server_side=True)
            return context().wrap_socket(ours, server_hostname="localhost"), other.result()

    (broken, gone), (well, peer) = connected(), connected()
    with broken, well, peer:
        well.setblocking(False)
        with pytest.raises(ssl.SSLWantReadError):
            well.recv(1)  # its tickets
        gone.close()
        with pytest.raises(OSError):
            broken.send(b"nobody hears this")
        with pytest.raises(ssl.SSLWantReadError):
            well.recv(1)


def test_files_are_left_to_pytest(tmp_path: Path):
    """What the harness writes is under pytest's directory, which pytest removes after three runs."""
    with tempfile.NamedTemporaryFile() as file:
        assert Path(file.name).parent == tmp_path.parent


# --- what is installed -------------------------------------------------------------------------------


def test_a_package_that_is_missing(tmp_path: Path):
    """Without watchdog: doctor says so, and watch tells what brings it."""
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['watchdog'] = None\n")
    result = run("./learn", "doctor", "--quick", PYTHONPATH=str(tmp_path))
    assert result.returncode == 1 and "python3-watchdog" in result.stdout, result.stdout
    result = run("./learn", "watch", "0", PYTHONPATH=str(tmp_path))
    assert result.returncode == 1 and "needs the Python package watchdog" in result.stdout
    assert "Traceback" not in result.stdout and "tools/setup" in result.stdout


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A PATH for tools/setup: a machine with an ordinary user, where nothing is installed."""
    for name in ("bash", "env", "sh", "true"):
        (tmp_path / name).symlink_to(shutil.which(name))
    fake(tmp_path, "id", "echo 1000")
    fake(tmp_path, "dpkg-query", "exit 1")
    return tmp_path


def set_up(machine: Path, *words: str) -> subprocess.CompletedProcess:
    return run(str(TOP / "tools" / "setup"), *words, PATH=str(machine))


@pytest.mark.parametrize("sudo", [None, "echo ann is not in the sudoers file >&2; exit 1"])
def test_set_up_without_the_right_to(machine: Path, sudo: str | None):
    """Without sudo, and with one that refuses: what root would type, and exit 1."""
    if sudo:
        fake(machine, "sudo", sudo)
    result = set_up(machine)
    assert result.returncode == 1
    assert "\n  apt-get update && apt-get install" in result.stdout, result.stdout
    assert " node-ws" in result.stdout and "npm" not in result.stdout
    assert "setup: installing" not in result.stdout
    fake(machine, "npm", "exit 1")
    result = set_up(machine)
    assert "npm install --global wscat" in result.stdout and "node-ws" not in result.stdout
    assert "wscat" not in set_up(machine, "build").stdout


def test_set_up_shows_how_far_it_is(machine: Path):
    """How much it will be, and a line for each tenth; apt's failure is its own."""
    fake(machine, "sudo", 'exec "$@"')
    said = """case "$*" in update*) exit;; esac
        echo Reading package lists...
        echo Need to get 69.0 MB of archives.
        echo After this operation, 281 MB of additional disk space will be used.
        for i in 1 2 3 4 5 6; do echo dlstatus:$i:$((i * 9)).5:Retrieving file; done
        echo Unpacking make
        echo pmstatus:make:97.5:Unpacking make"""
    fake(machine, "apt-get", said)
    result = set_up(machine, "build")
    assert result.returncode == 0
    assert result.stdout.splitlines()[1:] == [
        "setup: Need to get 69.0 MB of archives.",
        "setup: After this operation, 281 MB of additional disk space will be used.",
        *(f"setup: downloaded {tenth} %" for tenth in (10, 20, 30, 40, 50)),
        "setup: installed 90 %",
    ]
    fake(machine, "apt-get", f"{said}\nexit 100")
    assert set_up(machine, "build").returncode == 100
