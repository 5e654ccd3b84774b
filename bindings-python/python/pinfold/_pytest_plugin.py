"""Owns: the pytest plugin: fixtures, the marker ``sandboxed``, its options and its summary.

Must not: run anything inside (``_pytest_guest`` does).
Start at: ``pytest_runtest_protocol``.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._errors import SandboxError
    from ._outcome import Outcome
    from ._sandbox import Sandbox
    from ._session import Session

GUEST = "PINFOLD_PYTEST_FD"
"""The variable that tells a pytest inside which fd its reports go to."""
MAX_REPORTS = 64 << 20
_RAN: pytest.StashKey[bool] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pinfold", "sandboxes (pinfold)")
    group.addoption("--sandboxed", action="store_true", help="run every test in a sandbox of its own")
    group.addoption(
        "--sandbox-durations",
        type=int,
        metavar="N",
        default=0,
        help="show the N slowest sandboxed tests, with set-up time and peak memory",
    )
    parser.addini(
        "sandbox_unavailable",
        "what a test is on a host that can't run its sandbox: fail or skip",
        default="fail",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "sandboxed(**options): run this test, with all its fixtures, in a sandbox of its own; the options are those of "
        "pinfold.Sandbox: memory, timeout, network, ...",
    )
    if config.getini("sandbox_unavailable") not in ("fail", "skip"):
        raise pytest.UsageError('sandbox_unavailable must be "fail" or "skip"')
    if GUEST in os.environ:
        from ._pytest_guest import Reporter

        config.pluginmanager.register(Reporter(int(os.environ[GUEST])), "pinfold-guest")


def _is_the_hosts(error: SandboxError) -> bool:
    """Whether it is the host that can't. Wrong options are nobody's host."""
    return error.kind in ("unsupported", "setup")


def may_skip(config: pytest.Config, error: SandboxError) -> bool:
    """Whether it is the host that can't, and that is to be a skip."""
    return config.getini("sandbox_unavailable") == "skip" and _is_the_hosts(error)


def failure(error: SandboxError) -> str:
    """What a test that had no sandbox fails with."""
    advice = "\n(`sandbox_unavailable = skip` skips instead)" if _is_the_hosts(error) else ""
    return f"no sandbox: {error}{advice}"


def _unavailable(config: pytest.Config, error: SandboxError) -> None:
    """Ends the test of a host that can't."""
    if may_skip(config, error):
        pytest.skip(f"no sandbox: {error}")
    pytest.fail(failure(error), pytrace=False)


@pytest.fixture
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    """A ``pinfold.Sandbox`` in which ``sys.executable`` works. ``sandbox.replace(..)`` makes others."""
    from . import Sandbox, SandboxError, python_mounts

    try:
        return Sandbox(mounts=python_mounts())
    except SandboxError as error:
        _unavailable(request.config, error)
        raise


@pytest.fixture
def sandbox_session(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[Session]:
    """An open ``pinfold.Session`` of the fixture ``sandbox``, closed after the test."""
    from . import SandboxError

    try:
        session = sandbox.open()
    except SandboxError as error:
        _unavailable(request.config, error)
        raise
    with session:
        yield session


def _options(item: pytest.Item) -> dict[str, Any] | None:
    """The options of the sandbox this test runs in; ``None``: in none."""
    markers = list(item.iter_markers("sandboxed"))
    if GUEST in os.environ or (not markers and not item.config.getoption("sandboxed")):
        return None
    options: dict[str, Any] = {}
    for marker in reversed(markers):
        options.update(marker.kwargs)
    return options


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    options = _options(item)
    if options is None:
        return None
    from ._pytest_host import run

    ihook = item.ihook
    ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in run(item, options):
        ihook.pytest_runtest_logreport(report=report)
    ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def properties(outcome: Outcome) -> list[tuple[str, object]]:
    """What a report, and JUnit's XML, says of a sandbox."""
    usage = outcome.usage
    told = {
        "ended": outcome.ended,
        "setup": round(outcome.timings.setup, 6),
        "duration": round(outcome.duration, 6),
        "memory_peak": usage.memory_peak,
        "memory_source": usage.memory_source,
        "cpu_user": usage.cpu_user,
        "cpu_system": usage.cpu_system,
        "pids_peak": usage.pids_peak,
    }
    return [(f"sandbox.{name}", value) for name, value in told.items() if value is not None]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    count = config.getoption("sandbox_durations")
    if not count:
        return
    found = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            told = dict(getattr(report, "user_properties", ()))
            if "sandbox.duration" in told:
                found[report.nodeid] = told
    terminalreporter.section(f"slowest {min(count, len(found))} of {len(found)} sandboxed tests")
    for nodeid, told in sorted(found.items(), key=lambda one: -one[1]["sandbox.duration"])[:count]:
        memory = told.get("sandbox.memory_peak")
        peak = "      ?" if memory is None else f"{memory / (1 << 20):6.1f}M"
        terminalreporter.write_line(
            f"{told['sandbox.duration']:7.3f}s  set-up {told['sandbox.setup'] * 1000:6.1f}ms  peak {peak}  "
            f"{told['sandbox.ended']:<9} {nodeid}"
        )
