"""The bug zoo's catalogue fits the code and the suites, and has what it must have (zoo/README.md).

That each bug is caught is for `python3 -m tools.zoo check` to say.
"""

import ast
import re
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

TOP = Path(__file__).resolve().parent.parent
if str(TOP) not in sys.path:
    sys.path.insert(0, str(TOP))

from tools import hunt, zoo  # noqa: E402
from tools.workbook import Workbook  # noqa: E402

BOOK = Workbook(TOP)
BUGS = zoo.catalogue(BOOK)
each_bug = pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)

WANTED = """
    blocking socket · EAGAIN taken for an error · EAGAIN taken for EOF · EINTR · short write dropped
    EPOLLOUT never disarmed · EPOLLOUT never armed · epoll_ctl on every event · mask never reset between frames
    i % 4 restarted at a partial read · not unmasked · echo masked · mask key read from the wrong place
    126 read as little-endian · 64-bit length truncated to 32 · length not minimal accepted
    continuation state not reset · fragments in wrong order · opcode of the last fragment used
    PONG without payload · PONG to a PONG · PING not answered between fragments
    close code in host byte order · close code not echoed · CLOSE answered twice · data processed after CLOSE
    1005 sent · reason's UTF-8 unchecked · UTF-8 only checked at the end · surrogates accepted
    accept key as hex digest · accept key trimmed · GUID in lower case · newline added by base64
    header names compared with case · substring match of Upgrade · Connection list not split
    bytes after the head dropped · head rescanned · missing SO_REUSEADDR · missing TCP_NODELAY
    close with unread input · EMFILE spin · signal not blocked · SIGPIPE · RSV ignored
    WANT_WRITE on read ignored · SSL error queue not cleared · SSL_pending data left · close_notify missing
    timer never re-armed · ping deadline extended by nothing · handshake deadline extended by each byte
    idle timer counts own PING · origin compared by prefix · a reload of a bad certificate drops the old
"""
CHECKLIST = range(1, 9)  # "When it does not work" in ROADMAP.md


def test_there_are_enough():
    """40 bugs at least, and some in each phase."""
    assert len(BUGS) >= 40
    assert {bug.phase for bug in BUGS} == {1, 2, 3, 4, 5}


def test_what_must_be_there_is():
    """Each item of the roadmap's debugging checklist, and each bug that has to be in the zoo."""
    covered = {item for bug in BUGS for item in bug.covers}
    wanted = {item.strip() for item in re.split(r"·|\n", WANTED)} - {""}
    wanted |= {f"checklist {number}" for number in CHECKLIST}
    assert not wanted - covered


@each_bug
def test_it_fits_the_code(bug: zoo.Bug):
    """The old text is in the file exactly once, in a function of its task or below one."""
    zoo.patched(BOOK, bug)
    assert bug.name.startswith(f"phase{bug.phase}-")
    task = BOOK.task(bug.task)
    assert task and task.phase == bug.phase
    assert bug.title and bug.answer.endswith(".") and bug.lesson


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


SUITES = {path.name: functions(path) for path in (TOP / "tests_py").glob("test_phase[1-5].py")}


@each_bug
def test_its_test_exists(bug: zoo.Bug):
    """The test that must catch it is one of its phase's suite."""
    for node in bug.test:
        file, _, name = node.removeprefix("tests_py/").partition("::")
        assert file == f"test_phase{bug.phase}.py"
        assert name.partition("[")[0] in SUITES[file]
    assert all(len(words) > 3 for words in bug.words)


@each_bug
def test_its_answer_is_right(bug: zoo.Bug):
    """Whoever says in the hunt what stands in the catalogue is told that it is right."""
    assert hunt.rightness(bug, bug.answer, BUGS) == 1
    assert hunt.rightness(bug, bug.title, BUGS) == 1
    assert hunt.rightness(bug, "it does not work", BUGS) < 1


def test_drift_is_told():
    """A text that is not there, or there twice, is an error; how it is wrapped is none."""
    change = zoo.Change("a.cpp", "f(a,\n  b);", "g();")
    assert change.apply("x f(a, b); y") == "x g(); y"
    for text in ("x", "f(a, b); f(a, b);"):
        with pytest.raises(zoo.BadBug):
            change.apply(text)


@pytest.fixture
def workbook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbook:
    """A copy of the workbook where nothing is built."""
    for path in [TOP / "zoo", TOP / "ROADMAP.md", *TOP.glob("phase[0-5]_*")]:
        (tmp_path / path.name).symlink_to(path)
    book = Workbook(tmp_path)

    def build(_: Workbook, bug: zoo.Bug, directory: Path) -> Path:
        server = directory / f"phase{bug.phase}"
        server.write_text("a server")
        return server

    monkeypatch.setattr(hunt, "build", build)
    monkeypatch.setattr(hunt, "build_reference", lambda *_: None)
    monkeypatch.setattr(hunt, "Workbook", lambda: book)
    return book


def typed(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(hunt.hunt, words, catch_exceptions=False)
    return result.exit_code, result.output


def test_a_hunt(workbook: Workbook, capsys: pytest.CaptureFixture[str]):
    """A server is handed out without its name; wrong, near and right answers; the solution at the end."""
    with capsys.disabled():
        status, shown = typed("phase3-mask-restarts")
    assert status == 0 and "mask" not in shown and "./learn hunt --answer" in shown
    assert (workbook.work / "hunt" / "phase3").read_text() == "a server"
    assert "mask" not in (workbook.work / "hunt" / "hunt.json").read_text()
    assert typed()[1].startswith("Hunt 1")
    status, shown = typed("--answer", "the moon")
    assert status == 1 and "not it" in shown and "next" in shown
    assert "Near" in typed("--answer", "a wrong mask")[1]
    status, shown = typed("--answer", "the mask restarts at each read")
    assert status == 0 and "3 answers" in shown and "unmask(piece, header_.key, 0);" in shown
    assert "1 found" in typed("--list")[1]
    assert typed("--answer", "again")[0] == 1


def test_giving_up(workbook: Workbook):
    """--give-up shows the solution; the next hunt is another one."""
    assert typed("--give-up")[0] == 1
    typed("--new", "--phase", "4")
    assert "instead" not in typed()[1]
    status, shown = typed("--give-up")
    assert status == 0 and "task 4." in shown and "./learn hunt --new" in shown
    assert "1 given up" in typed("--list")[1]
