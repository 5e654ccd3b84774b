"""Owns: one live sandbox in which many payloads run.  Must not: know how a payload is described or supervised.

Start at: ``Session``.
"""

from __future__ import annotations

import json
import os

from ._encode import to_json
from ._outcome import Usage, changes_from, usage_from
from ._process import refuse_pickle
from ._run import Runner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, NoReturn

    from typing_extensions import Self

    from . import _native
    from ._call import Call
    from ._files import Files
    from ._outcome import Change, Report
    from ._sandbox import Sandbox


class SessionBase:
    """What ``Session`` and ``AsyncSession`` have in common: everything that does not wait."""

    __slots__ = ("__weakref__", "_native", "sandbox")

    sandbox: Sandbox
    """The description it was opened from."""

    def __init__(self, sandbox: Sandbox, native: _native.Session | None = None) -> None:
        self.sandbox = sandbox
        self._native: _native.Session = sandbox._native.open() if native is None else native

    @property
    def report(self) -> Report:
        """What is enforced, and what was weakened and why."""
        return self.sandbox.report

    @property
    def closed(self) -> bool:
        """Whether it can't be used any more."""
        return self._native.closed()

    @property
    def files(self) -> Files:
        """The files inside, as payloads see them: those of the root and of whatever is mounted in it.

        Raises:
            SandboxClosed: it was closed.
            UnsupportedError: the mounts are the host's own, or of a namespace that was joined.
        """
        from ._files import Files

        return Files(self._native.files())

    def changes(self) -> tuple[Change, ...]:
        """What differs from the layers below the writable one so far, sorted by path.

        Raises:
            SandboxClosed: it was closed.
            ConfigError: the sandbox has no overlay.
            FilesError, UnsupportedError: as ``KeptRoot.changes``.
        """
        return changes_from(self._native.changes())

    def commit(self, directory: str | os.PathLike[str]) -> None:
        """Writes the changes so far to a new or empty directory as a layer. What payloads write meanwhile may be in it or
        not. See ``KeptRoot.commit``.

        Raises:
            As ``changes``, and FilesError: the directory can't be written.
        """
        self._native.commit(os.fspath(directory))

    def signal(self, number: int) -> None:
        """Sends a signal to every payload that runs, not to what payloads have started.

        Raises:
            SandboxClosed: it was closed.
            SetupError: the kernel refuses the number or the right to send it.
        """
        self._native.signal(number)

    def usage(self) -> Usage:
        """What everything inside has used until now.

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

    def _start(self, call: Call) -> _native.Process:
        return self._native.spawn(call)

    def __reduce__(self) -> NoReturn:
        refuse_pickle(type(self).__name__, "pickle its sandbox")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.sandbox!r}: {'closed' if self.closed else 'open'}>"


class Session(SessionBase, Runner):
    """One live sandbox: payloads in it share files, namespaces and limits. Made by ``Sandbox.open()``.

    Leaving its ``with`` block, ``close()`` and garbage collection kill everything inside. What a payload leaves running
    when it ends lives as long as the session.
    """

    __slots__ = ()

    def kill_all(self) -> None:
        """Kills everything inside, also what earlier payloads have left running, and returns when it is gone. The session
        stays open; payloads that ran end as ``killed``.

        Raises:
            SandboxClosed: it was closed.
            UnsupportedError: the sandbox has no PID namespace of its own.
        """
        self._native.kill_all()

    def close(self) -> None:
        """Kills everything inside and waits until it is gone, at most a second. More than once does nothing."""
        self._native.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
