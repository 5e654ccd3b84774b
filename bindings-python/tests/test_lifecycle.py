"""What must hold whatever the host process does: signals, forks, exits, other people's waits."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from pinfold import SandboxClosed


def script(text, *args):
    """Runs a host program of its own."""
    command = [sys.executable, "-c", textwrap.dedent(text), *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def alive(marker):
    """Whether a process with this argument sleeps."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                command = file.read().split(b"\0")
        except OSError:
            continue
        if command[:2] == [b"sleep", marker.encode()]:
            return True
    return False


def dies(marker):
    """Waits until no process with this argument sleeps."""
    deadline = time.monotonic() + 20
    while alive(marker) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not alive(marker)


WAITS = {
    "run": "box.run(['sleep', mark])",
    "wait": "box.spawn(['sleep', mark]).wait()",
    "module": "pinfold.run(['sleep', mark])",
    "events": "list(box.spawn(['sleep', mark]))",
    # The kernel gives the signal to a thread that does not wait.
    "another thread": "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}); box.run(['sleep', mark])",
    "async": "asyncio.run(pinfold.AsyncSandbox(box).run(['sleep', mark]))",
}


@pytest.mark.parametrize("how", WAITS)
def test_ctrl_c_kills_the_tree(how):
    mark = f"{os.getpid()}.{[*WAITS].index(how)}1"
    program = f"""
        import asyncio, signal, sys, threading, time, pinfold
        # Whoever runs these tests in the background may have it ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        mark = sys.argv[1]
        box = pinfold.Sandbox()
        box.run(["true"])
        print("ready", flush=True)
        try:
            {WAITS[how]}
        except KeyboardInterrupt:
            print(time.monotonic(), flush=True)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), mark]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout.readline() == "ready\n"
        deadline = time.monotonic() + 60
        while not alive(mark) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
        sent = time.monotonic()
        host.send_signal(signal.SIGINT)
        raised = float(host.stdout.readline())
        assert host.wait(60) == 0
    assert raised - sent < 5
    assert dies(mark)


def test_a_handler_that_does_not_raise_does_not_end_the_wait(box):
    seen = []
    before = signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    try:
        assert box.run(["sleep", "0.5"]).ok
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(seen) >= 3


ENDS = ["pass", "sys.exit(3)", "os._exit(3)", "os.kill(os.getpid(), 9)", "1 / 0"]


@pytest.mark.parametrize("how", ENDS)
def test_the_tree_dies_with_the_host(how):
    mark = f"{os.getpid()}.{ENDS.index(how)}2"
    script(
        f"""
        import os, sys, pinfold
        process = pinfold.Sandbox().spawn(["sh", "-c", "setsid sleep $0 & sleep $0", sys.argv[1]])
        {how}
        """,
        mark,
    )
    assert dies(mark)


def test_a_forked_child_leaves_its_parents_payload_alone(box):
    with box.spawn(["sh", "-c", "read x; exit 4"], stdin="pipe") as process:
        stdin = process.stdin
        child = os.fork()
        if child == 0:
            code = 1
            try:
                process.wait()
            except SandboxClosed as error:
                code = 0 if "process" in str(error) else 2
            try:
                process.close()
                del process
                code |= 0 if box.run(["true"]).ok else 8
            except BaseException:
                code |= 16
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        stdin.close()
        assert process.wait().exit_code == 4


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_after_multiprocessing(method, tmp_path):
    # The other methods import the main module again: it has to be a file.
    program = tmp_path / "host.py"
    program.write_text(
        textwrap.dedent(f"""
        import multiprocessing, pinfold
        box = pinfold.Sandbox(timeout=60)
        box.run(["true"])
        def work(code):
            return box.run(["sh", "-c", f"exit {{code}}"]).exit_code
        if __name__ == "__main__":
            with multiprocessing.get_context("{method}").Pool(2) as pool:
                print(pool.map(work, range(4)))
                outcomes = pool.map(box.run, [["sh", "-c", f"exit {{code}}"] for code in range(4)])
                print([outcome.exit_code for outcome in outcomes])
        """)
    )
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=120)
    assert done.stdout == "[0, 1, 2, 3]\n[0, 1, 2, 3]\n", done.stderr


@pytest.mark.parametrize(
    "before",
    ["signal.signal(signal.SIGCHLD, signal.SIG_IGN)", "threading.Thread(target=steal, daemon=True).start()"],
)
def test_others_may_reap(before):
    done = script(f"""
    import os, signal, threading, time, pinfold
    def steal():
        while True:
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                time.sleep(0.001)
    {before}
    box = pinfold.Sandbox(timeout=60)
    print([box.run(["sh", "-c", f"exit {{code}}"]).exit_code for code in range(20)])
    """)
    assert done.stdout == f"{list(range(20))}\n", done.stderr


def test_nothing_of_the_process_changes():
    done = script("""
    import os, signal, pinfold
    def state():
        handlers = [signal.getsignal(number) for number in signal.valid_signals()]
        with open("/proc/self/status") as file:
            masks = [line for line in file if line.startswith(("Sig", "Umask", "NoNewPrivs", "Seccomp:", "Cap"))]
        masks = [line for line in masks if not line.startswith("SigQ")]
        return len(os.listdir("/proc/self/task")), handlers, masks, os.getcwd(), dict(os.environ)
    before = state()
    box = pinfold.Sandbox(timeout=60)
    box.run(["true"])
    with box.spawn(["cat"], stdin="pipe"):
        during = state()
    assert before == during == state(), (before, during)
    print("same")
    """)
    assert done.stdout == "same\n", done.stderr


def test_nothing_of_the_host_is_inherited(box):
    read, write = os.pipe()
    try:
        os.set_inheritable(write, True)
        # The fourth is the directory itself.
        assert box.run(["ls", "/proc/self/fd"]).text.split() == ["0", "1", "2", "3"]
        assert select.select([read], [], [], 0)[0] == []
    finally:
        os.close(read)
        os.close(write)


def test_without_standard_streams():
    done = script("""
    import os, pinfold
    saved = os.dup(1)
    for number in (0, 1, 2):
        os.close(number)
    r = pinfold.run(["sh", "-c", "echo out; echo err >&2; cat"], timeout=60)
    os.write(saved, repr((r.stdout, r.stderr, r.ok)).encode())
    """)
    assert done.stdout == r"(b'out\n', b'err\n', True)"
