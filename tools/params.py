"""What the verbs take: a phase (3) or a task (3.1)."""

import click

from tools.workbook import LAST_PHASE, Task, Workbook


class Phase(click.ParamType):
    name = "phase"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        text = str(value).lower().removeprefix("phase")
        if text.isdigit() and int(text) <= LAST_PHASE:
            return int(text)
        self.fail(f"{value!r} is no phase: there are 0 to {LAST_PHASE}", param, ctx)


class TaskNumber(click.ParamType):
    name = "task"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Task:
        if isinstance(value, Task):
            return value
        tasks = Workbook().tasks
        for task in tasks:
            if task.number == value:
                return task
        all_of_them = ", ".join(task.number for task in tasks)
        self.fail(f"{value!r} is no task of ROADMAP.md: there are {all_of_them}", param, ctx)


PHASE = Phase()
TASK = TaskNumber()
