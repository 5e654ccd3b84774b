"""Functions inside, as concurrent.futures has them."""

from __future__ import annotations

import concurrent.futures
import os
import pickle
import threading
from concurrent.futures import BrokenExecutor
from pathlib import Path

import jobs
import pinfold
import pytest
from pinfold import RemoteError, SandboxExecutor, _answer

HERE = Path(__file__).parent


@pytest.fixture
def executor(box):
    with SandboxExecutor(box, max_workers=2, paths=[HERE]) as executor:
        yield executor


def test_it_is_an_executor(executor):
    assert isinstance(executor, concurrent.futures.Executor)
    future = executor.submit(jobs.double, 21)
    assert future.result(timeout=60) == 42 and future.done()
    assert list(executor.map(jobs.double, range(6))) == [0, 2, 4, 6, 8, 10]
    done, _ = concurrent.futures.wait([executor.submit(jobs.double, number) for number in range(3)], timeout=60)
    assert sorted(future.result() for future in done) == [0, 2, 4]


def test_each_call_has_a_fresh_sandbox_and_interpreter(executor):
    assert [future.result() for future in [executor.submit(jobs.who) for _ in range(4)]] == [[0, 1, 1000]] * 4


def test_exceptions_arrive_in_words(executor):
    with pytest.raises(RemoteError) as caught:
        executor.submit(jobs.fail, "nowhere").result(timeout=60)
    error = caught.value
    assert (error.type_name, error.message) == ("LookupError", "nowhere")
    assert "raise LookupError(message)" in error.traceback_text and "jobs.py" in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.args) == (RemoteError, error.args)
    with pytest.raises(RemoteError, match="no pickle please") as caught:
        executor.submit(jobs.odd).result(timeout=60)
    assert caught.value.type_name == "jobs.Odd" and not os.path.exists("/tmp/owned")


def test_results_are_plain_data_of_bounded_size_and_depth(box):
    with SandboxExecutor(box, max_workers=1, paths=[HERE], max_result=1000) as executor:
        assert executor.submit(jobs.echo, {"a": [1, 2.5, None, "ü"]}).result() == {"a": [1, 2.5, None, "ü"]}
        with pytest.raises(RemoteError, match="1000 may be"):
            executor.submit(jobs.echo, "x" * 1000).result()
        with pytest.raises(RemoteError, match="not JSON serializable"):
            executor.submit(jobs.unspeakable).result()
        with pytest.raises(RemoteError, match="levels deep"):
            executor.submit(jobs.deep, 100).result()
        with pytest.raises(RemoteError, match="the answer has"):
            executor.submit(jobs.forge).result()
        assert executor.submit(jobs.double, 1).result() == 2


def test_msgpack(box):
    pytest.importorskip("msgpack")
    with SandboxExecutor(box, max_workers=1, paths=[HERE], result="msgpack") as executor:
        assert executor.submit(jobs.echo, [b"\xff", "ü", 1]).result() == [b"\xff", "ü", 1]
        with pytest.raises(RemoteError, match="levels deep"):
            executor.submit(jobs.deep, 100).result()


def test_large_arguments(executor):
    assert executor.submit(len, b"x" * 3_000_000).result(timeout=60) == 3_000_000


def test_an_interpreter_that_ends_is_a_broken_executor_for_that_call(executor):
    with pytest.raises(BrokenExecutor) as caught:
        executor.submit(jobs.leave, 3).result(timeout=60)
    assert type(caught.value) is pinfold.WorkerDied
    assert caught.value.outcome.exit_code == 3
    assert executor.submit(jobs.double, 1).result(timeout=60) == 2


def test_wall_time_counts_from_the_job(box):
    with SandboxExecutor(box, max_workers=1, paths=[HERE], timeout=1.5) as executor:
        assert executor.submit(jobs.sleep, 0).result() == 0
        threading.Event().wait(2)
        assert executor.submit(jobs.sleep, 0).result() == 0
        with pytest.raises(TimeoutError) as caught:
            executor.submit(jobs.sleep, 1000).result(timeout=60)
        assert type(caught.value) is pinfold.WorkerTimedOut and caught.value.outcome.ended == "wall_time"


def test_cpu_time_ends_a_call_too():
    options = dict(timeout=60, cpu_time=2, compat={"prefer": ["limits.cpu_time"]})
    with SandboxExecutor(max_workers=1, paths=[HERE], **options) as executor:
        with pytest.raises(pinfold.WorkerTimedOut) as caught:
            executor.submit(jobs.spin).result(timeout=60)
        assert caught.value.outcome.ended == "cpu_time"


def test_a_sandbox_that_can_not_start_is_broken():
    with SandboxExecutor(cwd="/no/such/directory") as executor:
        with pytest.raises(BrokenExecutor) as caught:
            executor.submit(abs, -1).result(timeout=60)
        assert isinstance(caught.value.__cause__, pinfold.SetupError)


def test_by_value(executor):
    pytest.importorskip("cloudpickle")
    base = 40
    assert executor.submit(lambda number: base + number, 2).result(timeout=60) == 42


def test_without_cloudpickle(executor, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cloudpickle", None)
    with pytest.raises(TypeError, match="no import path"):
        executor.submit(lambda: 1)


def test_shutdown(box):
    executor = SandboxExecutor(box, max_workers=1, paths=[HERE])
    running = executor.submit(jobs.sleep, 0.3)
    waiting = [executor.submit(jobs.double, number) for number in range(3)]
    while not running.running():
        pass
    assert waiting[0].cancel()
    executor.shutdown(cancel_futures=True)
    assert running.result() == 0.3 and all(future.cancelled() for future in waiting)
    with pytest.raises(RuntimeError):
        executor.submit(jobs.double, 1)
    executor.shutdown()
    SandboxExecutor(box).shutdown()


def test_a_forgotten_executor_ends_its_thread(box):
    executor = SandboxExecutor(box, max_workers=1, paths=[HERE])
    assert executor.submit(jobs.double, 1).result(timeout=60) == 2
    thread = executor._thread
    del executor
    thread.join(60)
    assert not thread.is_alive()


def test_bad_arguments(box):
    for bad in (dict(max_workers=0), dict(result="pickle")):
        with pytest.raises(ValueError):
            SandboxExecutor(box, **bad)


@pytest.mark.parametrize("form", ["json", "msgpack"])
def test_hostile_answers_are_refused(form):
    if form == "msgpack":
        pytest.importorskip("msgpack")
    for data in (b"", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 70 + b"1" + b"}" * 70, b"\x91" * 100_000, b"\xc7\x01\x05x"):
        with pytest.raises(_answer.Refused):
            _answer.decode(data, form)
