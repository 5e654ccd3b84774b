"""Owns: the same verbs for asyncio: one watched fd per payload, no threads.

Must not: block the loop, but for the start of a payload and the end of one that is killed.
Start at: ``AsyncSandbox``.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from ._aio import AsyncReader, AsyncTerminal, AsyncWriter
from ._call import describe
from ._failures import WaitTimeout
from ._live import AsyncClosing
from ._outcome import from_native, sample_from
from ._process import Event, Live, pause, taken
from ._sandbox import Sandbox
from ._session import SessionBase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Sequence

    from typing_extensions import Self, Unpack

    from ._call import Call
    from ._config import SandboxConfig, SandboxOptions
    from ._kept import KeptRoot
    from ._native import Process as NativeProcess
    from ._outcome import Outcome, Report, Sample
    from ._types import Arg, SpawnOptions


class AsyncProcess(Live, AsyncClosing):
    """A payload that was started, for asyncio. Leaving its ``async with`` block, cancelling a task that waits for it,
    ``close()`` and garbage collection kill the whole tree.

    Iterating gives what it writes as ``Event`` objects, tagged with their stream, until both streams end.
    """

    __slots__ = ("_ended", "_waiting", "_watched")

    def __init__(self, native: NativeProcess, argv: Sequence[Arg]) -> None:
        super().__init__(native, argv)
        self._stdin: AsyncWriter | None = None
        self._stdout: AsyncReader | None = None
        self._stderr: AsyncReader | None = None
        self._terminal: AsyncTerminal | None = None
        self._ended: asyncio.Future[Outcome] | None = None
        self._watched: tuple[asyncio.AbstractEventLoop, int] | None = None
        self._waiting = 0

    def __await__(self) -> Generator[Any, None, Self]:
        """It has started already: ``await box.spawn(..)`` gives the process itself."""
        return self
        yield

    @property
    def _may_take(self) -> bool:
        return self._outcome is None and self._ended is None

    @property
    def stdin(self) -> AsyncWriter | None:
        """The writing end of a piped standard input. Close it to let the payload see the end."""
        if self._stdin is None and self._may_take:
            self._stdin = taken(self._native.take_stdin(), AsyncWriter)
        return self._stdin

    @property
    def stdout(self) -> AsyncReader | None:
        """The reading end of a piped standard output. Who takes it reads it: it is then not in the outcome."""
        if self._stdout is None and self._may_take:
            self._stdout = taken(self._native.take_stdout(), AsyncReader)
        return self._stdout

    @property
    def stderr(self) -> AsyncReader | None:
        """The reading end of a piped standard error, as ``stdout``."""
        if self._stderr is None and self._may_take:
            self._stderr = taken(self._native.take_stderr(), AsyncReader)
        return self._stderr

    @property
    def terminal(self) -> AsyncTerminal | None:
        """Our end of its terminal, if it has one. Who takes it reads it: what is printed is then not in the outcome."""
        if self._terminal is None and self._may_take:
            self._terminal = taken(self._native.take_terminal(), AsyncTerminal)
        return self._terminal

    def _watch(self) -> asyncio.Future[Outcome]:
        """The outcome to come. Untaken pipes are drained into it, an untaken standard input is closed."""
        loop = asyncio.get_running_loop()
        if self._ended is None or self._ended.get_loop() is not loop:
            self._unwatch()
            number = self._native.take_stdin()
            if number is not None:
                os.close(number)
            self._ended = loop.create_future()
            watched = self._native.watch()
            self._watched = (loop, watched)
            loop.add_reader(watched, self._drain, self._ended)
        return self._ended

    def _drain(self, ended: asyncio.Future[Outcome]) -> None:
        try:
            told = self._native.drain()
        except Exception as error:
            self._unwatch()
            if not ended.done():
                ended.set_exception(error)
            return
        if told is not None:
            self._unwatch()
            self._outcome = from_native(told)
            if not ended.done():
                ended.set_result(self._outcome)

    def _unwatch(self) -> None:
        if self._watched is not None:
            loop, watched = self._watched
            self._watched = None
            if not loop.is_closed():
                loop.remove_reader(watched)
            os.close(watched)

    async def wait(self, timeout: float | None = None) -> Outcome:
        """Waits for the end. Pipes that nobody took are drained into the outcome, bounded by ``limits.output``.

        Cancelling the wait kills the whole tree.

        Args:
            timeout: seconds. This does not kill: the ``timeout`` of the call does.

        Raises:
            WaitTimeout: the payload runs on.
            SandboxClosed: it was closed before its end was known.
            SandboxLost: init died, so that the payload's fate is unknown.
        """
        if self._outcome is not None:
            return self._outcome
        ended = self._watch()
        self._waiting += 1
        try:
            done, _ = await asyncio.wait([ended], timeout=timeout)
        except asyncio.CancelledError:
            self.cancel()
            raise
        finally:
            self._waiting -= 1
            # The loop must not keep alive what nobody waits for.
            if not self._waiting and not ended.done():
                self._unwatch()
                self._ended = None
        if not done:
            raise WaitTimeout(list(self.argv), timeout or 0.0)
        return ended.result()

    def samples(self, interval: float = 1.0) -> AsyncIterator[Sample]:
        """As ``Process.samples``. Cancelling the task that waits for the next one kills the whole tree.

        Raises:
            As ``Process.samples``.
        """
        return self._samples(pause(interval), self._native.sample(0.0))

    async def _samples(self, interval: float, told: str | None) -> AsyncIterator[Sample]:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        watched = os.dup(self._native.pidfd())

        def on_end() -> None:
            loop.remove_reader(watched)
            if not ended.done():
                ended.set_result(None)

        loop.add_reader(watched, on_end)
        try:
            while told is not None:
                yield sample_from(told)
                await asyncio.wait([ended], timeout=interval)
                told = self._native.sample(0.0)
        except asyncio.CancelledError:
            self.cancel()
            raise
        finally:
            loop.remove_reader(watched)
            os.close(watched)

    async def close(self) -> None:
        """Kills the tree if it lives, waits until it is gone, and closes the pipes. More than once does nothing."""
        self._close()

    def _close(self) -> None:
        self._unwatch()
        self._native.close()
        for stream in (self._stdin, self._stdout, self._stderr, self._terminal):
            if stream is not None:
                stream.abort()
        if self._ended is not None and not self._ended.done():
            self._ended.cancel()

    def __del__(self) -> None:
        self._unwatch()

    async def __aiter__(self) -> AsyncIterator[Event]:
        queue: asyncio.Queue[Event | None] = asyncio.Queue(maxsize=16)

        async def pump(stream: Any, name: Any) -> None:
            try:
                while data := await stream.read(1 << 16):
                    await queue.put(Event(name, data))
            finally:
                await queue.put(None)

        open_streams = [(name, s) for name, s in (("stdout", self.stdout), ("stderr", self.stderr)) if s is not None]
        tasks = [asyncio.ensure_future(pump(stream, name)) for name, stream in open_streams]
        left = len(tasks)
        try:
            while left:
                event = await queue.get()
                if event is None:
                    left -= 1
                else:
                    yield event
        except asyncio.CancelledError:
            self.cancel()
            raise
        finally:
            for task in tasks:
                task.cancel()


async def _to_the_end(process: AsyncProcess) -> Outcome:
    try:
        return await process.wait()
    except BaseException:
        process._close()
        raise


class AsyncRunner:
    """Something that payloads run in."""

    __slots__ = ()

    def _start(self, call: Call) -> NativeProcess:
        raise NotImplementedError

    async def run(self, argv: Sequence[Arg], *, check: bool = False, **options: Unpack[SpawnOptions]) -> Outcome:
        """Runs a payload to its end, as ``Sandbox.run``. Cancelling it kills the whole tree before it returns.

        Raises:
            SandboxError: nothing ran; its classes say why.
            CommandFailed: ``check`` and the payload did not exit with 0; ``TimedOut`` if its wall or CPU time ended it.
        """
        outcome = await _to_the_end(self.spawn(argv, **options))
        return outcome.check(argv) if check else outcome

    def spawn(self, argv: Sequence[Arg], **options: Unpack[SpawnOptions]) -> AsyncProcess:
        """Starts a payload and returns when its program was executed. It may be awaited, and need not be.

        Raises:
            SandboxError: nothing ran; its classes say why.
        """
        return AsyncProcess(self._start(describe(argv, **options)), argv)


class AsyncSession(SessionBase, AsyncRunner, AsyncClosing):
    """One live sandbox, for asyncio, as ``Session``. Made by ``AsyncSandbox.open()``.

    Leaving its ``async with`` block, ``close()`` and garbage collection kill everything inside.
    """

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, Self]:
        """It is open already: ``await box.open()`` gives the session itself."""
        return self
        yield

    async def kill_all(self) -> None:
        """As ``Session.kill_all``.

        Raises:
            As ``Session.kill_all``.
        """
        self._native.kill_all()

    async def close(self) -> None:
        """Kills everything inside and waits until it is gone, at most a second. More than once does nothing."""
        self._native.close()


class AsyncSandbox(AsyncRunner):
    """A ``Sandbox`` whose payloads are waited for with asyncio: the same verbs with the same signatures.

    ::

        box = AsyncSandbox(timeout=5)
        outcome = await box.run(["make"])

    Args:
        sandbox: a ``Sandbox``, or a config as for ``Sandbox``.
        options: laid above it.

    Raises:
        As ``Sandbox``.
    """

    __slots__ = ("sandbox",)

    sandbox: Sandbox
    """The description itself."""

    def __init__(
        self, sandbox: Sandbox | SandboxConfig | None = None, /, **options: Unpack[SandboxOptions]
    ) -> None:
        if isinstance(sandbox, Sandbox):
            self.sandbox = sandbox.replace(**options) if options else sandbox
        else:
            self.sandbox = Sandbox(sandbox, **options)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Self:
        """As ``Sandbox.from_file``.

        Raises:
            As ``Sandbox.from_file``.
        """
        return cls(Sandbox.from_file(path))

    def replace(self, **options: Unpack[SandboxOptions]) -> Self:
        """As ``Sandbox.replace``.

        Raises:
            As ``Sandbox``.
        """
        return type(self)(self.sandbox.replace(**options))

    @property
    def config(self) -> SandboxConfig:
        """The config it was made from, as plain data."""
        return self.sandbox.config

    @property
    def report(self) -> Report:
        """What will be enforced, and what was weakened and why."""
        return self.sandbox.report

    def explain(self, argv: Sequence[Arg], **options: Unpack[SpawnOptions]) -> str:
        """As ``Sandbox.explain``.

        Raises:
            ConfigError: the call can't mean anything.
        """
        return self.sandbox.explain(argv, **options)

    async def run_kept(
        self, argv: Sequence[Arg], *, check: bool = False, **options: Unpack[SpawnOptions]
    ) -> tuple[Outcome, KeptRoot]:
        """As ``Sandbox.run_kept``. Cancelling it kills the whole tree before it returns.

        Raises:
            As ``Sandbox.run_kept``.
        """
        from ._kept import kept_of

        process = AsyncProcess(self._start(describe(argv, keep_root=True, **options)), argv)
        outcome = await _to_the_end(process)
        if check:
            outcome.check(argv)
        return outcome, kept_of(process._native)

    def open(self) -> AsyncSession:
        """Opens a session, as ``Sandbox.open``. It may be awaited, and need not be.

        Raises:
            SandboxError: it could not be set up; its classes say why.
        """
        return AsyncSession(self.sandbox)

    def _start(self, call: Call) -> NativeProcess:
        return self.sandbox._start(call)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AsyncSandbox):
            return NotImplemented
        return self.sandbox == other.sandbox

    def __hash__(self) -> int:
        return hash((AsyncSandbox, self.sandbox))

    def __reduce__(self) -> tuple[Callable[..., AsyncSandbox], tuple[Any, ...]]:
        return type(self), (self.sandbox,)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.sandbox!r})"
