"""Sandboxes that are ready."""

from __future__ import annotations

import asyncio
import os
import pickle
import threading

import pinfold
import pytest
from pinfold import AsyncPool, Pool, PoolStats


def test_each_is_fresh_and_used_once(box):
    with Pool(box, size=2) as pool:
        assert pool.stats() == PoolStats(size=2, ready=2, taken=0, missed=0, lost=0) and pool.sandbox is box
        for ready in (1, 0):
            assert pool.run(["sh", "-c", "ls /tmp; echo hi > /tmp/a"], check=True).text == ""
            assert pool.stats().ready == ready
        assert pool.run(["cat"], input="missed", env={"A": "1"}).text == "missed"
        assert pool.stats() == PoolStats(2, 0, 3, 1, 0)
        pool.fill()
        assert pool.stats().ready == 2
        with pool.take() as s:
            s.files.write("/tmp/a", "x")
            assert s.run(["cat", "/tmp/a"]).text == "x"
            pool.close()
            assert s.run(["true"]).ok
        assert s.closed
    for use in (pool.take, pool.fill, pool.stats, lambda: pool.run(["true"])):
        with pytest.raises(pinfold.SandboxClosed):
            use()
    assert pool.closed


def test_outcomes_and_errors(box):
    with Pool(box, size=1) as pool:
        assert pool.run(["sleep", "1000"], timeout=0.2).ended == "wall_time"
        with pytest.raises(pinfold.CommandFailed):
            pool.run(["false"], check=True)
        with pytest.raises(pinfold.ProgramNotFound):
            pool.run(["no-such-program"])
    for size in (0, 5000):
        with pytest.raises(pinfold.ConfigError) as caught:
            Pool(box, size=size)
        assert caught.value.origin == "size"


def test_a_pool_does_not_travel(box):
    with Pool(box, size=1) as pool:
        with pytest.raises(TypeError, match="pickle its sandbox"):
            pickle.dumps(pool)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                pool.take()
            except pinfold.SandboxClosed:
                code = 0
            del pool
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert pool.run(["true"]).ok


def test_a_forgotten_pool_dies(box):
    pool = Pool(box, size=2)
    pool.take().close()
    del pool


def test_threads_fill_no_more_than_is_missing(box):
    with Pool(box, size=4) as pool:
        for _ in range(4):
            pool.take().close()
        threads = [threading.Thread(target=pool.fill) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert pool.stats().ready == 4


def test_asyncio(box):
    async def main():
        async with AsyncPool(pinfold.AsyncSandbox(box), size=2) as pool:
            outcomes = await asyncio.gather(*(pool.run(["sh", "-c", f"ls /tmp; exit {n}"]) for n in range(3)))
            assert [(outcome.exit_code, outcome.text) for outcome in outcomes] == [(0, ""), (1, ""), (2, "")]
            assert pool.stats() == PoolStats(2, 0, 3, 1, 0)
            await pool.fill()
            assert pool.stats().ready == 2
            async with await pool.take() as s:
                assert (await s.run(["true"])).ok
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(pool.run(["sleep", "1000"]), 0.2)
            with pytest.raises(pinfold.CommandFailed):
                await pool.run(["false"], check=True)
        with pytest.raises(pinfold.SandboxClosed):
            pool.take()
        other = AsyncPool(box, size=1)
        await other.close()

    asyncio.run(main())
