"""Owns: the same pool for asyncio.  Must not: open two sandboxes in one turn of the loop, but where the pool is made.

Start at: ``AsyncPool``.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ._async import AsyncSandbox, AsyncSession
from ._live import AsyncClosing
from ._pool import PoolBase

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing_extensions import Unpack

    from ._outcome import Outcome
    from ._sandbox import Sandbox
    from ._types import Arg, SpawnOptions


class AsyncPool(PoolBase, AsyncClosing):
    """Sandboxes that are open already, for asyncio, as ``Pool``.

    Making it opens all of them, which holds a loop up: make it before the loop runs, or small.

    Args:
        sandbox: what to open.
        size: how many are ready, 1 to 1024.

    Raises:
        As ``Pool``.
    """

    __slots__ = ()

    def __init__(self, sandbox: Sandbox | AsyncSandbox, size: int = 4) -> None:
        super().__init__(sandbox.sandbox if isinstance(sandbox, AsyncSandbox) else sandbox, size)

    def take(self) -> AsyncSession:
        """As ``Pool.take``. It may be awaited, and need not be.

        Raises:
            As ``Pool.take``.
        """
        return AsyncSession(self.sandbox, self._native.take())

    async def run(self, argv: Sequence[Arg], *, check: bool = False, **options: Unpack[SpawnOptions]) -> Outcome:
        """As ``Pool.run``. Cancelling it kills the whole tree before it returns.

        Raises:
            As ``Pool.run``.
        """
        async with self.take() as session:
            return await session.run(argv, check=check, **options)

    async def fill(self) -> None:
        """As ``Pool.fill``, one in each turn of the loop.

        Raises:
            As ``Pool.fill``.
        """
        while self._native.fill_one():
            await asyncio.sleep(0)

    async def close(self) -> None:
        """Ends those that wait. Sessions that were taken go on. More than once does nothing."""
        self._native.close()
