"""The running interpreter inside, and others: a virtual environment, the system's."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from pinfold import python_mounts

SAY = "import sys, json; print(json.dumps([sys.prefix, sys.base_prefix, list(sys.version_info[:3])]))"


def test_the_running_interpreter(box):
    box = box.replace(mounts=python_mounts())
    inside = box.run([sys.executable, "-c", SAY], check=True).text
    assert inside == subprocess.run([sys.executable, "-c", SAY], capture_output=True, text=True).stdout


def test_it_can_not_be_written_to(box):
    box = box.replace(mounts=python_mounts())
    for directory in {sys.prefix, sys.base_prefix}:
        assert "Read-only file system" in box.run(["touch", f"{directory}/x"]).stderr_text


def test_installed_packages_come_along(box):
    box = box.replace(mounts=python_mounts(sys_path=True))
    found = box.run(
        [sys.executable, "-c", "import pinfold; print(pinfold.__file__)"], env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert found.ok, found.stderr_text


@pytest.mark.skipif(not os.path.exists("/usr/bin/python3"), reason="no system Python")
def test_the_systems_interpreter_needs_nothing(box):
    assert box.run(["/usr/bin/python3", "-c", "print(1)"], check=True).text == "1\n"


def test_a_virtual_environment(tmp_path, box):
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    tell = "import json, pinfold; print(json.dumps(pinfold.python_mounts()))"
    python = str(venv / "bin" / "python")
    told = subprocess.run(
        [python, "-c", tell], env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True, check=True
    )
    inside = box.replace(mounts=json.loads(told.stdout)).run([python, "-c", SAY], check=True)
    assert json.loads(inside.text)[0] == str(venv)


def test_nothing_is_shown_twice():
    targets = [mount["target"] for mount in python_mounts(sys_path=True)]
    assert len(targets) == len({*targets})
    for target in targets:
        assert not any(other != target and target.startswith(other + "/") for other in targets)
        assert not target.startswith("/usr/")
