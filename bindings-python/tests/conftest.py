"""Owns: what every test must leave behind: nothing."""

from __future__ import annotations

import gc
import os
import time

import pytest

pytest_plugins = ["pytester"]


def children() -> set[str]:
    """Processes whose parent is this one, dead or alive."""
    found = set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                after = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        if after[1] == str(os.getpid()):
            found.add(name)
    return found


def fds() -> dict[int, str]:
    """What is open."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            pass
    return found


# The library keeps its init program for ever.
FOR_EVER = "/memfd:pinfold-init (deleted)"


@pytest.fixture(autouse=True)
def nothing_is_left(request):
    """No process, no fd."""
    processes, opened = children(), set(fds())
    yield
    # Otherwise the values of fixtures live until after this.
    request.node.funcargs.clear()
    deadline = time.monotonic() + 30
    while True:
        gc.collect()
        left = children() - processes
        more = {number: what for number, what in fds().items() if number not in opened and what != FOR_EVER}
        if not left and not more:
            return
        if time.monotonic() > deadline:
            pytest.fail(f"left behind: processes {left}, fds {more}")
        time.sleep(0.02)


@pytest.fixture
def box():
    """A default sandbox."""
    from pinfold import Sandbox

    return Sandbox(timeout=60)
