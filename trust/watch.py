"""What holds for every attack: nobody else waits for long, and nothing of it stays."""

from __future__ import annotations

from harness.deadlines import wait_until
from harness.failures import CheckFailed, check
from harness.server import Server
from trust.aside import Aside
from trust.honest import Figures, watch

# Seconds that an honest client may wait longer than one whom nobody disturbs: a few turns of the
# server. Where it has to share its CPU with others, they take as much longer.
DISTURBANCE = 0.1
RECOVERY = 10  # seconds after which an attack has left nothing behind
LEFT = 1.5  # times the memory of before that may be held then


class Disturbed(CheckFailed):
    """Honest clients had to wait."""


class Watch:
    """A server under attack, as it was before, and its honest clients (trust/honest.py)."""

    def __init__(self, server: Server, control: Server, timed: bool) -> None:
        self.server, self._timed = server, timed
        self._descriptors = server.descriptors()
        self._honest = Aside(watch, server, control, nice=0)
        try:
            self._honest.wait_ready()
        except BaseException:
            self._honest.close()
            raise
        self._memory = server.rss()
        self._ran, self._kept_waiting = server.cpu(), server.kept_waiting()
        self._slowest = self._control = 0.0
        self._told = ""

    def figures(self, least: int = 20) -> tuple[Figures, Figures]:
        """How honest clients have fared since the last call, on this server and on the control, with
        at least so many echoes each; raises what went wrong for them."""
        failures, figures = self._honest.ask(str(least))
        for failure, which in zip(failures, ("the server", "the server that nobody attacks")):
            if failure:
                raise CheckFailed(f"honest clients of {which} to be served", failure)
        attacked, control = (Figures(**told) for told in figures)
        self._slowest = max(self._slowest, attacked.slowest)
        self._control = max(self._control, control.slowest)
        return attacked, control

    def finish(self) -> str:
        """The attack is over; what came of it for the others."""
        told, share = self.told(), self._share_of_cpu()
        self._expect_memory_back()
        self._honest.result()
        self._expect_descriptors_back()
        allowed = self._control + DISTURBANCE / share
        if self._timed and not self.server.sanitized() and self._slowest > allowed:
            words = f"no honest client to wait for more than {allowed * 1000:.0f} ms"
            was = f"one waited for {self._slowest * 1000:.0f} ms, at {share:.0%} of a CPU"
            raise Disturbed(words, was, server=self.server)
        return told

    def told(self) -> str:
        """How honest clients have fared when the attack was over."""
        if not self._told:
            attacked, control = self.figures()
            share = self._share_of_cpu()
            self._told = f"honest: {attacked}; undisturbed: {control}; {share:.0%} of a CPU"
        return self._told

    def _share_of_cpu(self) -> float:
        """Of the time in which it had something to do, how much it had a CPU."""
        ran = self.server.cpu() - self._ran
        return ran / (ran + self.server.kept_waiting() - self._kept_waiting)

    def _expect_memory_back(self) -> None:
        most = LEFT * self._memory
        back = self.server.sanitized() or wait_until(lambda: self.server.rss() <= most, RECOVERY)
        words = f"memory to be {most / 2**20:.1f} MiB at most when all is over"
        check(back, words, f"it is {self.server.rss() / 2**20:.1f} MiB", server=self.server)

    def _expect_descriptors_back(self) -> None:
        back = wait_until(lambda: self.server.descriptors() <= self._descriptors, RECOVERY)
        left = self.server.descriptors() - self._descriptors
        words = "every descriptor of the attack to be closed when all is over"
        check(back, words, f"{left} are open", server=self.server)

    def close(self) -> None:
        self._honest.close()
