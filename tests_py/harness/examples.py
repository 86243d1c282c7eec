"""Settings for hypothesis: few examples, the same ones in each run, and no hunt without an end."""

import time
from functools import wraps
from typing import Callable

import hypothesis
from hypothesis import HealthCheck, Phase, settings

SHRINKING = 5.0  # seconds to look for a smaller example; one that fails by a deadline takes long


def bounded(examples: int) -> Callable:
    """Put above @given. The test stays the same from run to run, and remembers how it failed."""

    def decorate(test: Callable) -> Callable:
        inner = test.hypothesis.inner_test
        failed: dict[str, BaseException] = {}
        began: list[float] = []

        @wraps(inner)
        def once(*args, **kwargs) -> None:
            example = repr((args, kwargs))
            if example in failed:
                raise failed[example]
            if began and time.monotonic() - began[0] > SHRINKING:
                return  # time is up: hypothesis settles for the smallest example so far
            try:
                inner(*args, **kwargs)
            except Exception as error:
                began.append(time.monotonic())
                failed[example] = error
                raise

        test.hypothesis.inner_test = once
        return settings(
            max_examples=examples,
            deadline=None,
            derandomize=True,
            database=None,
            phases=(Phase.explicit, Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
            verbosity=hypothesis.Verbosity.normal,
        )(test)

    return decorate
