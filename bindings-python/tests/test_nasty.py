"""Payloads that do not want to end: the reason is right, what was said is kept, the call returns, nothing is left."""

from __future__ import annotations

import asyncio
import time

import pytest
from nasty import LIMITS, NASTY, argv
from pinfold import AsyncSandbox, Sandbox


@pytest.fixture
def bounded():
    return Sandbox(**LIMITS)


def check(name, outcome):
    _, ended, begins = NASTY[name]
    assert outcome.ended in ended, outcome
    assert outcome.stdout.startswith(begins)
    assert len(outcome.stdout) <= 1 << 20


@pytest.mark.parametrize("name", NASTY)
def test_with_a_timeout_of_a_second(bounded, name):
    begun = time.monotonic()
    check(name, bounded.run(argv(name), timeout=1))
    assert time.monotonic() - begun < 6


def test_many_at_once_with_asyncio(bounded):
    async def one(name):
        return name, await AsyncSandbox(bounded).run(argv(name), timeout=1)

    async def main():
        # Not those that take a core each.
        return await asyncio.gather(*(one(name) for name in NASTY if "output" not in name and "bomb" not in name))

    for name, outcome in asyncio.run(main()):
        if not (outcome.ended == "wall_time" and NASTY[name][1] == {"exited"}):
            check(name, outcome)
