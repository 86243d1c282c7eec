"""A pytest plugin for ./learn: tests in the order of their tasks, and each result as it comes.

    pytest -p tools.recorder --record-to FD --tasks 3.1,3.3 tests_py/test_phase3.py
"""

import json
import os
from collections import Counter
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("learn", "for ./learn")
    group.addoption("--record-to", type=int, metavar="FD", help="a line of JSON for each event")
    group.addoption("--tasks", metavar="N.M,…", help="only the tests of these tasks")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Recorder(config), "learn-recorder")


class Recorder:
    def __init__(self, config: pytest.Config) -> None:
        self.fd: int | None = config.getoption("--record-to")
        self.tasks: dict[str, str] = {}  # of the tests, by their ids

    def tell(self, **event: Any) -> None:
        if self.fd is not None:
            os.write(self.fd, (json.dumps(event) + "\n").encode())

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        plugins = config.pluginmanager.get_plugins()
        task_of = next(p.task_of for p in plugins if hasattr(p, "task_of"))
        wanted = (config.getoption("--tasks") or "").split(",")
        kept: list[pytest.Item] = []
        left: list[pytest.Item] = []
        for item in items:
            (kept if wanted == [""] or task_of(item) in wanted else left).append(item)
        if left:
            config.hook.pytest_deselected(items=left)
            items[:] = kept
        items.sort(key=task_of)
        self.tasks = {item.nodeid: task_of(item) for item in items}
        self.tell(event="collected", tests=Counter(self.tasks.values()))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.tell(
                event="result",
                test=report.nodeid,
                task=self.tasks.get(report.nodeid, ""),
                outcome=report.outcome,
                seconds=report.duration,
                report=report.longreprtext if report.failed else "",
            )
