"""The options, the fixtures and the reports of the black-box suites.

pytest tests_py/test_phase3.py                  on ./phase3
pytest tests_py/test_phase3.py --later          also on phases 4 and 5, where its contract still holds
pytest tests_py/test_phase3.py --server "python3 mine.py"     on anything that keeps the contract
"""

import os
import resource
import shlex
import sys
import tempfile
from pathlib import Path

import hypothesis.configuration
import pytest

TESTS = Path(__file__).resolve().parent
TOP = TESTS.parent
if str(TESTS) not in sys.path:
    sys.path.insert(0, str(TESTS))

from harness import deadlines, failures  # noqa: E402
from harness.run import Run  # noqa: E402
from harness.server import Target  # noqa: E402

LAST_PHASE = 5
hypothesis.configuration.set_hypothesis_home_dir(
    os.path.join(tempfile.gettempdir(), f"hypothesis-{os.getuid()}")
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("workbook", "the servers under test")
    group.addoption(
        "--server",
        metavar="CMD",
        help="run on this command; {phase} in it stands for the phase's number",
    )
    group.addoption("--build", metavar="DIR", help="take phase0 … phase5 from DIR")
    group.addoption("--later", action="store_true", help="also on every later phase")
    group.addoption("--task", metavar="N.M", help="only the tests of one task")
    group.addoption(
        "--deadline-scale",
        type=float,
        metavar="FACTOR",
        help="stretch all deadlines (default: WS_DEADLINE_SCALE, or by the load)",
    )


def pytest_configure(config: pytest.Config) -> None:
    markers = [
        "task(number): the task of ROADMAP.md that this test checks",
        "phases(*numbers): what is checked holds on these phases only",
        "port(name): phase 5 has two: checked on the plain or on the tls one only",
        "timed: its deadlines are short; if it fails it is tried once more, with longer ones, "
        "where --deadline-scale does not tell how long they are",
        "how: looks at how it is done, in system calls; left out with --server",
    ]
    for marker in markers:
        config.addinivalue_line("markers", marker)
    deadlines.set_scale(config.getoption("--deadline-scale"))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


# --- which tests run, and on what -------------------------------------------------------------


def suite_phase(path: Path) -> int | None:
    digits = path.stem.removeprefix("test_phase")
    return int(digits) if digits.isdigit() else None


def command(config: pytest.Config, phase: int) -> tuple[tuple[str, ...], Path]:
    """The command that starts a phase's server, and the directory to start it in."""
    here = config.invocation_params.dir
    if server := config.getoption("--server"):
        return tuple(shlex.split(server.replace("{phase}", str(phase)))), here
    build = config.getoption("--build")
    directory = here / build if build else TOP
    path = os.path.relpath(directory / f"phase{phase}", here)
    return (path if "/" in path else f"./{path}",), here


def targets(config: pytest.Config, own: int, phases: tuple[int, ...]) -> list[Target]:
    last = LAST_PHASE if config.getoption("--later") and own else own
    found = []
    for phase in range(own, last + 1):
        if phases and phase not in phases:
            continue
        arguments, directory = command(config, phase)
        for tls in (False, True) if phase == LAST_PHASE else (False,):
            found.append(Target(phase, tls, arguments, directory))
    return found


def pytest_sessionstart(session: pytest.Session) -> None:
    """One clear message, before any test runs, if a server is not built."""
    config = session.config
    if config.getoption("--server") or hasattr(config, "workerinput"):
        return
    paths = [config.invocation_params.dir / arg.split("::")[0] for arg in config.args]
    files = [
        file for path in paths for file in ([path] if path.is_file() else path.rglob("test_*.py"))
    ]
    own = {phase for file in files if (phase := suite_phase(file)) is not None}
    wanted = {t.phase: t.command[0] for phase in own for t in targets(config, phase, ())}
    missing = [phase for phase in sorted(wanted) if not os.access(wanted[phase], os.X_OK)]
    if missing:
        names = ", ".join(
            os.path.relpath(wanted[phase], config.invocation_params.dir) for phase in missing
        )
        make = " ".join(f"phase{phase}" for phase in missing)
        raise pytest.UsageError(f"not built yet: {names}. Make it first: make {make}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    own = suite_phase(metafunc.definition.path)
    if "target" not in metafunc.fixturenames or own is None:
        return
    marker = metafunc.definition.get_closest_marker("phases")
    found = targets(metafunc.config, own, marker.args if marker else ())
    if port := metafunc.definition.get_closest_marker("port"):
        found = [t for t in found if t.tls == (port.args[0] == "tls")]
    names = [f"phase{t.phase}{'-tls' * t.tls}" for t in found]
    metafunc.parametrize("target", found, ids=names, indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list) -> None:
    wanted, server = config.getoption("--task"), config.getoption("--server")
    kept, left = [], []
    for item in items:
        out = (wanted and task_of(item) != wanted) or (server and item.get_closest_marker("how"))
        nothing = hasattr(item, "callspec") and item.callspec.params.get("target") == 0
        (left if out or nothing else kept).append(item)
        if config.pluginmanager.hasplugin("timeout"):
            item.add_marker(pytest.mark.timeout(deadlines.scaled(90)))
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = kept


def task_of(item: pytest.Item) -> str:
    """In the suite of phase 5, what goes over TLS needs task 5.2 at least."""
    marker = item.get_closest_marker("task")
    number = marker.args[0] if marker else ""
    found = item.callspec.params.get("target") if hasattr(item, "callspec") else None
    over_tls = isinstance(found, Target) and found.tls
    return max(number, "5.2") if over_tls and suite_phase(item.path) == 5 else number


# --- fixtures ---------------------------------------------------------------------------------


@pytest.fixture(scope="session", autouse=True)
def left_to_pytest(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Files of a run that is killed go with its directory: pytest keeps those of the last three."""
    tempfile.tempdir = str(tmp_path_factory.getbasetemp())


@pytest.fixture
def target(request: pytest.FixtureRequest) -> Target:
    found: Target = request.param
    executable = Path(found.command[0])
    if executable.is_absolute() and not os.access(executable, os.X_OK):
        name = os.path.relpath(executable, request.config.invocation_params.dir)
        pytest.fail(
            f"{name} is not there. Make it first: make phase{found.phase}",
            pytrace=False,
        )
    return found


@pytest.fixture
def run(target: Target, request: pytest.FixtureRequest):
    """Starts servers and clients, and ends them all when the test is over."""
    own = Run(target, task_of(request.node))
    request.node.run = own
    yield own
    own.clean_up()


@pytest.fixture
def start(run: Run):
    return run.start


@pytest.fixture
def connect(run: Run):
    return run.connect


@pytest.fixture
def ws(run: Run):
    """A client that has shaken hands."""
    return run.connect().handshake()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool:
    """Run the test, then stop its servers as part of it: an unclean end is a failure of the test."""
    run = getattr(pyfuncitem, "run", None)
    try:
        call(pyfuncitem, run)
    except failures.CheckFailed:
        # A machine that stands still for a moment looks like a peer that does.
        chosen = pyfuncitem.config.getoption("--deadline-scale")
        if chosen or not pyfuncitem.get_closest_marker("timed") or run.missing_task():
            raise
        with deadlines.stretched(3):
            call(pyfuncitem, run)
    return True


def call(pyfuncitem: pytest.Function, run: Run | None) -> None:
    names = pyfuncitem._fixtureinfo.argnames
    pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names})
    if run:
        run.finish()


# --- reports ----------------------------------------------------------------------------------


def replay_command(item: pytest.Item) -> str:
    config = item.config
    file = os.path.relpath(item.path, config.invocation_params.dir)
    words = ["pytest", f"{file}::{item.nodeid.partition('::')[2]}"]
    for option in ("--server", "--build", "--deadline-scale"):
        if value := config.getoption(option):
            words += [option, str(value)]
    callspec = getattr(item, "callspec", None)
    own = suite_phase(item.path)
    if callspec and own and callspec.params["target"].phase != own:
        words.append("--later")
    return shlex.join(words)


def title_of(item: pytest.Item) -> str:
    sentence = " ".join((item.obj.__doc__ or item.name).split())
    return f"✗ {task_of(item)}  {sentence}".replace("  ", " ")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    failure = call.excinfo.value if call.excinfo else None
    run = getattr(item, "run", None)
    told = isinstance(failure, failures.CheckFailed)
    # Whatever it is that a test stumbles over when a server is not finished: that is why.
    if isinstance(failure, Exception) and not told and run and (missing := run.missing_task()):
        failure = failures.CheckFailed("the task to be written", missing)
    if isinstance(failure, failures.CheckFailed):
        text = report_of(item, failure)
        # In place of the traceback, which would also take long to lay out.
        item.repr_failure = item._repr_failure_py = lambda *_, **__: text
        if call.when == "setup":
            call.when = "call"  # a handshake that fails is a failure, not an error
    yield


def report_of(item: pytest.Item, failure: failures.CheckFailed) -> str:
    run = getattr(item, "run", None)
    return failures.report(
        failure,
        title_of(item),
        run.last_server if run else None,
        replay_command(item),
        f"./learn hint {task_of(item)}",
        getattr(failure, "__notes__", []),
    )


def pytest_terminal_summary(terminalreporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        terminalreporter.section("skipped")
    for report in skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        terminalreporter.line(f"{report.nodeid}: {reason.removeprefix('Skipped: ')}")
