"""The figure of RFC 6455 §5.2, drawn with the bits of a frame at hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tools.frame_bytes import Seen

_ROW = 32  # bits in a row
_PAYLOAD_SHOWN = 12  # bytes
Paint = Callable[[str], str]


@dataclass(frozen=True)
class Field:
    label: str
    data: str  # the bits, as 0 and 1
    notes: tuple[str, ...] = ()
    rows: tuple[bytes, ...] = ()  # values of each byte, to stand below its bits
    paint: Paint | None = None


@dataclass
class _Cell:
    """What of a field stands in one row."""

    bits: str
    lines: list[str] = field(default_factory=list)
    paint: Paint | None = None

    @property
    def width(self) -> int:
        return 2 * len(self.bits) - 1


def bits(data: bytes) -> str:
    return "".join(f"{byte:08b}" for byte in data)


def _under_bytes(data: bytes, show: Callable[[int], str]) -> str:
    return " ".join(show(byte).center(15) for byte in data)


def _show_text(byte: int) -> str:
    return f"{byte:02x} '{chr(byte)}'" if 32 <= byte < 127 else f"{byte:02x}"


def _label(part: Field, start: int, width: int) -> str:
    """In full if it fits; a small cell does with the name alone, or nothing."""
    forms = [part.label] if not start else [part.label.partition(":")[0] + " (continued)"]
    forms.append(part.label.partition(":")[0])
    return next((form for form in forms if len(form) <= width), "")


def _lines(part: Field, start: int, count: int) -> list[str]:
    """The words in one cell: upright where there is room, down the column in a cell of one bit."""
    if len(part.data) == 1:
        return list(part.label)
    lines = [_label(part, start, 2 * count - 1)]
    if part.rows:
        first, last = start // 8, (start + count) // 8
        lines.append(_under_bytes(part.rows[0][first:last], lambda byte: f"{byte:02x}"))
        lines += [_under_bytes(row[first:last], _show_text) for row in part.rows[1:]]
    return lines + ([] if start else list(part.notes))


def _rows(fields: list[Field]) -> list[list[_Cell]]:
    rows: list[list[_Cell]] = [[]]
    free = _ROW
    for part in fields:
        start = 0
        while start < len(part.data):
            if not free:
                rows.append([])
                free = _ROW
            count = min(free, len(part.data) - start)
            words = _lines(part, start, count)
            rows[-1].append(_Cell(part.data[start : start + count], words, part.paint))
            start += count
            free -= count
    return rows


def _edges(row: list[_Cell]) -> set[int]:
    """The columns at which the cells of a row begin and end."""
    columns = {0}
    for cell in row:
        columns.add(max(columns) + cell.width + 1)
    return columns if row else set()


def _border(above: list[_Cell], below: list[_Cell]) -> str:
    edges = _edges(above) | _edges(below)
    return "".join("+" if column in edges else "-" for column in range(max(edges) + 1))


def _draw_row(row: list[_Cell]) -> list[str]:
    height = max(len(cell.lines) for cell in row)
    drawn = ["|" + "|".join(" ".join(cell.bits) for cell in row) + "|"]
    for index in range(height):
        cells = []
        for cell in row:
            text = cell.lines[index] if index < len(cell.lines) else ""
            text = text[: cell.width].center(cell.width)
            cells.append(cell.paint(text) if cell.paint else text)
        drawn.append("|" + "|".join(cells) + "|")
    return drawn


def _heads() -> list[str]:
    tens = "".join(f"{n // 10 if n % 10 == 0 else ' '} " for n in range(_ROW))
    return [" " + tens.rstrip(), " " + "".join(f"{n % 10} " for n in range(_ROW)).rstrip()]


def _fields(seen: Seen, paint: Callable[[str], Paint | None]) -> list[Field]:
    first = bits(seen.raw[:1])
    fields = [Field("FIN", first[0], paint=paint("FIN"))]
    fields += [Field(f"RSV{n}", first[n], paint=paint(f"RSV{n}")) for n in (1, 2, 3)]
    name = "CONT." if seen.opcode == 0 else seen.name if len(seen.name) < 8 else "?"
    notes: tuple[str, ...] = (f"0x{seen.opcode:X}", name)
    fields.append(Field("opcode", first[4:], notes, paint=paint("opcode")))
    if seen.short is None:
        return fields
    second = bits(seen.raw[1:2])
    fields.append(Field("MASK", second[0], paint=paint("MASK")))
    notes = (f"{seen.short}",) + ({2: ("16 bits", "follow"), 8: ("64 bits", "follow")}).get(
        seen.width, ()
    )
    fields.append(Field("Payload len", second[1:], notes, paint=paint("length")))
    if seen.extended:
        label = f"Extended payload length ({8 * seen.width})"
        notes = (f"= {seen.size:,}",) if seen.size is not None else ("cut short",)
        data = seen.extended
        fields.append(Field(label, bits(data), notes, (data,), paint=paint("length")))
    if seen.key:
        fields.append(Field("Masking-key", bits(seen.key), (), (seen.key,), paint=paint("key")))
    if seen.payload:
        wire, plain = seen.on_the_wire[:_PAYLOAD_SHOWN], seen.payload[:_PAYLOAD_SHOWN]
        label = "Payload: masked, and unmasked" if seen.masked else "Payload"
        rows = (wire, plain) if seen.masked else (wire,)
        fields.append(Field(label, bits(wire), (), rows, paint=paint("payload")))
    return fields


def draw(seen: Seen, paint: Callable[[str], Paint | None] = lambda name: None) -> list[str]:
    """The lines of the figure; `paint` gives the colour of a field by its name."""
    drawn = _heads()
    above: list[_Cell] = []
    rows = _rows(_fields(seen, paint))
    for row in rows:
        drawn += [_border(above, row), *_draw_row(row)]
        above = row
    drawn.append(_border(above, []))
    if len(seen.payload) > _PAYLOAD_SHOWN:
        drawn.append(f"… {len(seen.payload) - _PAYLOAD_SHOWN:,} bytes more of the payload")
    return drawn
