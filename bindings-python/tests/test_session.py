"""One live sandbox, many payloads."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import signal
import threading
import time

import pinfold
import pytest


def test_payloads_share_files_and_processes(box):
    with box.open() as s:
        assert s.run(["sh", "-c", "echo kept > /tmp/a; sleep 1000 & echo $!"], stdout="null").ok
        assert s.run(["cat", "/tmp/a"]).text == "kept\n"
        assert "sleep" in s.run(["sh", "-c", "cat /proc/[0-9]*/comm"]).text
        s.kill_all()
        assert "sleep" not in s.run(["sh", "-c", "cat /proc/[0-9]*/comm"]).text
        assert s.sandbox is box and s.report == box.report and not s.closed
    assert s.closed


def test_payloads_have_outcomes_of_their_own(box):
    with box.open() as s:
        with s.spawn(["cat"], stdin="pipe") as other:
            stdin = other.stdin
            stdin.write(b"still here")
            stdin.flush()
            assert s.run(["sh", "-c", "echo $A; sleep 1000"], env={"A": "1"}, timeout=0.5).ended == "wall_time"
            assert s.run(["sh", "-c", "kill -9 $$"]).signal == 9
            assert other.poll() is None
            stdin.close()
            assert other.wait().text == "still here"
        with pytest.raises(pinfold.CommandFailed):
            s.run(["false"], check=True)
        with pytest.raises(pinfold.ProgramNotFound):
            s.run(["no-such-program"])


def test_closing_kills_and_is_final(box):
    with box.open() as s:
        process = s.spawn(["sleep", "1000"])
    assert process.wait().ended == "killed"
    process.close()
    s.close()
    for use in (lambda: s.run(["true"]), s.kill_all, lambda: s.signal(15)):
        with pytest.raises(pinfold.SandboxClosed):
            use()


def test_signals_reach_every_payload(box):
    with box.open() as s, s.spawn(["sleep", "1000"]) as one, s.spawn(["sleep", "1000"]) as two:
        s.signal(signal.SIGTERM)
        assert [one.wait().signal, two.wait().signal] == [15, 15]


def test_a_forgotten_session_dies(box):
    s = box.open()
    process = s.spawn(["sleep", "1000"])
    del s
    assert process.wait().ended == "killed"
    process.close()


def test_a_session_does_not_travel(box):
    with box.open() as s:
        for attempt in (pickle.dumps, copy.copy):
            with pytest.raises(TypeError, match="pickle its sandbox"):
                attempt(s)


def test_a_session_of_the_parent_refuses(box):
    with box.open() as s:
        s.run(["true"])
        child = os.fork()
        if child == 0:
            code = 1
            try:
                s.run(["true"])
            except pinfold.SandboxClosed:
                code = 0
            s.close()
            del s
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert s.run(["echo", "alive"]).text == "alive\n"


def test_asyncio(box):
    async def main():
        async with pinfold.AsyncSandbox(box).open() as s:
            await s.run(["sh", "-c", "echo kept > /tmp/a"], check=True)
            runs = (s.run(["sh", "-c", f"cat /tmp/a; exit {code}"]) for code in range(8))
            outcomes = await asyncio.gather(*runs)
            assert [(outcome.text, outcome.exit_code) for outcome in outcomes] == [("kept\n", c) for c in range(8)]
            task = asyncio.ensure_future(s.run(["sleep", "1000"]))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await s.run(["true"])).ok
            await s.kill_all()
        assert s.closed
        s = await pinfold.AsyncSandbox(box).open()
        await s.close()
        with pytest.raises(pinfold.SandboxClosed):
            await s.run(["true"])

    asyncio.run(main())


def test_usage_and_limits_while_it_runs():
    box = pinfold.Sandbox(pids=64, memory="256M", compat={"prefer": ["limits.*"]})
    with box.open() as s:
        s.run(["sh", "-c", "echo kept > /tmp/a"], check=True)
        with pytest.raises(pinfold.ConfigError):
            s.update(hostname="box")
        if box.report.degradations:
            # No groups here: there is nothing that could be asked or changed.
            for refused in (s.usage, s.freeze, s.thaw, lambda: s.update(pids=3)):
                with pytest.raises(pinfold.UnsupportedError):
                    refused()
            return
        with pytest.raises(pinfold.ConfigError):
            s.update(memory="not a size")
        assert s.usage().memory_source.startswith("cgroup")
        s.update(pids=3)
        assert s.run(["sh", "-c", "for n in 1 2 3 4 5 6; do sleep 1 & done; wait"]).stderr_text
        s.update(pids=64)
        with s.spawn(["sh", "-c", "read x; echo went on"], stdin="pipe") as process:
            s.freeze()
            process.stdin.close()
            with pytest.raises(pinfold.WaitTimeout):
                process.wait(timeout=0.2)
            s.thaw()
            assert process.wait().text == "went on\n"


GROWING = """
import time
kept = []
for _ in range(6):
    kept.append(bytearray(b"x" * (8 << 20)))
    time.sleep(0.1)
"""


def test_samples_come_until_the_end():
    box = pinfold.Sandbox(pids=64, memory="256M", timeout=60, compat={"prefer": ["limits.*"]})
    for interval in (0, -1, float("nan"), float("inf")):
        with box.spawn(["true"]) as process, pytest.raises(ValueError, match="more than 0 seconds"):
            process.samples(interval)
    with box.spawn(["python3", "-c", GROWING]) as process:
        if box.report.degradations:
            with pytest.raises(pinfold.UnsupportedError):
                process.samples()
            return
        samples = list(process.samples(0.05))
        assert process.wait().ok
        assert list(process.samples()) == []
    assert len(samples) >= 5
    elapsed = [sample.elapsed for sample in samples]
    assert elapsed == sorted(elapsed) and elapsed[-1] < 60
    cpu = [sample.usage.cpu_user + sample.usage.cpu_system for sample in samples if sample.usage.cpu_user is not None]
    assert cpu == sorted(cpu) and cpu[-1] > 0
    memory = [sample.memory_current for sample in samples]
    assert max(memory) - memory[0] > 32 << 20
    assert all(sample.pids_current >= 1 and sample.usage.cpu_user is not None for sample in samples[:-1])
    assert pickle.loads(pickle.dumps(samples[0])) == samples[0]
    # Whoever leaves the loop has a payload that goes on.
    with box.spawn(["cat"], stdin="pipe") as process:
        for _ in process.samples(60):
            break
        process.stdin.close()
        assert process.wait().ok
    with pytest.raises(pinfold.SandboxClosed):
        process.samples()


def test_samples_end_with_the_payload_and_with_ctrl_c():
    box = pinfold.Sandbox(pids=64, memory="256M", timeout=60, compat={"prefer": ["limits.*"]})
    if box.report.degradations:
        with box.spawn(["true"]) as process, pytest.raises(pinfold.UnsupportedError):
            process.samples()
        return
    begun = time.monotonic()
    with box.spawn(["sleep", "0.3"]) as process:
        assert len(list(process.samples(60))) == 1
    assert time.monotonic() - begun < 30
    with box.spawn(["sleep", "1000"]) as process:
        killer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
        killer.start()
        with pytest.raises(KeyboardInterrupt):
            list(process.samples(60))
        assert process.wait().ended == "cancelled"


def test_samples_with_asyncio():
    box = pinfold.Sandbox(pids=64, memory="256M", timeout=60, compat={"prefer": ["limits.*"]})

    async def main():
        async with pinfold.AsyncSandbox(box).spawn(["python3", "-c", GROWING]) as process:
            if box.report.degradations:
                with pytest.raises(pinfold.UnsupportedError):
                    process.samples()
                return
            samples = [sample async for sample in process.samples(0.05)]
            assert (await process.wait()).ok
            assert len(samples) >= 5 and all(isinstance(sample, pinfold.Sample) for sample in samples)
        async with pinfold.AsyncSandbox(box).spawn(["sleep", "0.3"]) as process:
            assert len([sample async for sample in process.samples(60)]) == 1
        async with pinfold.AsyncSandbox(box).spawn(["sleep", "1000"]) as process:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(last(process.samples(60)), 0.2)
            assert (await process.wait()).ended == "cancelled"

    async def last(samples):
        async for sample in samples:
            one = sample
        return one

    asyncio.run(main())


def test_too_much_memory_is_told_as_such():
    box = pinfold.Sandbox(memory="64M", swap=0, timeout=60, compat={"prefer": ["limits.*"]})
    outcome = box.run(["python3", "-c", "x = bytearray(500 << 20); x[::4096] = b'x' * len(x[::4096])"])
    if box.report.degradations:
        assert not outcome.ok
    else:
        assert (outcome.ended, outcome.usage.oom_kills) == ("memory", 1)
