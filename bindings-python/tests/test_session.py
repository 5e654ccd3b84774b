"""One live sandbox, many payloads."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import signal

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


def test_too_much_memory_is_told_as_such():
    box = pinfold.Sandbox(memory="64M", swap=0, timeout=60, compat={"prefer": ["limits.*"]})
    outcome = box.run(["python3", "-c", "x = bytearray(500 << 20); x[::4096] = b'x' * len(x[::4096])"])
    if box.report.degradations:
        assert not outcome.ok
    else:
        assert (outcome.ended, outcome.usage.oom_kills) == ("memory", 1)
