"""Owns: a payload that runs, as ``subprocess`` users know it: file objects, wait, kill.

Must not: block where a signal could not interrupt.
Start at: ``Process``.
"""

from __future__ import annotations

import errno
import io
import json
import os
import select
from collections import namedtuple

from ._encode import to_json
from ._outcome import Outcome, Usage, from_native, usage_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType
    from typing import Any, BinaryIO, Literal, NamedTuple, NoReturn

    from typing_extensions import Self

    from ._native import Process as NativeProcess
    from ._terminal import Terminal
    from ._types import Arg


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


def refuse_pickle(what: str, instead: str) -> NoReturn:
    """A live object can't travel."""
    raise TypeError(f"a {what} is live and can't be pickled or copied; {instead}")


class Live:
    """What ``Process`` and ``AsyncProcess`` have in common: everything that does not wait."""

    __slots__ = ("__weakref__", "_native", "_outcome", "_stderr", "_stdin", "_stdout", "_terminal", "argv")

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

    def usage(self) -> Usage:
        """What the payload has used until now.

        Raises:
            SandboxClosed: it was closed.
            UnsupportedError: this can't be told without a group, which any limit that needs one makes.
        """
        return usage_from(json.loads(self._native.usage()))

    def freeze(self) -> None:
        """Stops every process until ``thaw()``. Deadlines run on; killing and closing work.

        Raises:
            SandboxClosed: it was closed.
            UnsupportedError: the sandbox is in no group.
            SetupError: a process did not stop within five seconds.
        """
        self._native.freeze()

    def thaw(self) -> None:
        """Lets every process go on. One that is not frozen is no error.

        Raises:
            SandboxClosed: it was closed.
            UnsupportedError: the sandbox is in no group.
        """
        self._native.thaw()

    def update(self, **limits: Any) -> None:
        """Changes limits; what is not given stays as it is: ``update(memory="64M", pids=32)``.

        Args:
            limits: shorthands and ``limits={..}``: memory, memory_high, swap, pids, cpus, cpu_weight, cpuset, io.

        Raises:
            ConfigError: a value that can't be, or nothing that can be changed.
            UnsupportedError: the sandbox's group has no controller for it.
            SetupError: the kernel refuses, such as less memory than is in use.
        """
        self._native.update(to_json(limits))

    def __reduce__(self) -> NoReturn:
        refuse_pickle(type(self).__name__, "pickle its outcome")

    def __repr__(self) -> str:
        state = self._outcome.detail if self._outcome else "running"
        return f"<{type(self).__name__} {list(self.argv)!r}: {state}>"


def _read(number: int) -> bytes:
    try:
        return os.read(number, 1 << 16)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return b""  # Nobody has the other end of a terminal any more.


class Process(Live):
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

    @staticmethod
    def _opened(taken: BinaryIO | None, take: Callable[[], int | None], mode: str) -> BinaryIO | None:
        if taken is not None:
            return taken
        number = take()
        if number is None:
            return None
        # What a terminal prints is standard output, and ends as a pipe does.
        if os.isatty(number):
            from ._terminal import Terminal

            return io.BufferedReader(Terminal(number))
        return os.fdopen(number, mode)  # type: ignore[return-value]

    @property
    def stdin(self) -> BinaryIO | None:
        """The writing end of a piped standard input, buffered. Close it to let the payload see the end."""
        if self._stdin is None and self._outcome is None:
            self._stdin = self._opened(None, self._native.take_stdin, "wb")
        return self._stdin

    @property
    def stdout(self) -> BinaryIO | None:
        """The reading end of a piped standard output. Who takes it reads it: it is then not in the outcome."""
        if self._stdout is None and self._outcome is None:
            self._stdout = self._opened(None, self._native.take_stdout, "rb")
        return self._stdout

    @property
    def stderr(self) -> BinaryIO | None:
        """The reading end of a piped standard error, as ``stdout``."""
        if self._stderr is None and self._outcome is None:
            self._stderr = self._opened(None, self._native.take_stderr, "rb")
        return self._stderr

    @property
    def terminal(self) -> Terminal | None:
        """Our end of its terminal, if it has one. Who takes it reads it: what is printed is then not in the outcome."""
        if self._terminal is None and self._outcome is None:
            number = self._native.take_terminal()
            if number is not None:
                from ._terminal import Terminal

                self._terminal = Terminal(number, "r+")
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

    def close(self) -> None:
        """Kills the tree if it lives, waits until it is gone, and closes the pipes. More than once does nothing."""
        self._native.close()
        for stream in (self._stdin, self._stdout, self._stderr, self._terminal):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass  # What was still buffered has no reader any more.

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

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
