"""How long to wait: generous deadlines that one factor stretches for a slow or busy machine."""

import os
import time
from contextlib import contextmanager
from typing import Callable, Iterator

REPLY = 8.0  # seconds that any single expectation may take, before scaling

_scale = 1.0


def set_scale(factor: float | None) -> None:
    """Without a factor, WS_DEADLINE_SCALE counts, or else how busy the machine is just now."""
    global _scale
    if factor is None:
        busy = os.getloadavg()[0] / (os.cpu_count() or 1)
        factor = float(os.environ.get("WS_DEADLINE_SCALE", max(1.0, min(busy, 5.0))))
    _scale = factor


@contextmanager
def stretched(factor: float) -> Iterator[None]:
    """All deadlines are that much longer."""
    before = _scale
    set_scale(before * factor)
    try:
        yield
    finally:
        set_scale(before)


def scaled(seconds: float) -> float:
    return seconds * _scale


class Deadline:
    def __init__(self, seconds: float = REPLY) -> None:
        self.seconds = scaled(seconds)
        self._end = time.monotonic() + self.seconds

    def left(self) -> float:
        return max(0.0, self._end - time.monotonic())

    def left_ms(self) -> int:
        return int(self.left() * 1000) + 1

    def over(self) -> bool:
        return self.left() == 0.0


def wait_until(condition: Callable[[], bool], seconds: float = REPLY) -> bool:
    """For what no descriptor reports (a counter in /proc): look again every few milliseconds."""
    deadline = Deadline(seconds)
    while not condition():
        if deadline.over():
            return False
        time.sleep(0.002)
    return True
