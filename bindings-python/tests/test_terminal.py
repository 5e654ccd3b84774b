"""A terminal of the payload's own."""

from __future__ import annotations

import asyncio
import os

import pinfold
import pytest

SIZE = ["stty", "size"]


def test_what_is_printed_is_the_output(box):
    assert box.run(SIZE, terminal=True).text == "24 80\r\n"
    outcome = box.run(["sh", "-c", "stty size; tty; echo err >&2; echo $TERM"], terminal=(100, 30))
    assert outcome.ok and outcome.text.split() == ["30", "100", "/dev/pts/0", "err", "xterm"]
    with box.open() as s:
        assert s.run(SIZE, terminal=(100, 30)).text == "30 100\r\n"
    assert pinfold.run(SIZE, terminal=(7, 8)).text == "8 7\r\n"


def test_the_config_may_ask_for_one(box):
    assert box.replace(process={"terminal": True}).run(SIZE).text == "24 80\r\n"


def test_typing_and_resizing(box):
    with box.spawn(["sh", "-c", "stty -echo; echo ready; read x; stty size; echo got $x"], terminal=(100, 30)) as p:
        terminal = p.terminal
        assert terminal is p.terminal and terminal.isatty() and p.stdin is None
        read = b""
        while b"ready" not in read:
            read += terminal.read(100)
        p.resize(120, 40)
        terminal.write(b"this\n")
        assert terminal.read() == b"40 120\r\ngot this\r\n"
        assert terminal.read(1) == b"" == terminal.readall()
        assert p.wait(timeout=5).ok
    assert terminal.closed


def test_ctrl_c_reaches_the_foreground(box):
    with box.spawn(["sh", "-c", "trap 'echo caught; exit 3' INT; echo ready; while :; do sleep 0.05; done"], terminal=True) as p:
        read = b""
        while b"ready" not in read:
            read += p.terminal.read(100)
        p.terminal.write(b"\x03")
        assert b"caught" in p.terminal.read()
        assert p.wait().exit_code == 3


def test_standard_output_and_events_end(box):
    with box.spawn(["echo", "hi"], terminal=True) as p:
        assert p.stdout.read() == b"hi\r\n"
    with box.spawn(["echo", "hi"], terminal=True) as p:
        assert b"".join(event.data for event in p) == b"hi\r\n"


def test_refusals(box):
    for size in (False, "80x24", (80,), (0, 24), (80, 70000), 80):
        with pytest.raises(pinfold.ConfigError, match="terminal"):
            box.run(SIZE, terminal=size)
    with pytest.raises(pinfold.ConfigError, match="stdout"):
        box.run(SIZE, terminal=True, stdout="pipe")
    with box.spawn(["sleep", "1000"]) as p:
        assert p.terminal is None
        with pytest.raises(pinfold.ConfigError, match="no terminal"):
            p.resize(80, 24)


def test_asyncio(box):
    async def main():
        abox = pinfold.AsyncSandbox(box)
        assert (await abox.run(SIZE, terminal=(100, 30))).text == "30 100\r\n"
        async with abox.spawn(["sh", "-c", "stty -echo; echo ready; read x; stty size; echo got $x"], terminal=True) as p:
            terminal = p.terminal
            assert await terminal.readline() == b"ready\r\n" and os.isatty(terminal.fileno())
            p.resize(120, 40)
            terminal.write(b"this\n")
            await terminal.drain()
            assert [line async for line in terminal] == [b"40 120\r\n", b"got this\r\n"]
            assert await terminal.read() == b"" and (await p.wait()).ok
        assert terminal.closed
        async with abox.spawn(["echo", "hi"], terminal=True) as p:
            assert b"".join([event.data async for event in p]) == b"hi\r\n"

    asyncio.run(main())
