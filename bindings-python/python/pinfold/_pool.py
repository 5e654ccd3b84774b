"""Owns: sandboxes that are set up before they are needed.  Must not: have a thread.

Start at: ``Pool``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NoReturn

from ._live import Closing, refuse_pickle
from ._session import Session
from ._value import value

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing_extensions import Unpack

    from . import _native
    from ._outcome import Outcome
    from ._sandbox import Sandbox
    from ._types import Arg, SpawnOptions


@value
class PoolStats:
    """What a pool has and has done."""

    size: int
    """How many it keeps ready when it is full."""
    ready: int
    """How many are ready now."""
    taken: int
    """How many were taken so far."""
    missed: int
    """How many of these were opened on the spot, because none was ready."""
    lost: int
    """How many ended while they waited, and were thrown away."""


class PoolBase:
    """What ``Pool`` and ``AsyncPool`` have in common."""

    __slots__ = ("__weakref__", "_native", "sandbox")

    sandbox: Sandbox
    """The description they are opened from."""

    def __init__(self, sandbox: Sandbox, size: int) -> None:
        self.sandbox = sandbox
        self._native: _native.Pool = sandbox._native.pool(size)

    @property
    def closed(self) -> bool:
        """Whether it can't be used any more."""
        return self._native.closed()

    def stats(self) -> PoolStats:
        """What it has and has done.

        Raises:
            SandboxClosed: it was closed.
        """
        return PoolStats(**json.loads(self._native.stats()))

    def __reduce__(self) -> NoReturn:
        refuse_pickle(type(self).__name__, "pickle its sandbox")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.sandbox!r}: {'closed' if self.closed else self.stats()}>"


class Pool(PoolBase, Closing):
    """Sandboxes that are open already, so that the next payload costs a spawn and no set-up. Each is used once.

    A pool has no thread. What was taken is replaced by ``fill()``, which you call when there is time, usually after an
    answer. A pool that has none left opens one on the spot: forgetting to fill costs time and nothing else.

    ::

        with Pool(box, size=4) as pool:
            pool.run(["echo", "hi"]).text
            pool.fill()

    Args:
        sandbox: what to open.
        size: how many are ready, 1 to 1024. They are opened here.

    Raises:
        ConfigError: no such size.
        SandboxError: one could not be set up; its classes say why.
    """

    __slots__ = ()

    def __init__(self, sandbox: Sandbox, size: int = 4) -> None:
        super().__init__(sandbox, size)

    def take(self) -> Session:
        """A fresh sandbox, yours to close. It is not replaced before the next ``fill()``.

        Raises:
            SandboxClosed: the pool was closed.
            SandboxError: none was ready, and one could not be set up.
        """
        return Session(self.sandbox, self._native.take())

    def run(self, argv: Sequence[Arg], *, check: bool = False, **options: Unpack[SpawnOptions]) -> Outcome:
        """Runs a payload to its end in a fresh sandbox, which is closed afterwards. The arguments are those of
        ``Sandbox.run``.

        Raises:
            SandboxClosed: the pool was closed.
            SandboxError: nothing ran; its classes say why.
            CommandFailed: ``check`` and the payload did not exit with 0; ``TimedOut`` if its wall or CPU time ended it.
        """
        with self.take() as session:
            return session.run(argv, check=check, **options)

    def fill(self) -> None:
        """Opens as many as are missing, one after another. Several threads may fill at a time.

        Raises:
            SandboxClosed: the pool was closed.
            SandboxError: one could not be set up. What was opened before stays.
        """
        while self._native.fill_one():
            pass

    def close(self) -> None:
        """Ends those that wait. Sessions that were taken go on. More than once does nothing."""
        self._native.close()
