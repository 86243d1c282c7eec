"""./learn: its verbs, each loaded when it is typed."""

import importlib
import importlib.util

import click

from tools.workbook import NO_LINKS, has_links

# verb: (module, what it does in a few words). The module has a click command of the verb's name.
VERBS = {
    "start": ("tools.layout", "lay out a phase: its tasks are yours to write"),
    "test": ("tools.testing", "build what you wrote and check it"),
    "watch": ("tools.testing", "the same each time you save"),
    "hint": ("tools.hints", "the next of four hints for a task"),
    "reset": ("tools.layout", "blank a task again; what you wrote is kept"),
    "diff": ("tools.lesson", "what a phase adds to the one before"),
    "status": ("tools.progress", "every task, and the boxes of ROADMAP.md"),
    "doctor": ("tools.doctor", "are the tools of phase 0 here?"),
    "review": ("tools.review", "the debugging checklist on your running server"),
    "trace": ("tools.trace", "run your server under strace, and read along"),
    "accept": ("tools.accept", "an HTTP request in, the accept value or its fault out"),
    "frame": ("tools.frame", "draw a WebSocket frame bit by bit"),
    "hunt": ("tools.hunt", "a broken server: find its bug"),
}


class Verbs(click.Group):
    """Knows its verbs by name; a verb whose module is not there is not shown."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [verb for verb, (module, _) in VERBS.items() if importlib.util.find_spec(module)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.list_commands(ctx):
            return None
        command = getattr(importlib.import_module(VERBS[name][0]), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, VERBS[verb][1]) for verb in self.list_commands(ctx)])


@click.group(cls=Verbs, invoke_without_command=True, subcommand_metavar="VERB …")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Learn how a WebSocket server works by writing one.

    Without a verb: where you are, the next task, and what to type. Then it goes

    \b
      ./learn start 1     work/phase1 is laid out; its functions are yours to write
      ./learn test 1      is it right? the first failure, explained
      ./learn hint 1.1    stuck: one hint more each time, four in all

    again and again, till phase 5 speaks wss:// with a browser. `./learn VERB --help` says more.
    """
    if ctx.invoked_subcommand != "doctor" and not has_links():
        raise click.ClickException(NO_LINKS)
    if ctx.invoked_subcommand is None:
        from tools.progress import where

        where()
