"""The conformance cases that every front end runs (`tests/cases` of the repository, whose README describes them), here
through the synchronous and the asynchronous face."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import re
import subprocess
import tempfile
from pathlib import Path

import pytest
from pinfold import AsyncSandbox, Sandbox, SandboxError

tomllib = pytest.importorskip("tomllib")

# The command to compare with, if there is one.
COMMAND = os.environ.get("PINFOLD_COMMAND")
CASES = Path(os.environ.get("PINFOLD_CASES") or Path(__file__).parents[2] / "tests" / "cases")


def cases():
    for file in sorted(CASES.glob("*.toml")):
        for case in tomllib.loads(file.read_text())["case"]:
            # There is no --set here, and an environment is no text.
            texts = [text for name, text in case.get("options", ()) if name == "env"]
            if "set" not in case and all("=" in text for text in texts):
                yield pytest.param(case, id=f"{file.stem}/{case['name']}")


def groups():
    listed = Path("/sys/fs/cgroup/cgroup.controllers")
    unified = listed.exists() and "memory" in listed.read_text().split()
    return os.access("/sys/fs/cgroup" if unified else "/sys/fs/cgroup/memory", os.W_OK)


def memory_overlay():
    major, minor = re.split("[.-]", platform.release())[:2]
    return (int(major), int(minor)) >= (6, 6)


NEEDS = {
    "python3": lambda: os.path.exists("/usr/bin/python3"),
    "groups": groups,
    "memory_overlay": memory_overlay,
}


def fits(case):
    user = case.get("user")
    return user in (None, "root" if os.geteuid() == 0 else "user") and all(NEEDS[need]() for need in case.get("needs", ()))


def lay_out(case, directory):
    directory.chmod(0o777)
    files = dict(case.get("files", {}))
    for kind, name in (("config", "config.toml"), ("json", "config.json")):
        if kind in case:
            files[name] = case[kind]
    directories = [directory / name for name in case.get("dirs", ())]
    for name, text in files.items():
        directories.append((directory / name).parent)
        directories[-1].mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text.replace("$DIR", str(directory)))
        (directory / name).chmod(0o777 if text.startswith("#!") else 0o666)
    for made in directories:
        made.mkdir(parents=True, exist_ok=True)
        while made != directory:
            made.chmod(0o777)
            made = made.parent


def described(case, directory):
    """The sandbox of a case."""
    options = {}
    for name, text in case.get("options", ()):
        options.setdefault(name, []).append(text.replace("$DIR", str(directory)))
    appending = {"bind", "ro_bind", "tmpfs", "env"}
    options = {name: texts if name in appending else texts[-1] for name, texts in options.items()}
    if "env" in options:
        options["env"] = dict(text.split("=", 1) for text in options["env"])
    file = next((name for kind, name in (("config", "config.toml"), ("json", "config.json")) if kind in case), None)
    box = Sandbox.from_file(directory / file) if file else Sandbox()
    return box.replace(**options) if options else box


def report(told):
    return {"enforced": told.enforced, "degradations": [{"feature": one.feature} for one in told.degradations]}


def result(case, directory, asynchronous):
    try:
        box = described(case, directory)
        if "shows" in case:
            return {"config": box.config}
        if not case.get("command"):
            return {"built": True, "report": report(box.report)}
        outcome, changes = asyncio.run(aside(case, box, directory)) if asynchronous else run(case, box, directory)
    except SandboxError as error:
        return {"error": error.report()}
    told = {name: getattr(outcome, name) for name in type(outcome).__match_args__}
    told["ok"] = outcome.ok
    told["report"] = report(outcome.report)
    told["changes"] = by_kind(None if changes is None else [(change.change, change.path) for change in changes])
    return told


def by_kind(changes):
    if changes is None:
        return None
    return {kind: [path for what, path in changes if what == kind] for kind in ("added", "modified", "deleted")}


def words(line, directory):
    return [word.replace("$DIR", str(directory)) for word in line]


def run(case, box, directory):
    argv, input = words(case["command"], directory), case.get("stdin", "")
    if "before" not in case:
        outcome = box.run(argv, input=input)
        return outcome, outcome.changes()
    with box.open() as session:
        for line in case["before"]:
            session.run(words(line, directory), check=True)
        outcome = session.run(argv, input=input)
        return outcome, session.changes() if "changes" in case else None


async def aside(case, box, directory):
    argv, input = words(case["command"], directory), case.get("stdin", "")
    box = AsyncSandbox(box)
    if "before" not in case:
        outcome = await box.run(argv, input=input)
        return outcome, outcome.changes()
    async with box.open() as session:
        for line in case["before"]:
            await session.run(words(line, directory), check=True)
        outcome = await session.run(argv, input=input)
        return outcome, session.changes() if "changes" in case else None


def plain(value, directory):
    if isinstance(value, dict):
        return {key: plain(inner, directory) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner, directory) for inner in value]
    return value.replace(str(directory), "$DIR") if isinstance(value, str) else value


def check(case, found):
    if "error" in case:
        assert found.get("error", {}).get("kind") == case["error"], found
        text = json.dumps(found["error"], ensure_ascii=False)
        for words in case.get("says", ()):
            assert json.dumps(words, ensure_ascii=False)[1:-1] in text
        problems = found["error"]["problems"]
        if "problems" in case:
            assert [problem["key"] for problem in problems] == [wanted["key"] for wanted in case["problems"]]
        for wanted, problem in zip(case.get("problems", ()), problems):
            assert wanted.get("says", "") in problem["message"]
            assert wanted.get("hint", "") in (problem.get("hint") or "")
            if wanted.get("at"):
                assert f"config.toml:{wanted['at']}" in problem["message"] + problem["key"]
        return
    assert "error" not in found, found
    if "shows" in case:
        assert found["config"] == plain(tomllib.loads(case["shows"]), Path("/nowhere"))
        return
    said = found["report"]
    assert [one["feature"] for one in said["degradations"]] == case.get("weaker", [])
    for feature, how in case.get("enforced", {}).items():
        assert said["enforced"][feature].startswith(how)
    if not case.get("command"):
        return
    assert found["ended"] == case.get("ended", "signaled" if "signal" in case else "exited"), found
    if "signal" in case:
        assert found["signal_name"] == case["signal"]
    elif found["ended"] == "exited":
        assert found["exit_code"] == case.get("code", 0), found
    for stream in ("stdout", "stderr"):
        text = found[stream]
        parts = case.get(f"{stream}_has", [])
        if stream in case:
            assert text == case[stream]
        elif not parts and stream == "stderr":
            assert text == ""
        assert all(part in text for part in parts), text
    for kind in ("added", "modified", "deleted") if "changes" in case else ():
        assert found["changes"][kind] == case["changes"].get(kind, []), found["changes"]
    assert found["stdout_truncated"] == case.get("truncated", False)


def normal(found, directory):
    """A result in which the case's directory has its short name, and streams are texts."""
    return plain({k: v.decode(errors="replace") if isinstance(v, bytes) else v for k, v in found.items()}, directory)


def through_the_command(case):
    """The same through the command, in a directory of its own, as it was at first."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name).resolve()
        lay_out(case, directory)
        file = directory / ".report.json"
        argv = [COMMAND, "run", "--quiet", "--report", str(file)]
        config = next((name for kind, name in (("config", "config.toml"), ("json", "config.json")) if kind in case), None)
        argv += ["--config", str(directory / config)] if config else []
        argv += [f"--{name.replace('_', '-')}={text}" for name, text in case.get("options", ())]
        argv = words([*argv, "--", *case["command"]], directory)
        ran = subprocess.run(argv, input=case.get("stdin", "").encode(), capture_output=True, cwd=directory)
        told = json.loads(file.read_text())
        if "error" not in told:
            told |= {"stdout": ran.stdout, "stderr": ran.stderr}
            changes = told["changes"]
            told["changes"] = by_kind(None if changes is None else [(one["change"], one["path"]) for one in changes])
        return normal(told, directory)


def common(found):
    """Of an error its words and places, of an outcome all but times and usage."""
    if "error" in found:
        fields = ("kind", "message", "errno", "origin", "stage", "step", "subject", "hint")
        problems = [{k: v for k, v in problem.items() if v} for problem in found["error"].get("problems") or ()]
        return {**{field: found["error"].get(field) for field in fields}, "problems": problems}
    fields = ("ended", "exit_code", "signal", "signal_name", "ok", "detail", "stdout", "stderr", "changes")
    told = found["report"]
    weaker = [one["feature"] for one in told["degradations"]]
    return {**{field: found[field] for field in fields}, "enforced": told["enforced"], "weaker": weaker}


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("case", list(cases()))
def test_case(case, asynchronous):
    if not fits(case):
        pytest.skip("not for this user or host")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name).resolve()
        lay_out(case, directory)
        before = os.getcwd()
        os.chdir(directory)
        try:
            found = result(case, directory, asynchronous)
        finally:
            os.chdir(before)
        # A config without its sandbox is not to be had here, and this host can't build every one.
        if "shows" in case and found.get("error", {}).get("kind") in ("unsupported", "setup"):
            pytest.skip(found["error"]["message"])
        found = normal(found, directory)
        check(case, found)
        # One call of the command is one sandbox.
        if COMMAND and case.get("command") and "shows" not in case and "before" not in case:
            assert common(found) == common(through_the_command(case))
