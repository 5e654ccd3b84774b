"""What can be a value is one: it pickles, compares, hashes. What lives refuses, helpfully."""

from __future__ import annotations

import copy
import inspect
import json
import os
import pickle
import subprocess
import sys

import pinfold
import pytest
from pinfold import _native, _outcome, _run

ERRORS = [
    pinfold.SandboxError,
    pinfold.ConfigError,
    pinfold.UnsupportedError,
    pinfold.SetupError,
    pinfold.ProgramNotFound,
    pinfold.NotExecutable,
    pinfold.SetupTimeout,
    pinfold.FilesError,
    pinfold.SandboxClosed,
    pinfold.SandboxLost,
]


def same(value):
    copies = [pickle.loads(pickle.dumps(value, protocol)) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)]
    return all(type(one) is type(value) and one == value for one in [*copies, copy.copy(value), copy.deepcopy(value)])


def test_values_travel(box):
    outcome = box.run(["sh", "-c", "echo a; exit 1"])
    assert same(outcome) and same(outcome.usage) and same(outcome.timings) and same(outcome.report)
    assert same(box) and hash(box) == hash(pickle.loads(pickle.dumps(box)))
    assert same(pinfold.AsyncSandbox(box))
    assert pickle.loads(pickle.dumps(box)).run(["true"]).ok


def test_changes_are_values(box):
    outcome = box.run(["true"])
    assert outcome.changes() is None
    told = {name: None for name in ("exit_code", "signal", "signal_name")} | {"ended": "exited", "ok": True, "detail": ""}
    told |= {"stdout_truncated": False, "stderr_truncated": False, "duration": 0.0, "usage": {}, "timings": {}}
    change = {"change": "added", "kind": "file", "size": 1, "mode": "0644", "metadata_only": False, "replaced": False}
    told |= {"report": {"enforced": {}, "degradations": []}}
    told["changes"] = [{"path": "/a", **change}, {"path": [47, 255], **change}]
    changes = _outcome.from_native((json.dumps(told), None, None)).changes()
    assert [change.path for change in changes] == ["/a", "/\udcff"] and same(changes[1])
    assert changes[0].mode == 0o644


@pytest.mark.parametrize("kind", ERRORS)
def test_errors_travel(kind):
    report = {"kind": "setup", "message": "m", "hint": "h", "errno": 2, "origin": "o"}
    step = {"number": 1, "of": 2, "what": "w"}
    error = kind(**report, step=step, stage="launch", subject="s", problems=[{"key": "k", "message": "m"}])
    assert same(error) and str(pickle.loads(pickle.dumps(error))) == str(error)
    assert (error.errno, error.errno_name, error.hint, error.origin, error.step) == (2, "ENOENT", "h", "o", step)
    assert kind(**error.report()) == error != kind(**report)
    assert kind("setup", "m", "h", 2, "launch", step, "o", "s").report() == {**error.report(), "problems": []}
    assert kind("setup", "m", errno=2, errno_name="E").errno_name == "E"


@pytest.mark.parametrize("kind", [kind for kind in ERRORS if issubclass(kind, OSError)])
def test_errors_of_the_system_are_as_python_has_them(kind):
    error = kind("setup", "m", errno=13, subject="/a")
    for one in (error, pickle.loads(pickle.dumps(error))):
        assert (one.errno, one.strerror, one.filename, str(one)) == (13, os.strerror(13), "/a", "m\n  kernel  EACCES")
    error = kind("setup", "m")
    assert (error.errno, error.strerror, error.filename, str(error)) == (None, None, None, "m")


def test_failures_travel(box):
    outcome = box.run(["false"])
    for kind in (pinfold.CommandFailed, pinfold.TimedOut):
        again = pickle.loads(pickle.dumps(kind(["false"], outcome)))
        assert type(again) is kind and again.outcome == outcome and again.cmd == ["false"]
    again = pickle.loads(pickle.dumps(pinfold.WaitTimeout(["a"], 1.5)))
    assert again.timeout == 1.5 and isinstance(again, TimeoutError) and isinstance(again, subprocess.TimeoutExpired)


def test_the_tree_is_that_of_the_documentation():
    pairs = [
        (pinfold.ConfigError, ValueError),
        (pinfold.UnsupportedError, RuntimeError),
        (pinfold.SetupError, OSError),
        (pinfold.ProgramNotFound, (pinfold.SetupError, FileNotFoundError)),
        (pinfold.NotExecutable, (pinfold.SetupError, PermissionError)),
        (pinfold.SetupTimeout, TimeoutError),
        (pinfold.FilesError, OSError),
        (pinfold.TimedOut, (pinfold.CommandFailed, TimeoutError)),
        (pinfold.CommandFailed, subprocess.CalledProcessError),
    ]
    for child, parents in pairs:
        for parent in parents if isinstance(parents, tuple) else (parents,):
            assert issubclass(child, parent)
    assert all(issubclass(kind, pinfold.SandboxError) for kind in ERRORS)
    assert not issubclass(pinfold.CommandFailed, pinfold.SandboxError)


def test_what_lives_does_not_travel(box):
    with box.spawn(["sleep", "1000"]) as process:
        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="pickle its outcome"):
                attempt(process)


def test_an_outcome_is_immutable(box):
    outcome = box.run(["true"])
    with pytest.raises(AttributeError):
        outcome.ok = False


def parameters(function):
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


PAIRS = [
    (pinfold.Sandbox, pinfold.AsyncSandbox),
    (pinfold.Process, pinfold.AsyncProcess),
    (pinfold.Session, pinfold.AsyncSession),
    (pinfold.Pool, pinfold.AsyncPool),
]


@pytest.mark.parametrize(("sync", "other"), PAIRS)
def test_both_faces_have_the_same_verbs(sync, other):
    names = {name for name in dir(sync) if not name.startswith("_")}
    # `sandbox` is the description that an AsyncSandbox wraps, and that sessions of both kinds have.
    assert names == {name for name in dir(other) if not name.startswith("_")} - ({"sandbox"} - names)
    for name in names:
        mine, theirs = inspect.getattr_static(sync, name), inspect.getattr_static(other, name)
        if inspect.isfunction(mine):
            assert parameters(mine) == parameters(theirs), name


def test_the_options_of_a_call_are_those_of_the_core():
    assert {*pinfold.CallOptions.__annotations__} | {"env"} == {*_native.call_option_names()}


def test_run_and_spawn_take_the_same():
    run, spawn = parameters(_run.Runner.run), parameters(_run.Runner.spawn)
    assert [p for p in run if p[0] != "check"] == spawn


def test_importing_is_cheap():
    def loaded(script):
        program = f"import sys; {script}; print(*sys.modules)"
        return {*subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()}

    # Each of these takes longer than all of the package.
    expensive = {"asyncio", "concurrent.futures", "multiprocessing", "pytest", "socket", "ssl", "subprocess", "threading", "typing"}
    assert not expensive & (loaded("import pinfold") - loaded("pass"))
    assert "subprocess" in loaded("import pinfold; pinfold.CommandFailed")


def test_everything_public_is_there_and_documented():
    for name in pinfold.__all__:
        thing = getattr(pinfold, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert thing.__doc__, name
    assert {*pinfold.__all__} <= {*dir(pinfold)}
    with pytest.raises(AttributeError):
        pinfold.no_such_name
