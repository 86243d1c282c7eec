"""make fuzz: each target for a while, from what is known on; what it says is counted from its run.

Prints for each a line `RESULT {…}` for `make trust`. Exits with 1 when one found something.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fuzz import seeds

TOP = Path(__file__).resolve().parents[1]
FUZZ, BUILD = TOP / "fuzz", TOP / "build" / "fuzz"


@dataclass(frozen=True)
class Target:
    name: str
    attack: str
    tried: str
    longest: int  # input, in bytes


# Less to remember of each allocation makes the runs twice as many.
ASAN = "malloc_context_size=4:quarantine_size_mb=16"

TARGETS = [
    Target("http", "fuzz: request head", "any bytes in any cuts", 10_000),
    Target("frame", "fuzz: frame decoder", "any bytes in any cuts", 1_000),
    Target("protocol", "fuzz: Protocol", "any bytes in any cuts", 4_000),
    Target("server", "fuzz: the whole server", "clients, errors, event orders and times", 3_600),
]


JOBS = 2  # targets at a time
MOST_KEPT = 50  # inputs of each target in fuzz/corpus


@dataclass
class Found:
    ok: bool
    runs: int
    coverage: int
    corpus: int
    report: str  # the end of what libFuzzer said


def command(target: Target, *arguments: str) -> list[str]:
    artifacts = FUZZ / "regressions" / target.name
    artifacts.mkdir(parents=True, exist_ok=True)
    return [
        str(BUILD / target.name),
        f"-dict={FUZZ / 'websocket.dict'}",
        f"-max_len={target.longest}",
        f"-artifact_prefix={artifacts}/",
        "-timeout=60",
        "-report_slow_units=60",
        "-print_final_stats=1",
        *arguments,
    ]


def directories(target: Target) -> list[str]:
    """Where new inputs go, and where the others are."""
    fresh, vectors = BUILD / "found" / target.name, BUILD / "vectors" / target.name
    fresh.mkdir(parents=True, exist_ok=True)
    seeds.write(target.name, vectors)
    kept = [FUZZ / "corpus" / target.name, FUZZ / "regressions" / target.name]
    return [str(fresh), str(vectors), *(str(path) for path in kept if path.is_dir())]


def number(pattern: str, text: str) -> int:
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def fuzz(target: Target, seconds: int) -> Found:
    arguments = [f"-max_total_time={seconds}", *directories(target)]
    done = subprocess.run(
        command(target, *arguments),
        cwd=TOP,
        env={**os.environ, "ASAN_OPTIONS": ASAN},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds + 300,
    )
    text = done.stderr
    return Found(
        done.returncode == 0,
        number(r"stat::number_of_executed_units:\s*(\d+)", text),
        number(r" cov: (\d+)", text),
        number(r" corp: (\d+)", text),
        text[-4000:],
    )


def fuzz_all(targets: list[Target], seconds: int) -> Iterator[Found]:
    with ThreadPoolExecutor(JOBS) as pool:
        yield from pool.map(lambda target: fuzz(target, seconds), targets)


def merge(target: Target) -> None:
    """Keeps of all inputs the few that reach what the others do not."""
    kept = FUZZ / "corpus" / target.name
    kept.mkdir(parents=True, exist_ok=True)
    known = directories(target)
    merged = BUILD / "merged" / target.name
    merged.mkdir(parents=True, exist_ok=True)
    for old in merged.iterdir():
        old.unlink()
    arguments = ["-set_cover_merge=1", "-max_len=1000", str(merged), *known]
    subprocess.run(command(target, *arguments), cwd=TOP, capture_output=True, check=True)
    for old in kept.iterdir():
        old.unlink()
    # Of all sizes: a corpus to begin with, not all that is known.
    files = sorted(merged.iterdir(), key=lambda file: file.stat().st_size)
    for path in files[:: len(files) // MOST_KEPT + 1]:
        (kept / path.name[:12]).write_bytes(path.read_bytes())
    print(f"{target.name}: {len(list(kept.iterdir()))} inputs kept")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--merge", action="store_true", help="renew fuzz/corpus instead")
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    options = parser.parse_args()
    chosen = [t for t in TARGETS if not options.targets or t.name in options.targets]
    if options.merge:
        for target in chosen:
            merge(target)
        return 0
    good = True
    for target, found in zip(chosen, fuzz_all(chosen, options.seconds)):
        detail = f"{options.seconds} s, coverage {found.coverage}, corpus {found.corpus}"
        if not found.ok:
            good = False
            print(found.report, file=sys.stderr)
            detail += f"; the input is in fuzz/regressions/{target.name}"
        line = {
            "attack": target.attack,
            "tried": target.tried,
            "count": found.runs,
            "ok": found.ok,
            "detail": detail,
        }
        print(f"RESULT {json.dumps(line)}", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
