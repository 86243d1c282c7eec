"""The shell blocks of README.md and of the lessons: what they show is what happens."""

import os
import random
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from harness import docs
from harness.docs import DocsError, Session, Step

TOP = Path(__file__).resolve().parent.parent
LESSONS = sorted(TOP.glob("phase[0-9]_*/README.md"))

# Shown as text only: they need a person, root, or a browser with a window.
NOT_RUN = {"text", "console", "mermaid", "cpp", "json"}

# README.md's two set-up commands: .ci/run does what they do, from a fresh clone.
CHECKED_ELSEWHERE = {
    "tools/setup build && make phase5 && ./phase5",
    "tools/setup && make check",
}


def name(path: Path) -> str:
    return str(path.relative_to(TOP))


# --- where they run ---------------------------------------------------------------------------


def executables(config: pytest.Config) -> Path:
    build = config.getoption("--build")
    return config.invocation_params.dir / build if build else TOP


@pytest.fixture(scope="module")
def workplace(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository, with the executables: what the blocks do to it harms nobody."""
    ignored = shutil.ignore_patterns(
        ".git",
        "build",
        "work",
        "bench",
        "fuzz",
        "__pycache__",
        ".*_cache",
        "phase[0-5]",
    )
    copy = tmp_path_factory.mktemp("docs") / "workbook"
    shutil.copytree(TOP, copy, symlinks=True, ignore=ignored)
    for phase in range(6):
        executable = executables(pytestconfig) / f"phase{phase}"
        if not os.access(executable, os.X_OK):
            pytest.fail(f"not built yet: phase{phase}. Make it first: make", False)
        shutil.copy2(executable, copy)
    return copy


def free_port() -> str:
    """Not one that the system hands out by itself, which a client may get meanwhile."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return str(port)
            except OSError:
                continue


def session(workplace: Path, tmp_path: Path) -> Session:
    environment = {
        **os.environ,
        "LC_ALL": "C.UTF-8",
        "CXXFLAGS": "-O0",  # what they build need not be fast
        # LeakSanitizer cannot work under strace.
        "ASAN_OPTIONS": "detect_leaks=0",
    }
    for inherited in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "PYTEST_ADDOPTS"):
        environment.pop(inherited, None)
    replace = {"8080": free_port(), "8443": free_port(), "/tmp/": f"{tmp_path}/"}
    return Session(workplace, environment, replace)


def affordable(command: str) -> str:
    """What takes minutes is tried for its form: builds at the top, and suites that run by themselves."""
    command = re.sub(r"^make (?=phase[0-5]\b)", "make --dry-run --silent ", command)
    if command.startswith("make --dry-run"):
        command = re.sub(r"(&&|$)", r">/dev/null \1", command, count=1)
    if command.startswith("pytest "):
        words = shlex.split(command, comments=True)[1:]
        parts = [sys.executable, "-m", "pytest", "--collect-only", "-q", *words]
        return shlex.join(parts) + " >/dev/null"
    return command


# --- ./learn, as far as it is there -------------------------------------------------------------


def learn_verb(command: str) -> str | None:
    """The verb of `./learn VERB …`, wherever in a command it stands; "" for ./learn alone."""
    found = re.search(r"\./learn\b ?([a-z]*)", command)
    return found[1] if found else None


def learn_knows(verb: str) -> bool:
    learn = TOP / "learn"
    if not os.access(learn, os.X_OK):
        return False
    words = [str(learn), *filter(None, [verb]), "--help"]
    return subprocess.run(words, capture_output=True, timeout=20).returncode == 0


def learn_verbs() -> list[str]:
    texts = [path.read_text("utf-8") for path in [TOP / "README.md", *LESSONS]]
    blocks = [b for text in texts for b in docs.blocks(text) if b.language == "sh"]
    commands = [step.command for block in blocks for step in docs.steps(block)]
    return sorted({verb for c in commands if (verb := learn_verb(c)) is not None})


@pytest.fixture(scope="module")
def known_verbs() -> set[str]:
    return {verb for verb in learn_verbs() if learn_knows(verb)}


@pytest.mark.parametrize("verb", learn_verbs())
def test_learn_is_run_too(verb: str, known_verbs: set[str]):
    """The blocks that use a verb of ./learn are run as soon as there is one."""
    if verb not in known_verbs:
        pytest.skip(f"there is no `./learn {verb}` yet: its blocks were not run")


# --- the texts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", LESSONS, ids=name)
def test_lesson(path: Path, workplace: Path, tmp_path: Path, known_verbs: set[str]):
    """Every command of a lesson prints what the lesson shows, and nothing is left running."""
    text = path.read_text("utf-8")
    with session(workplace, tmp_path) as shell:
        try:
            for block in docs.blocks(text):
                for step in docs.steps(block) if block.language == "sh" else []:
                    if (verb := learn_verb(step.command)) is None or verb in known_verbs:
                        shell.run(Step(step.line, affordable(step.command), step.shown))
            end = text.count("\n")
            shell.run(Step(end, "jobs -r; wait  # is a server left running?", ()))
        except DocsError as error:
            pytest.fail(f"{name(path)}, {error}", pytrace=False)


def commands_of_readme() -> list[tuple[int, str]]:
    """README.md's plain blocks: those in which every line is a command."""
    found = []
    for block in docs.blocks((TOP / "README.md").read_text("utf-8")):
        lines = block.text.splitlines()
        if all(re.match(r"(\./|make |pytest |tools/)", line) for line in lines):
            found += list(enumerate(lines, block.line))
    return found


def test_readme(workplace: Path, tmp_path: Path):
    """Every command of README.md works; a server that it starts is stopped after a while."""
    commands = [c for c in commands_of_readme() if c[1] not in CHECKED_ELSEWHERE]
    assert len(commands) >= 5
    with session(workplace, tmp_path) as shell:
        for line, command in commands:
            command = affordable(command.partition("  #")[0].strip())
            if (verb := learn_verb(command)) is not None:  # lessons run them; some take long
                command = f"./learn {verb} --help"
            command = re.sub(r"&& (?=\./phase)", "&& timeout --preserve-status 0.5 ", command)
            try:
                told = f"{{ {command}; }} >told 2>&1 || {{ cat told; false; }}"
                shell.run(Step(line, told, ()))
            except DocsError as error:
                pytest.fail(f"README.md, {error}", pytrace=False)


def test_readme_sets_up():
    """The commands that are checked elsewhere are there, word for word."""
    text = (TOP / "README.md").read_text("utf-8")
    assert all(command in text for command in CHECKED_ELSEWHERE)


@pytest.mark.parametrize("path", LESSONS, ids=name)
def test_every_block_is_run_or_marked(path: Path):
    """A block is a ```sh that is run, or says that it is something else; few commands are not run."""
    found = docs.blocks(path.read_text("utf-8"))
    other = {block.language for block in found} - NOT_RUN - {"sh"}
    assert not other, f"{name(path)}: blocks fenced as {other}: neither run nor marked"
    assert sum(block.language == "console" for block in found) <= 2, name(path)
    assert sum(len(docs.steps(b)) for b in found if b.language == "sh") >= 3, name(path)


@pytest.mark.parametrize("path", LESSONS, ids=name)
def test_length(path: Path):
    """A lesson has 800 to 2,000 words."""
    words = len(path.read_text("utf-8").split())
    assert 800 <= words <= 2000, f"{name(path)} has {words} words"


@pytest.mark.parametrize("path", LESSONS, ids=name)
def test_every_task_has_its_place(path: Path):
    """Each task of ROADMAP.md has a section in its lesson, and each test that a lesson names exists."""
    text, phase = path.read_text("utf-8"), path.parent.name[5]
    roadmap = (TOP / "ROADMAP.md").read_text("utf-8")
    for task in re.findall(rf"\*\*({phase}\.\d) ", roadmap):
        assert re.search(rf"^## Task {re.escape(task)}\b", text, re.MULTILINE), task
        assert f"--task {task}" in text, f"task {task}: no command that checks it"
    suites = "".join(p.read_text("utf-8") for p in TOP.glob("tests_py/test_*.py"))
    for test in re.findall(r"`(test_\w+)`", text):
        assert f"def {test}(" in suites, f"{name(path)} names {test}, which does not exist"
    for link in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", text):
        assert (path.parent / link).exists(), f"{name(path)}: a dead link to {link}"


# --- the tests are tested -------------------------------------------------------------------------


def outcome(workplace: Path, tmp_path: Path, text: str) -> str:
    """ "ok", or the complaint about a text of one block."""
    (block,) = docs.blocks(f"```sh\n{text}\n```\n")
    try:
        with session(workplace, tmp_path) as shell:
            shell.seconds, shell.patience = 1, 0.3
            for step in docs.steps(block):
                shell.run(step)
    except DocsError as error:
        return str(error)
    return "ok"


@pytest.mark.parametrize(
    "text",
    [
        "$ ./phase0\nhello",
        "$ ./phase0\nh…o",
        "$ ./phase0; ./phase0; ./phase0\nhello\n…",
        "$ ./phase0; ./phase0\n…\nhello\nhello",
        "$ true",
        "$ a=1\n$ echo $a\n1",
        "$ printf '%s\\n' \\\n> one\none",
        "$ { sleep 0.2; echo late; } &\nlate",
        "$ ./phase1 &\nlistening on tcp://127.0.0.1:8080\n$ kill %1; wait",
    ],
)
def test_true_texts_pass(text: str, workplace: Path, tmp_path: Path):
    assert outcome(workplace, tmp_path, text) == "ok"


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("$ ./phase0\nhallo", "not what is shown"),
        ("$ ./phase0\nhello\nhello", "not what is shown"),
        ("$ ./phase0", "not what is shown"),
        ("$ ./phase0; ./phase0\nhello", "not what is shown"),
        ("$ true\nhello", "not what is shown"),
        ("$ ./phase0\n…x…", "not what is shown"),
        ("$ no-such-command\nhello", "not found"),
        ("$ ./phase1 &\nlistening on tcp://127.0.0.1:8081", "not what is shown"),
        ("$ cat", "does not come to an end"),
        ("$ sleep 60", "does not come to an end"),
        ("hello", "begins with a command"),
    ],
)
def test_wrong_texts_are_found(text: str, complaint: str, workplace: Path, tmp_path: Path):
    assert complaint in outcome(workplace, tmp_path, text)
