"""Attacks phase 5 and prints what came of it.

    python3 -m trust                    all of it, about half an hour
    python3 -m trust --quick            the same attacks, fewer of each, in about two minutes
    python3 -m trust --only storm       those whose name holds the word
    python3 -m trust --only soak --minutes 30
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trust import TOP  # before harness: it says where that is
from harness import deadlines
from trust.programs import PROGRAMS, run_program
from trust.trial import ATTACKS, Result, Settings, perform

PARTS = "crowds storm neighbours handshakes sessions records renegotiation hellos bursts frames floods memory log signals soak".split()
for part in PARTS:
    importlib.import_module(f"trust.{part}")

FILE = TOP / "build" / "trust" / "results.json"
console = Console(highlight=False, width=None if sys.stdout.isatty() else 150)


@click.command()
@click.option("--quick", is_flag=True, help="fewer of each, in about two minutes")
@click.option("--build", default="build/release", help="where phase5 is", metavar="DIR")
@click.option("--only", default="", help="those whose name holds this", metavar="WORD")
@click.option("--minutes", default=0.0, help="how long to soak", metavar="N")
@click.option("--seed", default=0, help="for all that is drawn by lot", metavar="N")
def main(quick: bool, build: str, only: str, minutes: float, seed: int) -> None:
    """Attacks phase 5, and tells what was tried, how often, and what came of it."""
    deadlines.set_scale(None)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    settings = Settings((TOP / build).resolve(), quick, seed, minutes)
    begin = time.monotonic()
    results = run_all(settings, only)
    if not results:
        raise click.UsageError(f"no attack has {only!r} in its name")
    console.print(table(results, time.monotonic() - begin))
    write(results, settings)
    sys.exit(not all(result.ok for result in results))


def run_all(settings: Settings, only: str) -> list[Result]:
    results: list[Result] = []
    for one in ATTACKS:
        if only in one.name:
            results.append(perform(one, settings))
            show(results[-1])
    for program in PROGRAMS:
        if only in program.name:
            for result in run_program(program, settings):
                results.append(result)
                show(result)
    return results


def show(result: Result) -> None:
    mark = "[green]✓[/]" if result.ok else "[bold red]✗[/]"
    console.print(
        f"{mark} {escape(result.attack)}  [dim]{result.count:,} in {result.seconds:.1f} s: "
        f"{escape(result.detail)}[/]",
        soft_wrap=True,
    )


def table(results: list[Result], seconds: float) -> Table:
    failed = sum(not result.ok for result in results)
    verdict = f"{failed} failed" if failed else "all held"
    caption = f"{len(results)} attacks, {verdict}, {seconds / 60:.1f} minutes"
    drawn = Table(caption=caption, title_justify="left")
    for name in ("attack", "what was tried"):
        drawn.add_column(name)
    drawn.add_column("how often", justify="right")
    drawn.add_column("result")
    for result in results:
        state = "[green]held[/]" if result.ok else "[bold red]FAILED[/]"
        drawn.add_row(escape(result.attack), escape(result.tried), f"{result.count:,}", state)
    return drawn


def write(results: list[Result], settings: Settings) -> None:
    FILE.parent.mkdir(parents=True, exist_ok=True)
    build = Path(settings.build).name
    told = {"build": build, "quick": settings.quick, "results": [r.to_json() for r in results]}
    FILE.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
