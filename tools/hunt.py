"""`hunt`: a broken server out of the bug zoo; which bug is it?"""

import hashlib
import json
import random
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from tools import screen, store
from tools.params import PHASE
from tools.workbook import Workbook
from tools.zoo import BadBug, Bug, build, build_reference, catalogue, fresh

SMALL = {"the", "and", "are", "its", "for", "that", "with", "one", "has", "from", "into", "too"}
NEAR = 0.5  # from this part of the keywords on, an answer is nearly right


@dataclass
class Hunt:
    """What is hunted now. Its name is kept as a digest, so that a look into the file tells nothing."""

    number: int
    phase: int
    digest: str
    guesses: int = 0


def digest_of(bug: Bug) -> str:
    return hashlib.sha256(f"hunt {bug.name}".encode()).hexdigest()


class Hunts:
    """work/hunt/: the server, and what was hunted so far."""

    def __init__(self, book: Workbook) -> None:
        self.book = book
        self.place = book.work / "hunt"
        self.file = self.place / "hunt.json"
        self.bugs = [bug for bug in catalogue(book) if not bug.hole]

    def record(self) -> dict[str, Any]:
        try:
            found = json.loads(store.read(self.file)) if self.file.exists() else {}
        except ValueError:
            found = {}
        return {"now": None, "count": 0, "done": {}, **(found if isinstance(found, dict) else {})}

    def write(self, record: dict[str, Any]) -> None:
        store.write(self.file, json.dumps(record, indent=1) + "\n")

    def now(self) -> tuple[Hunt, Bug] | None:
        """None where there is none, or the catalogue does not have it any more."""
        found = self.record()["now"]
        if not found or not self.server(found["phase"]).exists():
            return None
        bug = next((bug for bug in self.bugs if digest_of(bug) == found["digest"]), None)
        return (Hunt(**found), bug) if bug else None

    def server(self, phase: int) -> Path:
        return self.place / f"phase{phase}"

    def name(self, phase: int) -> str:
        return self.book.shown(self.server(phase))

    def done(self) -> dict[str, str]:
        """The bugs that were found or given up, by their names."""
        told: dict[str, str] = self.record()["done"]
        return {bug.name: told[digest_of(bug)] for bug in self.bugs if digest_of(bug) in told}

    def begin(self, bug: Bug) -> Hunt:
        """Builds the server; only a link to it lies in work/, where it would pass for the learner's."""
        with screen.console.status("building a broken server"):
            build_reference(self.book, [bug.phase], 2)
            kept = self.book.root / "build" / "hunt"
            kept.mkdir(parents=True, exist_ok=True)
            with fresh(self.book) as directory:
                shutil.copy(build(self.book, bug, directory), kept / f".phase{bug.phase}")
            (kept / f".phase{bug.phase}").replace(kept / f"phase{bug.phase}")
        self.place.mkdir(parents=True, exist_ok=True)
        for link in self.place.glob("phase?"):
            link.unlink()
        self.server(bug.phase).symlink_to(f"../../build/hunt/phase{bug.phase}")
        record = self.record()
        hunt = Hunt(record["count"] + 1, bug.phase, digest_of(bug))
        self.write({**record, "count": hunt.number, "now": vars(hunt)})
        return hunt

    def guessed(self, hunt: Hunt) -> None:
        hunt.guesses += 1
        self.write({**self.record(), "now": vars(hunt)})

    def end(self, hunt: Hunt, how: str) -> None:
        record = self.record()
        done = {**record["done"], hunt.digest: how}
        self.write({**record, "now": None, "done": done})


# --- answers ------------------------------------------------------------------------------------


def rightness(bug: Bug, words: str, others: list[Bug]) -> float:
    """Which part of its keywords an answer has; 1 is right, if no other bug fits the answer better."""
    text = " ".join(words.lower().split())
    if text in (bug.name, bug.name.partition("-")[2], bug.title.lower()):
        return 1.0
    hits = sum(any(_has(text, word) for word in group) for group in bug.keywords)
    rivals = [other for other in others if other.phase == bug.phase and other is not bug]
    if any(_likeness(other, text) > _likeness(bug, text) for other in rivals):
        return min(hits / len(bug.keywords), NEAR)
    return hits / len(bug.keywords)


def _has(text: str, word: str) -> bool:
    """`mask` is in “unmasked”, but a short keyword begins a word: `end` is not in “send”."""
    return word in text if len(word) > 3 else bool(re.search(rf"(?<!\w){re.escape(word)}", text))


def _stems(text: str) -> set[str]:
    """Its words, but for the short ones, without their ends."""
    return {word[:5] for word in re.findall(r"\w{3,}", text.lower()) if word not in SMALL}


def _likeness(bug: Bug, answer: str) -> int:
    """How many of an answer's words are about this bug."""
    told = " ".join([bug.title, bug.answer, *(word for group in bug.keywords for word in group)])
    return len(_stems(answer) & _stems(told))


# --- screens ------------------------------------------------------------------------------------


def show_hunt(hunts: Hunts, hunt: Hunt) -> None:
    name = hunts.name(hunt.phase)
    screen.title(f"Hunt {hunt.number}: a server of phase {hunt.phase} with one bug")
    screen.say()
    screen.say(
        f"It is {name}: phase {hunt.phase} as it is finished, but for one mistake that people"
    )
    screen.say("often make. Which one? Run it, talk to it, test it, watch its system calls.")
    if hunt.guesses:
        screen.say(f"Answers so far: {hunt.guesses}.")
    screen.next_step(*ways(hunts, hunt))


def ways(hunts: Hunts, hunt: Hunt) -> list[tuple[str, str]]:
    phase, name = hunt.phase, hunts.name(hunt.phase)
    return [
        (f"./learn test {phase} --server {name}", "the tests, up to the first that fails"),
        (f"./learn review {phase} --server {name}", "the debugging checklist"),
        (f"./learn trace {phase} --server {name}", "its system calls"),
        (f"pytest tests_py/test_phase{phase}.py --build {hunts.book.shown(hunts.place)}", "all"),
        ('./learn hunt --answer "…"', "what you think it is, in a few words"),
        ("./learn hunt --give-up", "what it was"),
    ]


def show_solution(bug: Bug) -> None:
    screen.say(bug.answer, "bold")
    screen.say()
    screen.markdown(bug.lesson)
    for change in bug.changes:
        screen.say()
        screen.say(f"{change.file}, task {bug.task}:")
        for mark, text, style in (("-", change.old, "green"), ("+", change.new, "red")):
            for line in text.strip("\n").splitlines():
                screen.say(f"  {mark} {line}", style)
    screen.say()
    screen.say(f"Caught by {bug.test[0].partition('[')[0]}")
    screen.next_step(
        ("./learn hunt --new", "the next one"),
        (f"./learn hint {bug.task}", "the task that it was about"),
        ("./learn hunt --list", "those that you have had"),
    )


def show_list(hunts: Hunts) -> None:
    done = hunts.done()
    found = sum(how == "found" for how in done.values())
    screen.title(f"{len(hunts.bugs)} bugs: {found} found, {len(done) - found} given up")
    screen.say()
    for phase in sorted({bug.phase for bug in hunts.bugs}):
        mine = [bug for bug in hunts.bugs if bug.phase == phase]
        left = sum(bug.name not in done for bug in mine)
        screen.say(f"phase {phase}: {left} of {len(mine)} left")
        for bug in mine:
            if bug.name in done:
                mark = "✓" if done[bug.name] == "found" else "·"
                screen.say(f"  {mark} {bug.name:34} {bug.title}")
    screen.next_step(
        ("./learn hunt", "the one that is on") if hunts.now() else ("./learn hunt --new", "one"),
        ("./learn hunt --new --phase 3", "one of a phase"),
    )


# --- the verb -----------------------------------------------------------------------------------


@click.command()
@click.argument("name", required=False)
@click.option("--new", is_flag=True, help="Another one, by chance.")
@click.option("--phase", type=PHASE, help="With --new: of this phase.")
@click.option("--list", "listing", is_flag=True, help="Those that you have had.")
@click.option("--answer", metavar="WORDS", help="What you think it is.")
@click.option("--give-up", "give_up", is_flag=True, help="Tell me.")
def hunt(
    name: str | None,
    new: bool,
    phase: int | None,
    listing: bool,
    answer: str | None,
    give_up: bool,
) -> None:
    """A broken server: find its bug.

    It is the finished server of a phase with one mistake that people often make, built into
    work/hunt/, without its source. Find out what is wrong with it by whatever means you like, and
    say so in a few words:

    \b
      ./learn hunt                                 which one it is, and how to look at it
      ./learn hunt --answer "EAGAIN is taken for an error"
      ./learn hunt --give-up                       what it was, and the lesson

    NAME hands out a certain one: its name, from zoo/, which is half the solution.
    """
    try:
        hunts = Hunts(Workbook())
        if listing:
            show_list(hunts)
        elif answer is not None:
            judge(hunts, answer)
        elif give_up:
            reveal(hunts)
        else:
            hand_out(hunts, name, new, phase)
    except BadBug as error:
        screen.stop(f"The zoo does not fit the code: {error}", "python3 -m tools.zoo check --quick")


def hand_out(hunts: Hunts, name: str | None, new: bool, phase: int | None) -> None:
    running = hunts.now()
    if running and not (name or new or phase):
        show_hunt(hunts, running[0])
        return
    if name:
        bug = next((bug for bug in hunts.bugs if bug.name == name), None)
        if not bug:
            screen.stop(f"There is no bug {name!r} in the zoo.", "./learn hunt --new")
            return
    else:
        bug = choose(hunts, phase, running[1] if running else None)
    show_hunt(hunts, hunts.begin(bug))


def choose(hunts: Hunts, phase: int | None, running: Bug | None) -> Bug:
    """By chance, of those that were not had yet: of this phase, or of one that was started."""
    done, book = hunts.done(), hunts.book
    started = [number for number in range(1, 6) if book.is_started(number)] or [1]
    phases = [phase] if phase is not None else started
    mine = [bug for bug in hunts.bugs if bug.phase in phases and bug is not running]
    fresh_ones = [bug for bug in mine if bug.name not in done]
    if not mine:
        screen.stop(f"There is no bug of phase {phase} in the zoo.", "./learn hunt --list")
    return random.choice(fresh_ones or mine)


def current(hunts: Hunts) -> tuple[Hunt, Bug]:
    running = hunts.now()
    if not running:
        screen.stop("No hunt is on.", ("./learn hunt --new", "hands you a broken server"))
    assert running
    return running


def judge(hunts: Hunts, answer: str) -> None:
    running, bug = current(hunts)
    right = rightness(bug, answer, hunts.bugs)
    hunts.guessed(running)
    if right == 1:
        hunts.end(running, "found")
        tries = "the first answer" if running.guesses == 1 else f"{running.guesses} answers"
        screen.good(f"That is it, with {tries}: {bug.title.lower()}.")
        screen.say()
        show_solution(bug)
        return
    if right >= NEAR:
        screen.say("Near: a part of it is right. Say what exactly goes wrong, and when.", "yellow")
    else:
        screen.bad("No, that is not it.")
    screen.next_step(*ways(hunts, running))
    raise SystemExit(1)


def reveal(hunts: Hunts) -> None:
    running, bug = current(hunts)
    hunts.end(running, "given up")
    screen.title(bug.title)
    screen.say()
    show_solution(bug)
