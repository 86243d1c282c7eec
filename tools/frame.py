"""`./learn frame HEX`: a frame drawn bit by bit, and what is wrong with it."""

from __future__ import annotations

import sys

import click

from tools import suite  # noqa: F401
from tools.frame_bytes import NotHex, Seen, bytes_of, split
from tools.frame_figure import draw
from tools.frame_rules import CODES, Order, Problem, problems
from tools.ink import bad, bold, dim, good, next_step, plural, say
from harness import frames
from harness.frames import CLOSE, CONTINUATION, MASK, PING, PONG, TEXT, UNMASKED

_DRAWN = 6  # frames in full; those after them get a line each
_TYPED = 48  # bytes that one can be asked to type


# --- what it says ---------------------------------------------------------------------------------


def _hex(data: bytes, limit: int = 16) -> str:
    return data[:limit].hex(" ") + (" …" if len(data) > limit else "")


def _fin(seen: Seen) -> str:
    if seen.fin:
        return "the last frame of its message, or the only one"
    return "the message goes on in a later frame"


_OPCODES = {
    CONTINUATION: "the next piece of the message that is open",
    TEXT: "text in UTF-8; a new message",
    frames.BINARY: "any bytes; a new message",
    CLOSE: "the last frame in this direction",
    PING: "are you there? wants a PONG with the same payload",
    PONG: "the answer to a PING, or a sign of life",
}


def _length(seen: Seen) -> str:
    if seen.size is None:
        return f"{seen.short}: {8 * seen.width} bits more tell it, which are not all there"
    if seen.width:
        return f"{seen.size:,}, told in {8 * seen.width} bits, since the 7 bits say {seen.short}"
    return f"{seen.size}, told in 7 bits"


def _fields(seen: Seen) -> list[tuple[str, str, str]]:
    """Name, bits, meaning."""
    told = [
        ("FIN", f"{int(seen.fin)}", _fin(seen)),
        (
            "RSV1-3",
            f"{seen.rsv:03b}",
            "no extension" if not seen.rsv else "an extension's, or wrong",
        ),
        ("opcode", f"{seen.opcode:04b}", f"0x{seen.opcode:X} {seen.name}"),
    ]
    if seen.opcode in _OPCODES:
        told[-1] = (*told[-1][:2], f"{told[-1][2]}: {_OPCODES[seen.opcode]}")
    if seen.short is None:
        return told
    who = "a client masks, with a key that is new for each frame" if seen.masked else "not masked"
    told += [
        ("MASK", f"{int(seen.masked)}", who if seen.masked else "not masked: from a server"),
        ("length", f"{seen.short:07b}", _length(seen)),
    ]
    if seen.key:
        told.append(("key", "", _hex(seen.key)))
    return told


def _text(payload: bytes) -> str | None:
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError:
        return None
    shown = text if len(text) <= 60 else text[:60] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)


def _say_payload(seen: Seen) -> None:
    wire = seen.on_the_wire
    if seen.masked:
        repeated = (seen.key * 5)[: min(len(wire), 16)]
        say(f"  on the wire {_hex(wire)}")
        say(
            f"  XOR the key {_hex(repeated)}{' …' if len(wire) > 16 else ''}   byte i with key[i % 4]  {dim('§5.3')}"
        )
        say(f"  unmasked    {_hex(seen.payload)}")
    else:
        say(f"  payload     {_hex(wire)}")
    body = seen.payload
    if seen.opcode == CLOSE and len(body) >= 2:
        code = int.from_bytes(body[:2], "big")
        kind = "of a library or framework" if code < 4000 else "of an application"
        meaning = CODES.get(code) or (kind if 3000 <= code <= 4999 else "not to be sent")
        say(f"  close code  {code}: {meaning}")
        body = body[2:]
    if body and (text := _text(body)) is not None:
        say(f'  as text     "{text}"')


def _say_problems(found: list[Problem]) -> None:
    for problem in found:
        end = f" → close with {problem.code}" if problem.code else ""
        say(f"  {bad('✗')} {problem.text} {dim(f'({problem.rule})')}{end}")
    if not found:
        say(f"  {good('✓')} nothing is wrong with it")


def _show(seen: Seen, found: list[Problem], heading: str) -> None:
    wrong = {problem.field for problem in found}
    if not heading.startswith("frame 1 ") and heading.startswith("frame "):
        say()
    say(bold(heading))
    say()
    for line in draw(
        seen, lambda name: bad if name in wrong else good if name == "payload" else None
    ):
        say("  " + line)
    say()
    for name, value, meaning in _fields(seen):
        mark = (
            bad(f"{name:<7}")
            if name in wrong or name[:3] in {w[:3] for w in wrong}
            else f"{name:<7}"
        )
        say(f"  {mark}     {value:<8}{'' if not value else ' '}{meaning}")
    if seen.payload:
        _say_payload(seen)
    _say_problems(found)


def _line(seen: Seen, found: list[Problem], number: int) -> None:
    told = frames.Frame(seen.opcode, seen.payload, seen.fin, seen.key, seen.rsv, seen.raw)
    wrong = "; ".join(f"{problem.text} ({problem.rule})" for problem in found)
    say(f"{number:>4}  {frames.describe(told)}" + (f"  {bad('✗')} {wrong}" if wrong else ""))


# --- what to type next ------------------------------------------------------------------------------


def _typed(data: bytes, sender: str) -> str:
    return f"./learn frame {data.hex()} --from {sender}"


def _answer(seen: Seen) -> tuple[str, str]:
    """The frame that a server sends back, or what a client would have sent."""
    if seen.masked and seen.opcode in (CLOSE, PING) or seen.masked and not seen.is_control:
        opcode = PONG if seen.opcode == PING else seen.opcode
        raw = frames.encode(opcode, seen.payload, fin=seen.fin, mask=UNMASKED)
        kinds = {CLOSE: "the CLOSE", PING: "the PONG"}
        return (
            _typed(raw, "server"),
            f"{kinds.get(seen.opcode, 'the echo')} that a server sends back",
        )
    raw = frames.encode(seen.opcode, seen.payload, fin=seen.fin, mask=MASK)
    return _typed(raw, "client"), "the same frame from a client"


def _next(last: Seen, found: list[Problem], sender: str | None) -> tuple[str, str]:
    short = len(last.payload) <= _TYPED and not last.missing
    if not found and short:
        return _answer(last)
    fields = {problem.field.rstrip("123") for problem in found}
    mendable = fields <= {"RSV", "MASK", "length"} and not (
        last.is_control and len(last.payload) > 125
    )
    if short and found and mendable:
        mask = last.key if last.masked else UNMASKED
        if "MASK" in fields:
            mask = MASK if sender == "client" else UNMASKED
        raw = frames.encode(last.opcode, last.payload, fin=last.fin, mask=mask)
        who = sender or ("client" if mask else "server")
        return _typed(raw, who), "the same frame, mended"
    if found and last.missing and len(last.raw) <= _TYPED and last.missing <= _TYPED:
        zeros = "00" * last.missing
        return f"./learn frame {last.raw.hex()}{zeros}", "with zeros for what is missing"
    if found:
        return (
            "./learn frame 818537fa213d7f9f4d5158",
            "a frame that is right: the masked Hello of §5.7",
        )
    return "./learn frame --help", "more to draw"


def _input(words: tuple[str, ...], raw: bool) -> bytes:
    if raw and words not in ((), ("-",)):
        raise click.UsageError(
            "--raw reads bytes from standard input: ./learn frame --raw - < FILE"
        )
    if raw:
        return sys.stdin.buffer.read()
    if words == ("-",):
        return bytes_of(sys.stdin.read())
    return bytes_of(" ".join(words))


@click.command(no_args_is_help=False)
@click.argument("hex", nargs=-1, metavar="HEX…")
@click.option(
    "--raw", is_flag=True, help="Standard input is the bytes themselves, not hexadecimal."
)
@click.option(
    "--from",
    "sender",
    type=click.Choice(["client", "server"]),
    help="Who sent it: then masking is judged, too.",
)
def frame(hex: tuple[str, ...], raw: bool, sender: str | None) -> None:
    """Draw frames bit by bit, as the figure of RFC 6455 §5.2 does.

    HEX may have spaces, colons, 0x or \\x in it; - reads it from standard input. Several frames in a row are
    taken as one direction of a conversation: fragments and the text in them are checked across frames.

    \b
      ./learn frame 81 05 48 65 6c 6c 6f                 the unmasked Hello of §5.7
      ./learn frame 0x81 0x85 37:fa:21:3d 7f9f4d5158     the masked one
      ./learn frame --from client 810548656c6c6f         what a server says to that
      od -An -v -tx1 capture.bin | ./learn frame -       out of a file
      ./learn frame --raw - < capture.bin                the same, without od

    Exit status: 0 when nothing is wrong with them, 1 when something is, 2 when this is no hexadecimal.
    """
    try:
        data = _input(hex, raw)
    except NotHex as error:
        raise click.UsageError(str(error)) from None
    if not data:
        raise click.UsageError("no bytes: type them in hexadecimal, such as 81 05 48 65 6c 6c 6f")
    order = Order()
    judged = [(seen, problems(seen, sender, order)) for seen in split(data)]
    at = 0
    for index, (seen, found) in enumerate(judged):
        of = f"frame {index + 1} of {len(judged)}: " if len(judged) > 1 else ""
        size = plural(len(seen.raw), "byte")
        if index < _DRAWN:
            _show(seen, found, f"{of}{seen.name}, {size}" + (f" from byte {at} on" if at else ""))
        else:
            _line(seen, found, index + 1)
        at += len(seen.raw)
    wrong = [pair for pair in judged if pair[1]]
    if len(judged) > 1:
        say()
        say(
            f"{len(judged)} frames, "
            + (bad(f"{len(wrong)} wrong") if wrong else good("nothing wrong"))
        )
    next_step(_next(*(wrong or judged)[-1], sender))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    frame()
