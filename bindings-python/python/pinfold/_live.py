"""Owns: what live objects have in common: what is asked of a group of processes, the end of a ``with`` block, no pickling.

Must not: know what is live.
"""

from __future__ import annotations

import json

from ._encode import to_json
from ._outcome import Usage, usage_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, NoReturn

    from typing_extensions import Self

    from . import _native


def refuse_pickle(what: str, instead: str) -> NoReturn:
    """A live object can't travel."""
    raise TypeError(f"a {what} is live and can't be pickled or copied; {instead}")


class Group:
    """Processes that run, and may have a group of their own."""

    __slots__ = ()

    _native: _native.Process | _native.Session

    def usage(self) -> Usage:
        """What everything inside has used until now.

        Raises:
            SandboxClosed: it was closed.
            UnsupportedError: this can't be told without a group, which any limit that needs one makes.
        """
        return usage_from(json.loads(self._native.usage()))

    def freeze(self) -> None:
        """Stops every process until ``thaw()``. Deadlines run on; killing and closing work.

        In a session, starting a payload meanwhile raises :class:`SetupError`, and signals arrive after the thaw. What must end
        thaws it, and it stays thawed: a payload's deadline, ``kill``, ``cancel``, SIGKILL, too much output, ``kill_all``.

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


class Closing:
    """Something that the end of a ``with`` block closes."""

    __slots__ = ()

    def close(self) -> None:
        """Closes it. More than once does nothing."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClosing:
    """Something that the end of an ``async with`` block closes."""

    __slots__ = ()

    async def close(self) -> None:
        """Closes it. More than once does nothing."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
