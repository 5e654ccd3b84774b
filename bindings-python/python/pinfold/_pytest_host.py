"""Owns: one sandboxed test from outside: the sandbox, the child pytest in it, and its reports, as hostile input.

Must not: unpickle or evaluate what comes from inside.
Start at: ``run``.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import sys
from typing import TYPE_CHECKING, Any

import pytest

from ._answer import Refused, decode
from ._errors import SandboxError
from ._pytest_plugin import GUEST, MAX_REPORTS, failure, may_skip, properties
from ._python import python_mounts, read_only_mounts
from ._sandbox import Sandbox

if TYPE_CHECKING:
    from ._outcome import Outcome

_FD = "pinfold-pytest"
_HEADER = struct.Struct("!Q")
_TAIL = 1 << 14


def _argv(item: pytest.Item) -> list[str]:
    """A pytest that runs this test and nothing else, configured as this one is."""
    config = item.config
    argv = [os.path.abspath(sys.executable), "-m", "pytest", item.nodeid, "-q", "-p", "no:cacheprovider"]
    argv += [f"--rootdir={config.rootpath}", "--basetemp=/tmp/pytest", "-o", "addopts="]
    if config.inipath is not None:
        argv += ["-c", str(config.inipath)]
    for plugin in config.getoption("plugins") or ():
        argv += ["-p", plugin]
    # One that is installed is found by its entry point; one that was only named has to be named again.
    if config.pluginmanager.get_plugin("pinfold") is None and "pinfold._pytest_plugin" not in argv:
        argv += ["-p", "pinfold._pytest_plugin"]
    return argv


def _sandbox(item: pytest.Item, options: dict[str, Any]) -> Sandbox:
    """A sandbox with the interpreter, what it imports from, and the project, read-only."""
    root = str(item.config.rootpath)
    shown = [root, *(path for path in sys.path if path and os.path.exists(path))]
    box = Sandbox(**options)
    config: Any = box.config
    # The test's own mounts come last and win.
    mounts = [*python_mounts(), *read_only_mounts(shown), *config.get("mounts", ())]
    used = {fd.get("target") for fd in config.get("fds", ())}
    target = next(number for number in range(3, 1024) if number not in used)
    return box.replace(
        mounts=mounts,
        fds=[*config.get("fds", ()), {"name": _FD, "target": target}],
        env={
            GUEST: str(target),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONHASHSEED": os.environ.get("PYTHONHASHSEED", "random"),
        },
        cwd=config.get("process", {}).get("cwd") or root,
    )


def _frames(ours: socket.socket, process: Any) -> tuple[list[bytes], Outcome, str | None]:
    """What the guest sent until it ended; its end; why its reports were cut."""
    data = bytearray()
    cut = None
    watched = process._native.watch()
    try:
        waiting = select.poll()
        waiting.register(watched, select.POLLIN)
        waiting.register(ours, select.POLLIN)
        outcome = None
        while outcome is None:
            waiting.poll()
            outcome = process.poll()
            cut = cut or _receive(ours, data)
            if cut and outcome is None:
                process.kill()
                outcome = process.wait()
    except BaseException:
        process.close()
        raise
    finally:
        os.close(watched)
    frames = []
    while len(data) >= _HEADER.size:
        (size,) = _HEADER.unpack_from(data)
        if len(data) < _HEADER.size + size:
            break
        frames.append(bytes(data[_HEADER.size : _HEADER.size + size]))
        del data[: _HEADER.size + size]
    return frames, outcome, cut


def _receive(ours: socket.socket, data: bytearray) -> str | None:
    try:
        while more := ours.recv(1 << 16):
            data += more
            if len(data) > MAX_REPORTS:
                return f"its reports have more than {MAX_REPORTS} bytes"
    except (BlockingIOError, ConnectionResetError):
        pass
    return None


def _reports(item: pytest.Item, frames: list[bytes]) -> list[Any]:
    """The reports of this test among the frames.

    Raises:
        Refused: a frame is none.
    """
    reports = []
    for frame in frames:
        told = decode(frame, "json")
        if not isinstance(told, dict) or told.get("$report_type") not in ("TestReport", "CollectReport"):
            raise Refused("it is no report")
        try:
            report = item.config.hook.pytest_report_from_serializable(config=item.config, data=told)
        except Exception as error:
            raise Refused(f"it is no report: {error!r}") from None
        if isinstance(report, pytest.CollectReport):
            report = _made(item, "setup", "failed", str(report.longrepr))
        elif report.nodeid != item.nodeid or report.when not in ("setup", "call", "teardown"):
            raise Refused("it is about another test")
        elif report.skipped and isinstance(report.longrepr, list):
            # JSON has no tuples.
            report.longrepr = tuple(report.longrepr)
        reports.append(report)
    return reports


def _made(item: pytest.Item, when: Any, how: Any, text: Any) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords={name: 1 for name in item.keywords},
        outcome=how,
        longrepr=text,
        when=when,
    )


def _refused(item: pytest.Item, error: SandboxError) -> list[pytest.TestReport]:
    """A host that can't."""
    if may_skip(item.config, error):
        path, line, _ = item.location
        skipped = _made(item, "setup", "skipped", (path, (line or 0) + 1, f"Skipped: no sandbox: {error.message}"))
    else:
        skipped = _made(item, "setup", "failed", failure(error))
    return [skipped, _made(item, "teardown", "passed", None)]


def _tail(title: str, data: bytes | None) -> str:
    text = (data or b"")[-_TAIL:].decode(errors="replace").strip()
    return f"\n-- {title} of the pytest inside --\n{text}" if text else ""


def run(item: pytest.Item, options: dict[str, Any]) -> list[pytest.TestReport]:
    """The reports of a test that was run inside."""
    ours, theirs = socket.socketpair()
    with ours:
        ours.setblocking(False)
        try:
            with theirs:
                process = _sandbox(item, options).spawn(_argv(item), fds={_FD: theirs})
        except SandboxError as error:
            return _refused(item, error)
        with process:
            frames, outcome, why = _frames(ours, process)
    try:
        reports = _reports(item, frames)
    except Refused as refused:
        reports, why = [], f"a report of the pytest inside is refused: {refused}"
    phases = [report.when for report in reports]
    # What a pytest that ended early has not said, is said for it.
    if "teardown" not in phases:
        when = "call" if "setup" in phases and "call" not in phases else ("setup" if not phases else "teardown")
        text = f"the test did not come to its end: {why or outcome.detail}"
        text += _tail("standard output", outcome.stdout) + _tail("standard error", outcome.stderr)
        reports.append(_made(item, when, "failed", text))
        if when != "teardown":
            reports.append(_made(item, "teardown", "passed", None))
    said = properties(outcome)
    lines = "\n".join(f"{name.partition('.')[2]:<14} {value}" for name, value in said)
    for report in reports:
        if report.when == "teardown" or report.failed:
            report.sections.append(("sandbox", f"{outcome.detail}\n{lines}"))
        report.user_properties = [*report.user_properties, *said] if report.when != "setup" else report.user_properties
    return reports
