"""Owns: a payload that runs, as ``subprocess`` users know it: file objects, wait, kill.

Must not: block where a signal could not interrupt.
Start at: ``Process``.
"""

from __future__ import annotations

import errno
import io
import os
import select
from collections import namedtuple

from ._live import Closing, Group, refuse_pickle
from ._outcome import Outcome, Sample, from_native, sample_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import BinaryIO, Literal, NamedTuple, NoReturn, TypeVar

    from ._native import Process as NativeProcess
    from ._terminal import Terminal
    from ._types import Arg

    End = TypeVar("End")


if TYPE_CHECKING:

    class Event(NamedTuple):
        """Something that a payload wrote."""

        stream: Literal["stdout", "stderr"]
        """Where."""
        data: bytes
        """What, as it came: not necessarily a line, never empty."""

else:
    Event = namedtuple("Event", ("stream", "data"))
    Event.__doc__ = "Something that a payload wrote."
    Event.stream.__doc__ = "Where."
    Event.data.__doc__ = "What, as it came: not necessarily a line, never empty."


class Live(Group):
    """What ``Process`` and ``AsyncProcess`` have in common: everything that does not wait."""

    __slots__ = ("__weakref__", "_native", "_outcome", "_stderr", "_stdin", "_stdout", "_terminal", "argv")

    _native: NativeProcess
    argv: tuple[Arg, ...]
    """The program and its arguments."""

    def __init__(self, native: NativeProcess, argv: Sequence[Arg]) -> None:
        self._native = native
        self._outcome: Outcome | None = None
        self.argv = tuple(argv)

    @property
    def pid(self) -> int | None:
        """The payload's pid on the host; ``None`` when it is gone. A pid may be reused: signal by ``signal()``."""
        return None if self._outcome else self._native.pid()

    @property
    def outcome(self) -> Outcome | None:
        """How it ended, if a wait has told."""
        return self._outcome

    @property
    def returncode(self) -> int | None:
        """As ``subprocess`` has it; ``None`` until a wait or poll has told."""
        return self._outcome.returncode if self._outcome else None

    def fileno(self) -> int:
        """The payload's pidfd: readable when the payload has ended. It stays this object's.

        Raises:
            SandboxClosed: the process was closed.
        """
        return self._native.pidfd()

    def resize(self, columns: int, rows: int) -> None:
        """Tells its terminal the new size; the payload's foreground group gets SIGWINCH.

        Raises:
            ConfigError: it has no terminal.
            SandboxClosed: it was closed.
        """
        self._native.resize(columns, rows)

    def poll(self) -> Outcome | None:
        """The outcome if the payload has ended. Never blocks.

        Raises:
            SandboxClosed: it was closed before its end was known.
            SandboxLost: init died, so that the payload's fate is unknown.
        """
        if self._outcome is None:
            told = self._native.drain()
            if told is not None:
                self._outcome = from_native(told)
        return self._outcome

    def signal(self, number: int) -> None:
        """Sends a signal to the payload, not to its descendants. One that has ended already is no error.

        Raises:
            SetupError: the kernel refuses the number or the right to send it.
        """
        if self._outcome is None:
            self._native.signal(number)

    def kill(self) -> None:
        """Kills the whole sandbox; the outcome says ``killed``. Returns at once: ``wait()`` waits for the end."""
        if self._outcome is None:
            self._native.kill()

    def cancel(self) -> None:
        """Kills the whole sandbox; the outcome says ``cancelled``. Returns at once."""
        if self._outcome is None:
            self._native.cancel()

    def __reduce__(self) -> NoReturn:
        refuse_pickle(type(self).__name__, "pickle its outcome")

    def __repr__(self) -> str:
        state = self._outcome.detail if self._outcome else "running"
        return f"<{type(self).__name__} {list(self.argv)!r}: {state}>"


def pause(interval: float) -> float:
    """How long to wait between two samples, checked."""
    if 0 < interval < float("inf"):
        return max(interval, 0.001)
    raise ValueError(f"interval must be more than 0 seconds and finite, got {interval!r}")


def _read(number: int) -> bytes:
    try:
        return os.read(number, 1 << 16)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return b""  # Nobody has the other end of a terminal any more.


def taken(number: int | None, make: Callable[[int], End]) -> End | None:
    """Our end of a stream, if there is one to take."""
    return None if number is None else make(number)


def _written(number: int) -> BinaryIO:
    return os.fdopen(number, "wb")


def _read_from(number: int) -> BinaryIO:
    # What a terminal prints is standard output, and ends as a pipe does.
    if os.isatty(number):
        from ._terminal import Terminal

        return io.BufferedReader(Terminal(number))
    return os.fdopen(number, "rb")


def _typed_at(number: int) -> Terminal:
    from ._terminal import Terminal

    return Terminal(number, "r+")


class Process(Live, Closing):
    """A payload that was started. Leaving its ``with`` block, ``close()`` and garbage collection kill the whole tree.

    Iterating gives what it writes as ``Event`` objects, tagged with their stream, until both streams end.
    """

    __slots__ = ()

    def __init__(self, native: NativeProcess, argv: Sequence[Arg]) -> None:
        super().__init__(native, argv)
        self._stdin: BinaryIO | None = None
        self._stdout: BinaryIO | None = None
        self._stderr: BinaryIO | None = None
        self._terminal: Terminal | None = None

    @property
    def stdin(self) -> BinaryIO | None:
        """The writing end of a piped standard input, buffered. Close it to let the payload see the end."""
        if self._stdin is None and self._outcome is None:
            self._stdin = taken(self._native.take_stdin(), _written)
        return self._stdin

    @property
    def stdout(self) -> BinaryIO | None:
        """The reading end of a piped standard output. Who takes it reads it: it is then not in the outcome."""
        if self._stdout is None and self._outcome is None:
            self._stdout = taken(self._native.take_stdout(), _read_from)
        return self._stdout

    @property
    def stderr(self) -> BinaryIO | None:
        """The reading end of a piped standard error, as ``stdout``."""
        if self._stderr is None and self._outcome is None:
            self._stderr = taken(self._native.take_stderr(), _read_from)
        return self._stderr

    @property
    def terminal(self) -> Terminal | None:
        """Our end of its terminal, if it has one. Who takes it reads it: what is printed is then not in the outcome."""
        if self._terminal is None and self._outcome is None:
            self._terminal = taken(self._native.take_terminal(), _typed_at)
        return self._terminal

    def wait(self, timeout: float | None = None) -> Outcome:
        """Waits for the end. Pipes that nobody took are drained into the outcome, bounded by ``limits.output``.

        Ctrl-C, or any other signal handler that raises, kills the whole tree first.

        Args:
            timeout: seconds. This does not kill: the ``timeout`` of the call does.

        Raises:
            WaitTimeout: the payload runs on.
            SandboxClosed: it was closed before its end was known.
            SandboxLost: init died, so that the payload's fate is unknown.
        """
        if self._outcome is None:
            told = self._native.wait(timeout)
            if told is None:
                from ._failures import WaitTimeout

                raise WaitTimeout(list(self.argv), timeout or 0.0)
            self._outcome = from_native(told)
        return self._outcome

    def samples(self, interval: float = 1.0) -> Iterator[Sample]:
        """What the payload and its descendants use: now, then at each interval until it has ended. There is no thread behind it.

        Leaving the loop early does nothing to the payload; Ctrl-C while it waits kills the whole tree, as in ``wait()``.

        Args:
            interval: seconds, at least 0.001.

        Raises:
            ValueError: the interval is not more than 0, or not finite.
            UnsupportedError: the payload is in no group of its own, so that this can't be told.
            SandboxClosed: it was closed.
        """
        return self._samples(pause(interval), self._native.sample(0.0))

    def _samples(self, interval: float, told: str | None) -> Iterator[Sample]:
        try:
            while told is not None:
                yield sample_from(told)
                told = self._native.sample(interval)
        except KeyboardInterrupt:
            self.cancel()
            raise

    def close(self) -> None:
        """Kills the tree if it lives, waits until it is gone, and closes the pipes. More than once does nothing."""
        self._native.close()
        for stream in (self._stdin, self._stdout, self._stderr, self._terminal):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass  # What was still buffered has no reader any more.

    def __iter__(self) -> Iterator[Event]:
        waiting = select.poll()
        streams: dict[int, tuple[Literal["stdout", "stderr"], BinaryIO]] = {}
        for name, stream in (("stdout", self.stdout), ("stderr", self.stderr)):
            if stream is not None and not stream.closed:
                streams[stream.fileno()] = (name, stream)  # type: ignore[assignment]
                waiting.register(stream, select.POLLIN)
        try:
            while streams:
                for number, _ in waiting.poll():
                    name, _stream = streams[number]
                    data = _read(number)
                    if data:
                        yield Event(name, data)
                    else:
                        waiting.unregister(number)
                        del streams[number]
        except KeyboardInterrupt:
            self.cancel()
            raise
