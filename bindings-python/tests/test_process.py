"""Payloads that one talks to."""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
import time

import pinfold
import pytest
from pinfold import Event, Sandbox


def test_a_conversation(box):
    with box.spawn(["cat"], stdin="pipe") as process:
        process.stdin.write(b"x\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"x\n"
        process.stdin.close()
        outcome = process.wait(timeout=60)
    assert outcome.ok and outcome.stdout is None and outcome.stderr == b""


def test_wait_drains_what_nobody_took(box):
    with box.spawn(["sh", "-c", "head -c 300000 /dev/zero; head -c 200000 /dev/zero >&2"]) as process:
        outcome = process.wait()
    assert (len(outcome.stdout), len(outcome.stderr)) == (300_000, 200_000)
    assert process.wait() is outcome and process.poll() is outcome and process.returncode == 0


def test_an_untaken_input_ends(box):
    with box.spawn(["cat"], stdin="pipe") as process:
        assert process.wait().ok


def test_events_are_tagged(box):
    with box.spawn(["sh", "-c", "echo a; sleep 0.1; echo b >&2"]) as process:
        assert list(process) == [Event("stdout", b"a\n"), Event("stderr", b"b\n")]
        assert process.wait().ok


def test_wait_with_a_timeout_does_not_kill(box):
    with box.spawn(["sh", "-c", "read x; exit 5"], stdin="pipe") as process:
        stdin = process.stdin
        with pytest.raises(pinfold.WaitTimeout):
            process.wait(timeout=0.05)
        with pytest.raises(TimeoutError):
            process.wait(timeout=0)
        assert process.poll() is None and process.returncode is None and process.outcome is None
        stdin.close()
        assert process.wait().exit_code == 5


def test_signals_and_kill(box):
    with box.spawn(["sh", "-c", "trap 'echo got; exit 7' USR1; echo ready; while :; do sleep 0.01; done"]) as process:
        assert process.stdout.readline() == b"ready\n"
        process.signal(signal.SIGUSR1)
        assert process.stdout.readline() == b"got\n"
        assert process.wait().exit_code == 7
        process.signal(signal.SIGUSR1)
    with box.spawn(["sleep", "1000"]) as process:
        os.kill(process.pid, 0)
        process.kill()
        assert process.wait().ended == "killed"
        assert process.pid is None
    with box.spawn(["sleep", "1000"]) as process:
        process.cancel()
        assert process.wait().ended == "cancelled"


def test_the_pidfd_tells_of_the_end(box):
    with box.spawn(["sh", "-c", "read x"], stdin="pipe") as process:
        stdin = process.stdin
        assert select.select([process], [], [], 0)[0] == []
        stdin.close()
        assert select.select([process], [], [], 60)[0] == [process]


def test_close_kills_and_is_final(box):
    process = box.spawn(["sleep", "1000"])
    process.close()
    process.close()
    with pytest.raises(pinfold.SandboxClosed):
        process.wait()
    with pytest.raises(pinfold.SandboxClosed):
        process.kill()


def test_close_ends_the_wait_of_another_thread(box):
    process = box.spawn(["sleep", "1000"])
    found = []
    thread = threading.Thread(target=lambda: found.append(process.wait()))
    thread.start()
    time.sleep(0.1)
    process.close()
    thread.join(60)
    assert found[0].ended == "cancelled"


def test_one_waits_while_another_kills(box):
    with box.spawn(["sleep", "1000"]) as process:
        threading.Timer(0.1, process.kill).start()
        assert process.wait().ended == "killed"


def test_a_socket_under_a_declared_number():
    box = Sandbox(fds=[{"name": "talk", "target": 5}])
    ours, theirs = socket.socketpair()
    with ours, theirs, box.spawn(["sh", "-c", "head -n 1 <&5 >&5"], fds={"talk": theirs}) as process:
        theirs.close()
        ours.sendall(b"hello\n")
        assert ours.recv(100) == b"hello\n"
        assert process.wait().ok


def test_a_forgotten_process_dies(box):
    process = box.spawn(["sleep", "1000"])
    pidfd = os.dup(process.fileno())
    try:
        del process
        assert select.select([pidfd], [], [], 60)[0]
    finally:
        os.close(pidfd)


def test_many_threads(box):
    codes = []

    def work(first):
        for code in range(first, first + 5):
            codes.append(box.run(["sh", "-c", f"exit {code}"]).exit_code)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(0, 40, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == list(range(40))
