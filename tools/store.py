"""Writing so that nothing is lost: whole files or nothing, and one writer at a time."""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tools.workbook import Workbook

ENCODING: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape"}  # any bytes survive


def write(path: Path, text: str) -> None:
    """The file has its old text or all of its new text, whatever happens in between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", newline="", **ENCODING) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def read(path: Path) -> str:
    """The text with its line ends as they are."""
    with open(path, newline="", **ENCODING) as file:
        return file.read()


@contextmanager
def lock(book: Workbook) -> Iterator[None]:
    """Held while work/ is changed: `watch` may run in another window."""
    book.work.mkdir(exist_ok=True)
    with open(book.work / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# --- work/progress.json -----------------------------------------------------------------------
#
# {"runs":  {"3.1": {"passed": true, "tests": 45, "fingerprint": "…", "server": null, …}},
#  "hints": {"3.1": 2},
#  "origins": {"3": "mine"}}


def _load(path: Path) -> dict[str, Any] | None:
    """None where it is not what `update` wrote."""
    try:
        found = json.loads(read(path))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def progress(book: Workbook) -> dict[str, Any]:
    """What was recorded so far."""
    path = book.work / "progress.json"
    return {
        "runs": {},
        "hints": {},
        "origins": {},
        **((_load(path) if path.exists() else None) or {}),
    }


@contextmanager
def update(book: Workbook) -> Iterator[dict[str, Any]]:
    """Change the record. One that was damaged is kept aside, and a new one begun."""
    path = book.work / "progress.json"
    with lock(book):
        if path.exists() and _load(path) is None:
            keep(book, "damaged", path)
        record = progress(book)
        before = json.dumps(record)
        yield record
        if json.dumps(record) != before:
            write(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def keep(book: Workbook, label: str, path: Path) -> Path:
    """A copy of a file that is about to change, in a place of its own under work/kept/."""
    shelf = book.work / "kept" / label
    shelf.mkdir(parents=True, exist_ok=True)
    number = 1 + max((int(p.name) for p in shelf.iterdir() if p.name.isdigit()), default=0)
    kept = shelf / str(number) / path.name
    write(kept, read(path))
    return kept
