"""The bench's plots, as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

from bench.cases import CASES, CONNECTIONS, SIZES, Case

ACCENT, LIMIT = "#d1495b", "#333333"
OTHERS = ["#00798c", "#edae49", "#66a182", "#8d6a9f", "#2e4057", "#b08968", "#7aa5d2", "#999999"]

Result = dict[str, Any]  # server, case, and the medians: a number or None
Rows = dict[tuple[str, str], float]  # server, case: CPU µs a message


def colours(servers: list[str]) -> dict[str, str]:
    rest = iter(OTHERS * len(servers))
    known = {"phase5": ACCENT, "raw": LIMIT}
    return {server: known.get(server) or next(rest) for server in servers}


class Svg:
    def __init__(self, width: float, height: float, title: str) -> None:
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
            'font-family="system-ui, sans-serif" font-size="12" fill="#222">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{width:.0f}" height="{height:.0f}" fill="white"/>',
        ]
        self.text(16, 26, title, size=16)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        anchor: str = "start",
        colour: str = "#222",
        size: int = 12,
    ) -> None:
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" '
            f'font-size="{size}">{escape(text)}</text>'
        )

    def rect(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'
        )

    def line(self, points: list[tuple[float, float]], colour: str, width: float = 1) -> None:
        text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(
            f'<polyline points="{text}" fill="none" stroke="{colour}" stroke-width="{width}"/>'
        )

    def dot(self, x: float, y: float, colour: str) -> None:
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')

    def write(self, path: Path) -> Path:
        path.write_text("\n".join([*self.parts, "</svg>\n"]))
        return path


def short(value: float) -> str:
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def bars(rows: Rows, servers: list[str], path: Path) -> Path:
    """A panel a case. A bar ends at four times the limit: what is longer is told, not drawn."""
    shown = [case for case in CASES if any((server, case.name) in rows for server in servers)]
    columns, width, label, line = 3, 340, 104, 17
    height = 40 + line * len(servers)
    total = 50 + height * math.ceil(len(shown) / columns)
    svg = Svg(columns * width, total, "Server CPU a message, µs (less is better)")
    colour = colours(servers)
    for i, case in enumerate(shown):
        left, top = i % columns * width, 50 + i // columns * height
        svg.text(left + 16, top + 12, f"{case.name}: {case.what}", size=12)
        values = {s: rows[s, case.name] for s in servers if (s, case.name) in rows}
        longest = min(max(values.values()), 4 * min(values.values()))
        for k, (server, value) in enumerate(values.items()):
            y = top + 20 + k * line
            reach = (width - label - 75) * min(value / longest, 1)
            cut = " »" if value > longest else ""
            svg.text(left + label, y + 11, server, "end")
            svg.rect(left + label + 6, y + 1, reach, line - 4, colour[server])
            svg.text(left + label + 10 + reach, y + 11, short(value) + cut)
    return svg.write(path)


def curve(
    rows: Rows,
    servers: list[str],
    cases: list[Case],
    title: str,
    axis: str,
    unit: Callable[[int], str],
    path: Path,
) -> Path:
    """Both axes logarithmic; each line is named at its end."""
    left, top, width, height = 72, 50, 520, 330
    svg = Svg(left + width + 130, top + height + 60, title)
    places = [int(case.name.partition("=")[2]) for case in cases]
    lines = {
        server: [
            (n, rows[server, c.name]) for n, c in zip(places, cases) if (server, c.name) in rows
        ]
        for server in servers
    }
    values = [value for line in lines.values() for _, value in line]
    if not values:
        return svg.write(path)
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))

    def at(place: float, value: float) -> tuple[float, float]:
        across = math.log(place / places[0]) / math.log(places[-1] / places[0])
        up = (math.log10(value) - low) / max(high - low, 1)
        return left + width * across, top + height * (1 - up)

    for power in range(low, high + 1):
        y = at(places[0], 10.0**power)[1]
        svg.line([(left, y), (left + width, y)], "#ddd")
        svg.text(left - 8, y + 4, f"{10.0**power:,g}", "end")
    for place in places:
        svg.text(at(place, 10.0**low)[0], top + height + 18, unit(place), "middle")
    svg.text(left + width / 2, top + height + 42, axis, "middle")

    colour = colours(servers)
    drawn = sorted((s for s in servers if lines[s]), key=lambda s: at(*lines[s][-1])[1])
    label_y = 0.0
    for server in drawn:
        points = [at(*point) for point in lines[server]]
        svg.line(points, colour[server], 3 if server == "phase5" else 1.5)
        for point in points:
            svg.dot(*point, colour[server])
        label_y = max(label_y + 14, points[-1][1] + 4)  # names do not lie on each other
        svg.text(left + width + 12, label_y, server, colour=colour[server])
    return svg.write(path)


def bytes_text(size: int) -> str:
    for unit in ("B", "KiB"):
        if size < 1024:
            return f"{size} {unit}"
        size //= 1024
    return f"{size} MiB"


def write_all(results: list[Result], servers: list[str], directory: Path) -> list[Path]:
    """Returns what was written."""
    rows: Rows = {(r["server"], r["case"]): r["cpu_us"] for r in results if r["cpu_us"]}
    title = "Server CPU a message, µs"
    return [
        bars(rows, servers, directory / "cases.svg"),
        curve(
            rows,
            servers,
            CONNECTIONS,
            f"{title}, by connections",
            "connections, at most 100 of them active",
            lambda n: f"{n:,}",
            directory / "connections.svg",
        ),
        curve(
            rows,
            servers,
            SIZES,
            f"{title}, by message size",
            "message size, 4 connections",
            bytes_text,
            directory / "sizes.svg",
        ),
    ]
