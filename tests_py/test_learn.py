"""./learn: its quick verbs, on a copy of the workbook that each test has for itself."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import walkthrough
from walkthrough import Screen

sys.path.insert(0, str(walkthrough.ROOT))

from tools import exercises, hints, layout, progress, store  # noqa: E402
from tools.workbook import Workbook, parse_roadmap, with_ticks  # noqa: E402

NUMBERS = [task.number for task in Workbook().tasks]


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("pristine")
    walkthrough.fresh_copy(target)
    return target


@pytest.fixture
def copy(pristine: Path, tmp_path: Path) -> Path:
    """A workbook whose sources, roadmap and tools may be changed."""
    target = tmp_path / "workbook"
    subprocess.run(["cp", "-a", str(pristine), str(target)], check=True)
    return target


@pytest.fixture
def book(copy: Path) -> Workbook:
    return Workbook(copy)


def learn(copy: Path, *words: str) -> Screen:
    result = subprocess.run(
        [str(copy / "learn"), *words], cwd=copy, capture_output=True, text=True, check=False
    )
    return Screen(result.stdout + result.stderr, result.returncode)


def write_all(book: Workbook, phase: int) -> None:
    """As if the learner had written everything that the reference has."""
    for name in {function.file for function in exercises.functions_of_phase(book, phase)}:
        (book.copy(phase) / name).write_text((book.reference(phase) / name).read_text())


def pass_task(book: Workbook, number: str) -> None:
    task = book.task(number)
    assert task
    progress.record_run(book, task, True, 7, "", None)


# --- the exercises ------------------------------------------------------------------------------


@pytest.mark.parametrize("number", NUMBERS)
def test_every_task_has_functions_hints_and_code(number: str) -> None:
    book = Workbook()
    functions = exercises.functions_of_task(book, number)
    assert functions or number == "0.2"
    texts = hints.texts_of(book, number)
    assert {1, 2, 3} <= set(texts) and all(text.strip() for text in texts.values())
    code = "".join(text for _, text in hints.code_of_task(book, number))
    assert code.count("// Task ") == len(functions) <= 4


@pytest.mark.parametrize("phase", range(6))
def test_blanking_leaves_all_else(phase: int) -> None:
    """Blank, the file has its other lines; the bodies are one call of todo()."""
    book = Workbook()
    for path in exercises.sources(book.reference(phase)):
        if path.name.endswith("_test.cpp"):
            continue
        text = path.read_text()
        functions = exercises.functions_in(text, path.name)
        blank = exercises.blanked(text, functions)
        assert blank.count("todo(") == len(functions)
        for function in functions:
            assert text.split("\n")[function.ends] == "}"
            found = exercises.find(blank, function)
            assert found and exercises.body_of(blank, found).strip() == f'todo("{function.task}");'
        added = {'#include "common/todo.hpp"', ""}
        bodies = {f'    todo("{function.task}");' for function in functions}
        assert set(blank.split("\n")) - set(text.split("\n")) <= added | bodies


def test_blanking_twice_changes_nothing() -> None:
    book = Workbook()
    path = book.reference(3) / "frame.cpp"
    once = exercises.blanked(
        path.read_text(), exercises.functions_in(path.read_text(), "frame.cpp")
    )
    assert exercises.blanked(once, exercises.functions_in(once, "frame.cpp")) == once


def test_a_comment_above_no_function_is_told() -> None:
    with pytest.raises(exercises.NotAFunction, match="x.cpp:1"):
        exercises.functions_in("// Task 3.1: nothing below\n\nint f();\n", "x.cpp")


def test_what_a_blank_function_says(tmp_path: Path) -> None:
    source = tmp_path / "blank.cpp"
    source.write_text(
        '#include "common/todo.hpp"\nint f(int a) {\n    todo("3.1");\n}\nint main() { f(1); }\n'
    )
    command = ["g++", "-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    command += ["-Wno-unused-parameter", f"-I{walkthrough.ROOT}", "-o", "blank", "blank.cpp"]
    subprocess.run(command, cwd=tmp_path, check=True)
    result = subprocess.run([tmp_path / "blank"], capture_output=True, text=True, check=False)
    assert result.returncode == 70
    expected = "task 3.1 is not written yet: blank.cpp:3 int f(int); ask with ./learn hint 3.1\n"
    assert result.stderr == expected


# --- the screens --------------------------------------------------------------------------------


def test_a_fresh_copy_says_where_to_begin(copy: Path) -> None:
    screen = learn(copy)
    assert screen.status == 0 and "0 of 18 tasks passed" in screen.text
    assert screen.offers == ["./learn start 0"]
    assert not (copy / "work").exists()


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["start", "3"],
        ["hint", "3.1"],
        ["status"],
        ["reset", "3.1"],
        ["test", "3"],
        ["test", "3", "--task", "4.1"],
        ["diff", "0"],
    ],
    ids=" ".join,
)
def test_every_screen_is_plain_and_says_what_to_type(copy: Path, words: list[str]) -> None:
    screen = learn(copy, *words)
    assert "\x1b" not in screen.text and "Traceback" not in screen.text
    assert screen.offers and all(o.startswith("./learn ") for o in screen.offers)
    assert not (copy / "work").exists() or words[0] in ("start", "hint", "status", "reset")


@pytest.mark.parametrize("words", [["start", "9"], ["hint", "7.7"], ["test", "x"]], ids=" ".join)
def test_what_is_not_there_is_told(copy: Path, words: list[str]) -> None:
    screen = learn(copy, *words)
    assert screen.status == 2 and "is no " in screen.text and "Traceback" not in screen.text


def test_the_help_names_every_verb(copy: Path) -> None:
    text = learn(copy, "--help").text
    for verb in ("start", "test", "watch", "hint", "reset", "diff", "status"):
        assert re.search(rf"^  {verb} ", text, re.M)
        assert learn(copy, verb, "--help").status == 0


def test_diff_is_the_lesson(copy: Path) -> None:
    screen = learn(copy, "diff", "2")
    assert screen.status == 0 and re.search(r"^\+.*accept_key", screen.text, re.M)


# --- start and reset ----------------------------------------------------------------------------


def test_start_lays_out_plain_files(copy: Path, book: Workbook) -> None:
    learn(copy, "start", "3")
    names = {path.name for path in exercises.sources(book.reference(3))}
    laid_out = list(book.copy(3).iterdir())
    assert {path.name for path in laid_out} == names
    assert not any(path.is_symlink() for path in laid_out)
    assert 'todo("3.1");' in (book.copy(3) / "frame.cpp").read_text()
    assert "todo(" not in (book.copy(3) / "listener.cpp").read_text()


def test_start_twice_keeps_edits(copy: Path, book: Workbook) -> None:
    learn(copy, "start", "3")
    edited, gone = book.copy(3) / "frame.cpp", book.copy(3) / "main.cpp"
    edited.write_text(edited.read_text() + "// mine\n")
    (book.copy(3) / "extra.cpp").write_text("// mine too\n")
    gone.unlink()
    before = edited.read_text()
    text = learn(copy, "start", "3").text
    assert edited.read_text() == before and "as you left them: frame.cpp" in text
    assert (book.copy(3) / "extra.cpp").read_text() == "// mine too\n"
    assert gone.exists() and "they are back: main.cpp" in text


def test_start_over_files_that_nobody_laid_out(copy: Path, book: Workbook) -> None:
    mine = book.copy(3) / "frame.cpp"
    mine.parent.mkdir(parents=True)
    mine.write_text("// from somewhere else\n")
    text = learn(copy, "start", "3").text
    assert mine.read_text() == "// from somewhere else\n" and "frame.cpp" in text


def test_start_carries_on_what_was_written(copy: Path, book: Workbook) -> None:
    """Phase 1's listener.cpp is in phase 3 what the learner made of it, though 2 was skipped."""
    learn(copy, "start", "1")
    write_all(book, 1)
    mine = book.copy(1) / "listener.cpp"
    mine.write_text(mine.read_text() + "// mine\n")
    learn(copy, "start", "3")
    assert (book.copy(3) / "listener.cpp").read_text().endswith("// mine\n")
    learn(copy, "start", "2", "--from", "reference")
    assert "// mine" not in (book.copy(2) / "listener.cpp").read_text()


def test_start_fills_in_what_was_left_blank(copy: Path, book: Workbook) -> None:
    learn(copy, "start", "1")
    text = learn(copy, "start", "2").text
    assert "todo(" not in (book.copy(2) / "signals.cpp").read_text()
    assert "Traceback" not in text


def test_an_upgrade_is_merged(copy: Path, book: Workbook) -> None:
    """Where the workbook changes one place of a file and the learner another, both stay."""
    learn(copy, "start", "3")
    mine, theirs = book.copy(3) / "frame.cpp", book.reference(3) / "frame.cpp"
    mine.write_text(mine.read_text() + "// mine\n")
    theirs.write_text("// an upgrade\n" + theirs.read_text())
    untouched = book.reference(3) / "close.hpp"
    untouched.write_text("// an upgrade\n" + untouched.read_text())
    text = learn(copy, "start", "3").text
    merged = mine.read_text()
    assert merged.startswith("// an upgrade\n") and merged.endswith("// mine\n")
    assert "frame.cpp has both now" in text
    assert (book.copy(3) / "close.hpp").read_text().startswith("// an upgrade\n")
    assert learn(copy, "start", "3") and mine.read_text() == merged


def test_an_upgrade_of_the_same_place_leaves_the_edit(copy: Path, book: Workbook) -> None:
    learn(copy, "start", "3")
    mine, theirs = book.copy(3) / "frame.cpp", book.reference(3) / "frame.cpp"
    mine.write_text("// mine\n" + mine.read_text())
    theirs.write_text("// an upgrade\n" + theirs.read_text())
    before = mine.read_text()
    text = learn(copy, "start", "3").text
    assert mine.read_text() == before
    place = re.search(r"the new text is (\S+)\.$", text, re.M)
    assert place and (copy / place[1]).read_text().startswith("// an upgrade\n")


@pytest.mark.parametrize("writes", range(0, 12))
def test_start_cut_short_can_be_started_again(
    book: Workbook, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """A full disk, or Ctrl-C, after any number of files: what is there is whole, and is finished."""
    real, left = os.replace, [writes]

    def replace(source: str, target: str) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    monkeypatch.setattr(store.os, "replace", replace)
    with pytest.raises(OSError):
        layout.lay_out(book, 3)
    monkeypatch.undo()
    changes = layout.lay_out(book, 3)
    assert {change.what for change in changes} <= {"new", "same"}
    fresh = layout.laid_out(book, 3, "mine")
    assert all((book.copy(3) / name).read_text() == text.text for name, text in fresh.items())
    assert not list(book.copy(3).glob(".*"))
    assert {change.what for change in layout.lay_out(book, 3)} == {"same"}


def test_a_full_disk_is_told_and_leaves_the_old_text(
    book: Workbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = book.root / "ROADMAP.md"
    before = path.read_text()

    def no_space(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store.os, "fsync", no_space)
    with pytest.raises(OSError):
        store.write(path, "half")
    assert path.read_text() == before and not list(book.root.glob(".ROADMAP*"))


def test_reset_keeps_the_old_text(copy: Path, book: Workbook) -> None:
    learn(copy, "start", "3")
    write_all(book, 3)
    frame = book.copy(3) / "frame.cpp"
    frame.write_text(frame.read_text().replace("// Task 3.1: a server never masks", "// mine"))
    before = frame.read_text()
    screen = learn(copy, "reset", "3.1")
    assert frame.read_text().count('todo("3.1");') == 3
    assert "todo(" not in (book.copy(3) / "write_queue.cpp").read_text()
    kept = re.search(r"as it was: (work/kept/\S+frame.cpp)", screen.text)
    assert kept and (copy / kept[1]).read_text() == before
    again = learn(copy, "reset", "3.1")
    assert "nothing to blank" in again.text and (copy / kept[1]).read_text() == before


# --- hints ----------------------------------------------------------------------------------------


def test_hints_go_deeper(copy: Path, book: Workbook) -> None:
    shown = [learn(copy, "hint", "3.1").text for _ in range(5)]
    assert [f"hint {level} of 4" in text for level, text in zip((1, 2, 3, 4, 4), shown)] == [
        True
    ] * 5
    assert "payload[" not in shown[0] and "FrameHeader parse_header(" in shown[3]
    assert "hint 4 of 4" in learn(copy, "hint", "3.1", "--again").text
    assert "hint 2 of 4" in learn(copy, "hint", "3.1", "--level", "2").text
    assert store.progress(book)["hints"] == {"3.1": 4}


def test_the_last_hint_is_the_code_as_it_is_now(copy: Path, book: Workbook) -> None:
    source = book.reference(3) / "frame.cpp"
    source.write_text(source.read_text().replace("FrameHeader header;", "FrameHeader header{};"))
    assert "FrameHeader header{};" in learn(copy, "hint", "3.1", "--level", "4").text


# --- progress -------------------------------------------------------------------------------------


def states(book: Workbook) -> dict[str, str]:
    return {state.task.number: state.what for state in progress.states(Workbook(book.root))}


def test_a_task_goes_from_blank_to_passed_and_back(copy: Path, book: Workbook) -> None:
    assert states(book)["3.1"] == "not started"
    learn(copy, "start", "3")
    assert states(book)["3.1"] == "blank"
    write_all(book, 3)
    assert states(book)["3.1"] == "untested"
    pass_task(book, "3.1")
    assert states(book)["3.1"] == "passed"
    frame = book.copy(3) / "frame.cpp"
    text = frame.read_text()
    frame.write_text(text.replace("% 4", "% 3"))
    assert states(book)["3.1"] == "changed"
    frame.write_text(text)
    assert states(book)["3.1"] == "passed"
    learn(copy, "reset", "3.1")
    assert states(book)["3.1"] == "blank"


def test_writing_a_later_task_does_not_touch_an_earlier_one(copy: Path, book: Workbook) -> None:
    learn(copy, "start", "3")
    blank = (book.copy(3) / "write_queue.cpp").read_text()
    write_all(book, 3)
    written = (book.copy(3) / "write_queue.cpp").read_text()
    (book.copy(3) / "write_queue.cpp").write_text(blank)
    pass_task(book, "3.1")
    (book.copy(3) / "write_queue.cpp").write_text(written)
    assert states(book)["3.1"] == "passed"
    (book.copy(3) / "write_queue.cpp").write_text(written + "int another;\n")
    assert states(book)["3.1"] == "changed"


def test_status_ticks_and_unticks(copy: Path, book: Workbook) -> None:
    learn(copy, "start", "3")
    write_all(book, 3)
    pass_task(book, "3.1")
    learn(copy, "hint", "3.1")
    before = book.roadmap_file.read_text()
    screen = learn(copy, "status")
    assert "passed 7 tests, with 1 hint" in screen.text and "3.1 ticked" in screen.text
    after = book.roadmap_file.read_text()
    assert after == before.replace("- [ ] **3.1", "- [x] **3.1") != before
    (book.copy(3) / "frame.cpp").write_text("int broken;\n")
    screen = learn(copy, "status")
    assert book.roadmap_file.read_text() == before and "3.1 unticked" in screen.text


def test_a_tick_that_nothing_speaks_for_is_taken_back(copy: Path, book: Workbook) -> None:
    book.roadmap_file.write_text(
        book.roadmap_file.read_text().replace("- [ ] **2.1", "- [x] **2.1")
    )
    assert "2.1 unticked" in learn(copy, "status").text
    assert "- [ ] **2.1" in book.roadmap_file.read_text()


def test_a_server_elsewhere_counts_by_its_files(book: Workbook, tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text("print('hello')\n")
    assert progress.counts(book, f"python3 {mine}")
    assert not progress.counts(book, f"python3 {book.root / 'tests_py' / 'python_server.py'}")
    assert not progress.counts(book, "some-server")
    task = book.tasks_of(3)[0]
    progress.record_run(book, task, True, 3, "", f"python3 {mine}")
    assert states(book)["3.1"] == "passed"
    mine.write_text("print('other')\n")
    assert states(book)["3.1"] == "changed"


def test_a_damaged_record_is_kept_aside(copy: Path, book: Workbook) -> None:
    learn(copy, "hint", "3.1")
    (book.work / "progress.json").write_text('{"runs": {"3.1"')
    learn(copy, "hint", "3.2")
    assert json.loads((book.work / "progress.json").read_text())["hints"] == {"3.2": 1}
    kept = book.work / "kept" / "damaged" / "1" / "progress.json"
    assert kept.read_text() == '{"runs": {"3.1"'


def test_the_boxes_of_the_roadmap(book: Workbook) -> None:
    text = book.roadmap_file.read_text()
    assert len(parse_roadmap(text)) == text.count("- [ ] ")
    ticked = with_ticks(text, {"1.1", "3.3"})
    assert [task.number for task in parse_roadmap(ticked) if task.ticked] == ["1.1", "3.3"]
    assert with_ticks(ticked, set()) == text


# --- test -----------------------------------------------------------------------------------------


def test_phase_0_from_blank_to_passed(copy: Path, book: Workbook) -> None:
    learn(copy, "start", "0")
    main = book.copy(0) / "main.cpp"
    main.write_text(main.read_text().replace('todo("0.1");', "std::puts(hello);"))
    screen = learn(copy, "test", "0", "--task", "0.1")
    assert screen.status == 1 and "does not compile" in screen.text
    assert re.search(r"^work/phase0/main.cpp:\d+: .*hello\W+ was not declared", screen.text, re.M)
    main.write_text(main.read_text().replace("(hello)", '("hallo")'))
    screen = learn(copy, "test", "0", "--task", "0.1")
    assert screen.status == 1 and "✗ 0.1" in screen.text and "'hallo\\n'" in screen.text
    assert states(book)["0.1"] == "failing"
    main.write_text(main.read_text().replace("hallo", "hello"))
    screen = learn(copy, "test", "0", "--task", "0.1")
    assert screen.status == 0 and "0.1 ticked in ROADMAP.md" in screen.text


def test_watch_tests_at_each_save(copy: Path, book: Workbook) -> None:
    learn(copy, "start", "0")
    process = subprocess.Popen(
        [str(copy / "learn"), "watch", "0", "--task", "0.1"],
        cwd=copy,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Ctrl-C is heard, also where the tests run in the background.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout

    def round_of_it() -> str:
        text = ""
        for line in process.stdout:
            if line.startswith("watching work/phase0"):
                return text
            text += line
        raise AssertionError(f"watch ended: {text}")

    try:
        assert "✗ 0.1" in round_of_it()
        main = book.copy(0) / "main.cpp"
        main.write_text(main.read_text().replace('todo("0.1");', 'std::puts("hello");'))
        assert "✓ 0.1" in round_of_it()
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=60)[0]
        assert process.returncode == 0 and "next  ./learn" in rest
    finally:
        process.kill()
        process.wait()


def test_a_server_of_another_language(copy: Path) -> None:
    server = "python3 tests_py/python_server.py --phase 1"
    screen = learn(copy, "test", "1", "--task", "1.2", "--server", server)
    assert screen.status == 0 and "not recorded" in screen.text, screen.text
