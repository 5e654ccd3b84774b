"""The same verbs with asyncio, on the standard loop and on uvloop."""

from __future__ import annotations

import asyncio
import os
import select
import sys
import threading

import pinfold
import pytest
from pinfold import AsyncSandbox, Event


@pytest.fixture(scope="session", autouse=True)
def uvloops_own_fds():
    """It keeps a pipe for ever, from its first loop on."""
    try:
        import uvloop
    except ImportError:
        return
    loop = uvloop.new_event_loop()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


@pytest.fixture(params=["asyncio", "uvloop"])
def go(request):
    """Runs a coroutine function."""
    if request.param == "asyncio":
        return lambda main: asyncio.run(main())
    uvloop = pytest.importorskip("uvloop")

    def run(main):
        loop = uvloop.new_event_loop()
        try:
            return loop.run_until_complete(main())
        finally:
            loop.close()

    return run


@pytest.fixture
def abox(box):
    return AsyncSandbox(box)


def gone(pidfd):
    """Whether its process ends."""
    try:
        return bool(select.select([pidfd], [], [], 60)[0])
    finally:
        os.close(pidfd)


def test_run(go, abox):
    async def main():
        assert (await abox.run(["echo", "hi"])).text == "hi\n"
        assert (await abox.run(["cat"], input=b"x" * 200_000)).stdout == b"x" * 200_000
        with pytest.raises(pinfold.CommandFailed):
            await abox.run(["false"], check=True)
        with pytest.raises(pinfold.ProgramNotFound):
            await abox.run(["no-such-program"])
        outcome = await abox.run(["sh", "-c", "echo so far; sleep 1000"], timeout=0.5)
        assert (outcome.ended, outcome.text) == ("wall_time", "so far\n")

    go(main)


def test_side_by_side(go, abox):
    async def main():
        runs = (abox.run(["sh", "-c", f"sleep 0.1; exit {code}"]) for code in range(20))
        assert [outcome.exit_code for outcome in await asyncio.gather(*runs)] == list(range(20))

    go(main)


def test_a_conversation(go, abox):
    async def main():
        async with abox.spawn(["cat"], stdin="pipe") as process:
            process.stdin.write(b"one\ntwo")
            assert await process.stdout.readline() == b"one\n"
            process.stdin.write(b"x" * 300_000)
            process.stdin.close()
            assert await process.stdout.readexactly(3) == b"two"
            assert len(await process.stdout.read()) == 300_000
            assert await process.stdout.read() == b""
            await process.stdin.wait_closed()
            assert (await process.wait()).ok
            with pytest.raises(ValueError):
                process.stdin.write(b"")

    go(main)


def test_ends_that_come_early(go, abox):
    async def main():
        async with await abox.spawn(["true"], stdin="pipe") as process:
            stdin = process.stdin
            await process.wait()
            stdin.write(b"x" * 300_000)
            await stdin.drain()
        async with abox.spawn(["echo", "a"]) as process:
            with pytest.raises(asyncio.IncompleteReadError):
                await process.stdout.readexactly(3)

    go(main)


def test_lines_and_events(go, abox):
    async def main():
        async with abox.spawn(["printf", r"a\nb\nc"]) as process:
            assert [line async for line in process.stdout] == [b"a\n", b"b\n", b"c"]
        async with abox.spawn(["sh", "-c", "echo a; sleep 0.1; echo b >&2"]) as process:
            assert [event async for event in process] == [Event("stdout", b"a\n"), Event("stderr", b"b\n")]
            assert (await process.wait()).ok

    go(main)


def test_wait_with_a_timeout_does_not_kill(go, abox):
    async def main():
        async with abox.spawn(["sh", "-c", "read x; exit 5"], stdin="pipe") as process:
            stdin = process.stdin
            with pytest.raises(pinfold.WaitTimeout):
                await process.wait(timeout=0.05)
            assert process.poll() is None
            stdin.close()
            first, second = await asyncio.gather(process.wait(), process.wait())
            assert first is second and first.exit_code == 5

    go(main)


def test_cancelling_kills_the_tree(go, abox):
    async def main():
        task = asyncio.ensure_future(abox.run(["sh", "-c", "sleep 1000 & sleep 1000"]))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        process = abox.spawn(["sleep", "1000"])
        pidfd = os.dup(process.fileno())
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(process.wait(), 0.1)
        assert gone(pidfd)
        assert (await process.wait()).ended == "cancelled"
        await process.close()

    go(main)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout is there since 3.11")
def test_timeout_context_kills_the_tree(go, abox):
    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await abox.run(["sleep", "1000"])

    go(main)


def test_leaving_the_block_and_forgetting_kill(go, abox):
    async def main():
        async with abox.spawn(["sleep", "1000"]) as process:
            pidfd = os.dup(process.fileno())
        assert gone(pidfd)
        process = abox.spawn(["sleep", "1000"])
        pidfd = os.dup(process.fileno())
        with pytest.raises(TimeoutError):
            await process.wait(timeout=0.01)
        del process
        assert gone(pidfd)

    go(main)


def test_a_loop_that_ends_with_payloads_kills_them(abox):
    pidfds = []

    async def main():
        process = abox.spawn(["sleep", "1000"])
        pidfds.append(os.dup(process.fileno()))
        task = asyncio.ensure_future(process.wait())
        await asyncio.sleep(0.05)
        assert not task.done()

    asyncio.run(main())
    assert gone(pidfds[0])


def test_in_a_thread_of_its_own(abox):
    found = []

    async def main():
        found.append((await abox.run(["echo", "x"])).text)

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    thread.join()
    assert found == ["x\n"]


def test_endless_output_does_not_hide_the_end(go, abox):
    async def main():
        outcome = await abox.run(["cat", "/dev/zero"], timeout=0.5, output="1M")
        assert (outcome.ended, len(outcome.stdout), outcome.stdout_truncated) == ("wall_time", 1 << 20, True)

    go(main)
