"""Owns: one live sandbox in which many payloads run.  Must not: know how a payload is described or supervised.

Start at: ``Session``.
"""

from __future__ import annotations

import os

from ._live import Closing, Group, refuse_pickle
from ._outcome import changes_from
from ._run import Runner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from ._call import Call
    from ._files import Files
    from ._native import Process as NativeProcess
    from ._native import Session as NativeSession
    from ._outcome import Change, Report
    from ._sandbox import Sandbox


class SessionBase(Group):
    """What ``Session`` and ``AsyncSession`` have in common: everything that does not wait."""

    __slots__ = ("__weakref__", "_native", "sandbox")

    _native: NativeSession
    sandbox: Sandbox
    """The description it was opened from."""

    def __init__(self, sandbox: Sandbox, native: NativeSession | None = None) -> None:
        self.sandbox = sandbox
        self._native = sandbox._native.open() if native is None else native

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

    def _start(self, call: Call) -> NativeProcess:
        return self._native.spawn(call)

    def __reduce__(self) -> NoReturn:
        refuse_pickle(type(self).__name__, "pickle its sandbox")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.sandbox!r}: {'closed' if self.closed else 'open'}>"


class Session(SessionBase, Runner, Closing):
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
