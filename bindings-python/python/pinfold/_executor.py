"""Owns: ``SandboxExecutor``: functions run inside, one fresh sandbox and one fresh interpreter per call.

Must not: unpickle what comes from inside.
Start at: ``SandboxExecutor``; its one thread is ``_Dispatcher.loop``.
"""

from __future__ import annotations

import dataclasses
import os
import pickle
import selectors
import socket
import struct
import sys
import threading
import time
import weakref
from collections import deque
from concurrent.futures import BrokenExecutor, Executor, Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ._answer import Refused, decode
from ._encode import to_json
from ._errors import SandboxError
from ._failures import CommandFailed, TimedOut
from ._outcome import timed_out
from ._python import python_mounts, read_only_mounts
from ._sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from typing_extensions import ParamSpec, Unpack

    from ._config import SandboxOptions
    from ._process import Process

    P = ParamSpec("P")

T = TypeVar("T")

_FD = "pinfold-executor"
_HEADER = struct.Struct("!Q")


class RemoteError(Exception):
    """A function raised inside. The exception itself stays there; its words come out."""

    type_name: str
    """The exception's type (``"ValueError"``, ``"json.decoder.JSONDecodeError"``)."""
    message: str
    """What it said."""
    traceback_text: str
    """Where it was raised, as text."""

    def __init__(self, type_name: str, message: str, traceback_text: str = "") -> None:
        super().__init__(type_name, message, traceback_text)
        self.type_name = type_name
        self.message = message
        self.traceback_text = traceback_text

    def __str__(self) -> str:
        said = f"{self.type_name}: {self.message}"
        return f"{said}\n\nInside the sandbox:\n{self.traceback_text}" if self.traceback_text else said


class WorkerDied(CommandFailed, BrokenExecutor):
    """The interpreter inside ended before it had answered; ``outcome`` says why. Other calls are not affected."""


class WorkerTimedOut(TimedOut, WorkerDied):
    """The call took longer than the sandbox's wall time, or more than its CPU time."""


class BrokenSandbox(BrokenExecutor):
    """The sandbox could not be set up. The ``SandboxError`` is the ``__cause__``."""


@dataclasses.dataclass(slots=True)
class _Job:
    future: Future[Any]
    call: bytes


class _Worker:
    """An interpreter in a sandbox of its own."""

    __slots__ = ("answer", "deadline", "job", "process", "rest", "socket", "watched")

    def __init__(self, process: Process, ours: socket.socket) -> None:
        self.process = process
        self.socket = ours
        self.watched = process._native.watch()
        self.job: _Job | None = None
        self.rest = b""
        self.answer = bytearray()
        self.deadline: float | None = None

    def close(self) -> None:
        """Ends it, whatever it does."""
        os.close(self.watched)
        self.socket.close()
        self.process.close()


class _Dispatcher:
    """What the thread has: everything but the executor, which may be collected."""

    def __init__(self, box: Sandbox, argv: list[str], settings: _Settings) -> None:
        self.box = box
        self.argv = argv
        self.settings = settings
        self.lock = threading.Lock()
        self.waiting: deque[_Job] = deque()
        self.stopping = False
        self.woken, self.wake_end = os.pipe()
        os.set_blocking(self.wake_end, False)
        self.selector = selectors.DefaultSelector()
        self.idle: list[_Worker] = []
        self.busy: set[_Worker] = set()

    def wake(self) -> None:
        """Makes the thread look again."""
        try:
            os.write(self.wake_end, b"x")
        except (BlockingIOError, OSError):
            pass  # It is awake, or it has ended.

    def stop(self) -> None:
        """Ends the thread when everything that waits is done."""
        with self.lock:
            self.stopping = True
        self.wake()

    # -- in the thread -----------------------------------------------------------------------------------------------

    def loop(self) -> None:
        """Everything that happens, until it is stopped."""
        self.selector.register(self.woken, selectors.EVENT_READ)
        try:
            while self._turn():
                pass
        finally:
            for worker in [*self.idle, *self.busy]:
                self._forget(worker)
            self.selector.close()
            os.close(self.woken)
            os.close(self.wake_end)

    def _turn(self) -> bool:
        self._assign()
        with self.lock:
            if self.stopping and not self.waiting and not self.busy:
                return False
        for key, _ in self.selector.select(self._patience()):
            if key.fd == self.woken:
                os.read(self.woken, 1 << 12)
            else:
                self._serve(key.data)
        now = time.monotonic()
        for worker in [worker for worker in self.busy if worker.deadline is not None and worker.deadline <= now]:
            worker.deadline = None
            worker.process.kill()
            outcome = worker.process.wait()
            detail = f"killed after {self.settings.timeout:g}s of wall time"
            self._died(worker, outcome._with(ended="wall_time", detail=detail))
        return True

    def _patience(self) -> float | None:
        deadlines = [worker.deadline for worker in self.busy if worker.deadline is not None]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _assign(self) -> None:
        """Gives jobs to interpreters, and keeps some warm."""
        while True:
            with self.lock:
                if len(self.busy) >= self.settings.max_workers or not self.waiting:
                    spare = 0 if self.stopping and not self.waiting else self.settings.warm
                    break
                job = self.waiting.popleft()
            if not job.future.set_running_or_notify_cancel():
                continue
            try:
                worker = self.idle.pop(0) if self.idle else self._start()
            except SandboxError as error:
                broken = BrokenSandbox(str(error))
                broken.__cause__ = error
                job.future.set_exception(broken)
                continue
            worker.job = job
            worker.rest = _framed(self.settings.header) + _framed(job.call)
            if self.settings.timeout is not None:
                worker.deadline = time.monotonic() + self.settings.timeout
            self.busy.add(worker)
            self._send(worker)
        while len(self.idle) < spare:
            try:
                self.idle.append(self._start())
            except SandboxError:
                break  # The next job that needs one tells.
        while len(self.idle) > spare:
            self._forget(self.idle.pop())

    def _start(self) -> _Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = self.box.spawn(self.argv, fds={_FD: theirs})
            except BaseException:
                ours.close()
                raise
        ours.setblocking(False)
        worker = _Worker(process, ours)
        self.selector.register(worker.socket, selectors.EVENT_READ, worker)
        self.selector.register(worker.watched, selectors.EVENT_READ, worker)
        return worker

    def _forget(self, worker: _Worker) -> None:
        self.selector.unregister(worker.socket)
        self.selector.unregister(worker.watched)
        self.busy.discard(worker)
        if worker in self.idle:
            self.idle.remove(worker)
        worker.close()

    def _send(self, worker: _Worker) -> None:
        try:
            while worker.rest:
                worker.rest = worker.rest[worker.socket.send(worker.rest) :]
        except BlockingIOError:
            pass
        except OSError:
            worker.rest = b""  # It has ended: the outcome tells.
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if worker.rest else 0)
        self.selector.modify(worker.socket, events, worker)

    def _serve(self, worker: _Worker) -> None:
        if worker not in self.busy and worker not in self.idle:
            return  # The same turn has ended it already.
        if worker.rest:
            self._send(worker)
        self._receive(worker)
        if worker.job is None and worker not in self.idle:
            return
        outcome = worker.process.poll()
        if outcome is None:
            return
        if worker in self.idle:
            self._forget(worker)
            return
        # What it said last may be in the socket still.
        self._receive(worker)
        if worker in self.busy:
            self._died(worker, outcome)

    def _receive(self, worker: _Worker) -> None:
        if worker not in self.busy:
            return
        try:
            while data := worker.socket.recv(1 << 16):
                worker.answer += data
                if len(worker.answer) >= _HEADER.size:
                    (size,) = _HEADER.unpack_from(worker.answer)
                    if size > self.settings.max_result + (1 << 18):
                        self._finish(worker, error=RemoteError("ValueError", f"the answer has {size} bytes"))
                        return
                    if len(worker.answer) >= _HEADER.size + size:
                        self._answered(worker, bytes(worker.answer[_HEADER.size : _HEADER.size + size]))
                        return
        except (BlockingIOError, ConnectionResetError):
            pass

    def _answered(self, worker: _Worker, answer: bytes) -> None:
        try:
            told = decode(answer, self.settings.form)
            if isinstance(told, dict) and told.keys() == {"value"}:
                self._finish(worker, value=told["value"])
                return
            error = told["error"]
            words = [str(error[key])[: 1 << 16] for key in ("type", "message", "traceback")]
            self._finish(worker, error=RemoteError(*words))
        except (Refused, KeyError, TypeError) as refused:
            self._finish(worker, error=RemoteError("ValueError", f"the answer is refused: {refused}"))

    def _finish(self, worker: _Worker, value: Any = None, error: BaseException | None = None) -> None:
        job, worker.job = worker.job, None
        self._forget(worker)
        if job is not None and error is not None:
            job.future.set_exception(error)
        elif job is not None:
            job.future.set_result(value)

    def _died(self, worker: _Worker, outcome: Any) -> None:
        kind = WorkerTimedOut if timed_out(outcome) else WorkerDied
        self._finish(worker, error=kind(self.argv[:1] + ["(a call)"], outcome))


@dataclasses.dataclass(frozen=True, slots=True)
class _Settings:
    max_workers: int
    warm: int
    timeout: float | None
    max_result: int
    form: str
    header: bytes


def _framed(data: bytes) -> bytes:
    return _HEADER.pack(len(data)) + data


def _seconds(box: Sandbox) -> tuple[Sandbox, float | None]:
    """The sandbox without its wall time, which is to count from the job and not from the warm start; and that time."""
    timeout = box._native.wall_time()
    return (box, None) if timeout is None else (box.replace(limits={"wall_time": None}), timeout)


def _pickled(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """By import path where there is one that works elsewhere; by value otherwise, which takes cloudpickle."""
    module = getattr(function, "__module__", None)
    if module != "__main__":
        try:
            return pickle.dumps((function, args, kwargs))
        except (pickle.PicklingError, AttributeError, TypeError):
            pass
    try:
        import cloudpickle
    except ImportError:
        name = getattr(function, "__qualname__", repr(function))
        raise TypeError(
            f"{name} has no import path that works inside: put it into a module, or pip install 'pinfold[cloudpickle]'"
        ) from None
    dumped: bytes = cloudpickle.dumps((function, args, kwargs))
    return dumped


class SandboxExecutor(Executor):
    """A ``concurrent.futures.Executor`` whose calls run inside, each in a fresh sandbox and a fresh interpreter.

    ::

        with SandboxExecutor(Sandbox(timeout=10), max_workers=4) as executor:
            executor.submit(grade, submission).result()

    Functions go in by import path, or by value with cloudpickle; arguments are pickled. Results come out as JSON (or
    msgpack): text, numbers, lists, dicts. Nothing that comes out is ever unpickled. An exception inside arrives as
    ``RemoteError``; an interpreter that ends without an answer as ``WorkerDied``; a sandbox that can't be set up as
    ``BrokenSandbox``. Both of the last are ``BrokenExecutor``, and other calls go on.

    It has one thread, the dispatcher, started by the first call: the only one that this package starts.

    Args:
        sandbox: the description; default ``Sandbox()``. The running interpreter's prefixes are mounted in addition. Its
            wall time bounds each call, counted from when its job is handed over.
        max_workers: how many calls run side by side. Default: the CPUs this process may use.
        warm: how many interpreters are kept started, each of which has seen no job and is used once.
        paths: directories of modules to take along, mounted read-only at the same places and put on ``sys.path``.
        result: the form of results, ``"json"`` or ``"msgpack"`` (needs msgpack on both sides; takes bytes too).
        max_result: bytes that a result may have. Depth is limited to 64.
        options: laid above the sandbox, as by ``Sandbox.replace``.

    Raises:
        As ``Sandbox``.
    """

    def __init__(
        self,
        sandbox: Sandbox | None = None,
        max_workers: int | None = None,
        *,
        warm: int = 1,
        paths: Iterable[str | os.PathLike[str]] = (),
        result: Literal["json", "msgpack"] = "json",
        max_result: int = 16 << 20,
        **options: Unpack[SandboxOptions],
    ) -> None:
        if max_workers is not None and max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if result not in ("json", "msgpack"):
            raise ValueError(f'result must be "json" or "msgpack", got {result!r}')
        box = Sandbox(**options) if sandbox is None else sandbox.replace(**options)
        box, timeout = _seconds(box)
        directories = [os.path.abspath(os.fspath(path)) for path in paths]
        taken = [*directories, *_packages("cloudpickle", "msgpack")]
        config: Any = box.config
        used = {fd.get("target") for fd in config.get("fds", ())}
        target = next(number for number in range(3, 1024) if number not in used)
        box = box.replace(
            mounts=[*config.get("mounts", ()), *python_mounts(), *read_only_mounts(taken)],
            fds=[*config.get("fds", ()), {"name": _FD, "target": target}],
        )
        source = Path(__file__).with_name("_guest_worker.py").read_text()
        header = {
            "paths": [*directories, *(os.path.dirname(path) for path in _packages("cloudpickle", "msgpack"))],
            "form": result,
            "size": max_result,
        }
        settings = _Settings(
            max_workers or len(os.sched_getaffinity(0)), warm, timeout, max_result, result, to_json(header).encode()
        )
        argv = [os.path.abspath(sys.executable), "-c", source, str(target)]
        self._dispatcher = _Dispatcher(box, argv, settings)
        self._thread: threading.Thread | None = None
        self._stop = weakref.finalize(self, self._dispatcher.stop)
        self._owner = os.getpid()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Calls ``fn`` inside.

        Raises:
            TypeError: it can't be sent.
            RuntimeError: the executor was shut down, or belongs to the process that this one was forked from.
        """
        if os.getpid() != self._owner:
            raise RuntimeError(f"this executor belongs to process {self._owner}")
        future: Future[T] = Future()
        call = _pickled(fn, args, kwargs)
        with self._dispatcher.lock:
            if self._dispatcher.stopping:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._dispatcher.waiting.append(_Job(future, call))
            if self._thread is None:
                self._thread = threading.Thread(target=self._dispatcher.loop, name="pinfold-executor", daemon=True)
                self._thread.start()
        self._dispatcher.wake()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more calls.

        Args:
            wait: whether to return only when every call has ended and every sandbox is gone.
            cancel_futures: whether calls that have not begun are cancelled.
        """
        if cancel_futures:
            with self._dispatcher.lock:
                cancelled = list(self._dispatcher.waiting)
                self._dispatcher.waiting.clear()
            for job in cancelled:
                job.future.cancel()
                job.future.set_running_or_notify_cancel()
        self._dispatcher.stop()
        if self._thread is not None:
            if wait:
                self._thread.join()
        elif self._stop.detach():
            os.close(self._dispatcher.woken)
            os.close(self._dispatcher.wake_end)
            self._dispatcher.selector.close()


def _packages(*names: str) -> list[str]:
    """Where packages are that the inside can use, if they are here."""
    from importlib.util import find_spec

    found = []
    for name in names:
        spec = find_spec(name)
        if spec is not None and spec.origin is not None:
            found.append(os.path.dirname(spec.origin))
    return found
