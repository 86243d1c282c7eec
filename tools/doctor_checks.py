"""What phase 0 needs on this machine: looked for, not assumed."""

from __future__ import annotations

import importlib.util
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tools.workbook import NO_LINKS, has_links

LEAST_DESCRIPTORS, MANY_DESCRIPTORS = 4096, 20000
WEBSOCAT = "no Debian package: https://github.com/vi/websocat/releases, or cargo install websocat"


@dataclass(frozen=True)
class Check:
    name: str
    what_for: str
    found: str | None  # a version or a place; None: it is not there
    needed: bool = True
    package: str = ""  # of Debian
    how: str = ""  # to get it, where that is no package


def run(*command: str, text: str | None = None) -> tuple[int, str]:
    """Exit status and output; 127 if there is no such program."""
    try:
        result = subprocess.run(
            command, input=text, capture_output=True, encoding="utf-8", timeout=20, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired):
        return 127, ""
    return result.returncode, result.stdout + result.stderr


def _version(name: str, *arguments: str) -> str | None:
    """The first number that the program tells of itself; "here" if it tells none."""
    if shutil.which(name) is None:
        return None
    _, said = run(name, *(arguments or ("--version",)))
    number = re.search(r"\d+\.\d+(?:\.\d+)?", said)
    return number.group(0) if number else "here"


def _at_least(version: str | None, least: int) -> bool:
    return (
        version is not None
        and version.split(".")[0].isdigit()
        and int(version.split(".")[0]) >= least
    )


def _compilers() -> Check:
    gcc, clang = _version("g++", "-dumpfullversion"), _version("clang++")
    good = [f"g++ {gcc}"] if _at_least(gcc, 11) else []
    good += [f"clang++ {clang}"] if _at_least(clang, 14) else []
    old = ", ".join(
        f"{n} {v} is too old" for n, v in (("g++", gcc), ("clang++", clang)) if v and not good
    )
    return Check(
        "a C++20 compiler",
        "g++ 11 or clang++ 14, or later",
        ", ".join(good) or None,
        package="g++",
        how=old,
    )


def _compiles(name: str, what_for: str, header: str, package: str) -> Check:
    compiler = os.environ.get("CXX") or ("g++" if shutil.which("g++") else "clang++")
    flags = ["-std=c++20", "-E", "-x", "c++", "-o", os.devnull, "-"]
    status, _ = run(compiler, *flags, text=f"#include <{header}>\n")
    return Check(name, what_for, f"<{header}>" if status == 0 else None, package=package)


def _program(
    name: str, what_for: str, package: str, *arguments: str, needed: bool = True, how: str = ""
) -> Check:
    return Check(name, what_for, _version(name, *arguments), needed, package, how)


def _either(names: tuple[str, ...], what_for: str, package: str) -> Check:
    found = [f"{name} {version}" for name in names if (version := _version(name))]
    return Check(" or ".join(names), what_for, ", ".join(found) or None, False, package)


def _modules() -> Check:
    packages = {
        "pytest": "python3-pytest",
        "pytest_timeout": "python3-pytest-timeout",
        "hypothesis": "python3-hypothesis",
        "psutil": "python3-psutil",
        "websockets": "python3-websockets",
        "cryptography": "python3-cryptography",
        "click": "python3-click",
        "rich": "python3-rich",
        "watchdog": "python3-watchdog",
    }
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    version = ".".join(map(str, sys.version_info[:2]))
    how = f"missing for {sys.executable}: {', '.join(missing)}" if missing else ""
    found = None if missing else f"Python {version} has them"
    return Check(
        "pytest and libraries",
        "the tests, and this command",
        found,
        True,
        " ".join(packages[n] for n in missing),
        how,
    )


def _may_trace() -> Check:
    status, said = run("strace", "-o", os.devnull, "true")
    told = said.strip().splitlines()[-1:]
    how = "; ".join([*told, "a container needs --cap-add=SYS_PTRACE"]) if told else ""
    found = "it may trace" if status == 0 else None
    return Check("strace at work", "trace, and half of review", found, False, how=how)


def _browser() -> Check:
    names = ("chromium", "google-chrome", "firefox")
    found = [name for name in names if shutil.which(name)]
    return Check(
        "a browser",
        "the last task, 5.3",
        ", ".join(found) or None,
        False,
        "chromium chromium-driver",
    )


def _links() -> Check:
    found = "they are here" if has_links() else None
    return Check("symbolic links", "what a phase carries on", found, how=NO_LINKS)


_CHECKS: list[Callable[[], Check]] = [
    _links,
    _compilers,
    lambda: _program("make", "builds a phase", "make"),
    lambda: _compiles("OpenSSL's headers", "SHA-1, base64, TLS", "openssl/ssl.h", "libssl-dev"),
    lambda: _compiles("doctest", "unit tests", "doctest/doctest.h", "doctest-dev"),
    _modules,
    lambda: _program("strace", "shows the system calls of a server", "strace", "-V"),
    lambda: _program("nc", "plain TCP, typed by hand", "netcat-openbsd", "-h"),
    lambda: _program("telnet", "the same, and older", "telnet"),
    lambda: _program("curl", "sends a handshake", "curl"),
    lambda: _program("wscat", "a WebSocket client to type into", "node-ws"),
    lambda: _program("tcpdump", "shows the packets", "tcpdump"),
    _may_trace,
    lambda: _program("websocat", "the netcat of WebSockets", "", needed=False, how=WEBSOCAT),
    lambda: _either(("wireshark", "tshark"), "takes packets and TLS apart", "wireshark"),
    lambda: _program("gdb", "stops a server, to look inside", "gdb", needed=False),
    _browser,
]


def all_checks() -> list[Check]:
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda check: check(), _CHECKS))


def descriptors() -> tuple[int, int]:
    """The soft and the hard limit; a very large number for none."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return tuple(2**31 if limit == resource.RLIM_INFINITY else limit for limit in (soft, hard))  # type: ignore[return-value]
