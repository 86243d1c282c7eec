"""`./learn accept`: the handshake validator: a request in, its Sec-WebSocket-Accept or its faults out."""

from __future__ import annotations

import base64
import hashlib
import sys

import click

from tools import suite  # noqa: F401
from tools.accept_rules import (
    EXTRA_HEADERS,
    REASONS,
    WAITS,
    Finding,
    Head,
    judge,
    key_problem,
    status_of,
)
from tools.ink import bad, bold, dim, good, next_step, plural, say, warn
from harness.http import GUID, KEY

_EXAMPLE = f"./learn accept {KEY}"


# --- the value, in its steps ----------------------------------------------------------------------


def _digest(key: str) -> bytes:
    return hashlib.sha1(key.encode("latin-1", "replace") + GUID).digest()


def accept_value(key: str) -> str:
    return base64.b64encode(_digest(key)).decode()


def _say_steps(key: str) -> None:
    digest = _digest(key)
    say(bold("the accept value"))
    say(
        f"  the key, as it was sent   {key}   {dim('the text itself, not the bytes it decodes to')}"
    )
    say(f"  and the GUID behind it    {key}{GUID.decode()}")
    say(f"  SHA-1 of that, 20 bytes   {digest.hex(' ')}")
    say(f"  base64 of these bytes     {good(accept_value(key))}   {dim('RFC 6455 §4.2.2, 5.4')}")


def _say_comparison(key: str, got: str) -> bool:
    """What a server answered, and where a wrong answer may come from."""
    from harness import diagnose

    say()
    if got == accept_value(key):
        say(f"{good('✓')} {got} is right")
        return True
    say(f"{bad('✗')} {got} is wrong")
    why = diagnose.accept(key, got) or "it is none of the usual mistakes; compare the steps above"
    say(f"  likely cause: {why}")
    return False


# --- a request --------------------------------------------------------------------------------------


def _say_finding(found: Finding) -> None:
    mark = bad("✗") if found.status else warn("!") if found.remark else good("✓")
    say(f"  {mark} {found.subject}")
    say(f"      {found.text} {dim(f'({found.rule})')}")


def _answer(status: int, key: str, method: str) -> list[str]:
    if status == 101:
        return [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept_value(key)}",
        ]
    if status == WAITS:
        return ["none yet: the server waits for the end of the head"]
    head = [f"HTTP/1.1 {status} {REASONS[status]}", "Date: …", *EXTRA_HEADERS.get(status, [])]
    body = "(and no body: this answers HEAD)" if method == "HEAD" else "(and a body that says why)"
    return [*head, "Content-Length: …", "Connection: close", "", body]


def _say_request(data: bytes) -> tuple[Head, int]:
    head, found = judge(data)
    say(bold("the request"))
    for finding in found:
        _say_finding(finding)
    say()
    wrong = [finding for finding in found if finding.status]
    status = status_of(found)
    keys = head.values("Sec-WebSocket-Key")
    if status in (101, WAITS) and keys:
        _say_steps(keys[0])
        say()
    say(bold("the answer that it earns") + (f": {plural(len(wrong), 'fault')}" if wrong else ""))
    for line in _answer(status, (keys or [""])[0], head.method):
        say(f"  {line}".rstrip())
    return head, status


def _next_for_request(head: Head, status: int) -> tuple[str, str]:
    if status == 101 and head.rest:
        return f"./learn frame --from client {head.rest[:64].hex()}", "the bytes behind the head"
    if status == 101:
        typed = f"./learn accept {head.values('Sec-WebSocket-Key')[0]} --got VALUE"
        return typed, "compare what your server answers"
    return "./learn accept --example | ./learn accept", "a request that is right"


def _read() -> bytes:
    if sys.stdin.isatty():
        say(dim("Paste the request, with the empty line at its end; then Ctrl-D."))
    return sys.stdin.buffer.read()


def _example() -> str:
    from harness import http

    return http.request(target="/chat").decode()


def _judge_key(key: str, got: str | None, quiet: bool) -> bool:
    problem = key_problem(key)
    right = problem is None
    if quiet:
        if right:
            say(accept_value(key))
        return right
    _say_steps(key)
    if problem:
        say(f"{bad('✗')} a server must refuse this key: {problem} {dim('(RFC 6455 §4.2.1, 5)')}")
    if got is not None:
        right = _say_comparison(key, got) and right
    next_step(("./learn accept --example | ./learn accept", "a whole request"))
    return right


def _judge_request(got: str | None, quiet: bool) -> bool:
    data = _read()
    if not data.strip():
        why = "there is no request on standard input, and no key"
        raise click.UsageError(f"{why}: try {_EXAMPLE}")
    if quiet:
        head, found = judge(data)
        status = status_of(found)
    else:
        head, status = _say_request(data)
    right, keys = status == 101, head.values("Sec-WebSocket-Key")
    if quiet and right:
        say(accept_value(keys[0]))
    if quiet:
        return right
    if got is not None and keys:
        right = _say_comparison(keys[0], got) and right
    next_step(_next_for_request(head, status))
    return right


@click.command()
@click.argument("key", required=False)
@click.option(
    "--got", metavar="VALUE", help="What a server answered: is it right, and if not, why?"
)
@click.option("-q", "--quiet", is_flag=True, help="Print the value and nothing else.")
@click.option("--example", is_flag=True, help="Print a request that is right, and nothing else.")
def accept(key: str | None, got: str | None, quiet: bool, example: bool) -> None:
    """What Sec-WebSocket-Accept a request earns, or what is wrong with it.

    The request comes on standard input; or give the Sec-WebSocket-Key alone.

    \b
      ./learn accept --example | ./learn accept
      ./learn accept dGhlIHNhbXBsZSBub25jZQ==              the key of RFC 6455 §1.3
      ./learn accept KEY --got VALUE                       what did my server do wrong?
      ./learn accept -q KEY                                the value alone, for scripts

    Text with bare LF line ends is taken, with a remark: pasted text has them.
    Exit status: 0 when all is right, 1 when something is wrong.
    """
    if example:
        sys.stdout.write(_example())
    elif key is not None:
        sys.exit(0 if _judge_key(key, got, quiet) else 1)
    else:
        sys.exit(0 if _judge_request(got, quiet) else 1)


if __name__ == "__main__":
    accept()
