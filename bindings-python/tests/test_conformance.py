"""The conformance cases that every front end runs (`tests/cases` of the repository, whose README describes them), here
through the synchronous and the asynchronous face."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from pathlib import Path

import pytest
from pinfold import AsyncSandbox, Sandbox, SandboxError

tomllib = pytest.importorskip("tomllib")

CASES = Path(os.environ.get("PINFOLD_CASES") or Path(__file__).parents[2] / "tests" / "cases")


def cases():
    for file in sorted(CASES.glob("*.toml")):
        for case in tomllib.loads(file.read_text())["case"]:
            # There is no --set here, and an environment is no text.
            texts = [text for name, text in case.get("options", ()) if name == "env"]
            if "set" not in case and all("=" in text for text in texts):
                yield pytest.param(case, id=f"{file.stem}/{case['name']}")


def fits(case):
    user = case.get("user")
    met = {"python3": os.path.exists("/usr/bin/python3")}
    return user in (None, "root" if os.geteuid() == 0 else "user") and all(met[need] for need in case.get("needs", ()))


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
        argv = [word.replace("$DIR", str(directory)) for word in case["command"]]
        call = dict(input=case.get("stdin", ""))
        outcome = asyncio.run(AsyncSandbox(box).run(argv, **call)) if asynchronous else box.run(argv, **call)
    except SandboxError as error:
        return {"error": error.report()}
    told = {name: getattr(outcome, name) for name in type(outcome).__match_args__}
    told["report"] = report(outcome.report)
    told["changes"] = {
        kind: [change.path for change in outcome.changes() or () if change.change == kind]
        for kind in ("added", "modified", "deleted")
    }
    return told


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
        text = found[stream].decode(errors="replace")
        parts = case.get(f"{stream}_has", [])
        if stream in case:
            assert text == case[stream]
        elif not parts and stream == "stderr":
            assert text == ""
        assert all(part in text for part in parts), text
    for kind in ("added", "modified", "deleted") if "changes" in case else ():
        assert found["changes"][kind] == case["changes"].get(kind, [])
    assert found["stdout_truncated"] == case.get("truncated", False)


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
        found = {
            **plain({k: v for k, v in found.items() if k not in ("stdout", "stderr")}, directory),
            **{k: v.replace(str(directory).encode(), b"$DIR") for k, v in found.items() if k in ("stdout", "stderr")},
        }
        check(case, found)
