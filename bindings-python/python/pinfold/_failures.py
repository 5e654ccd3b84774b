"""Owns: the exceptions that `check=True` and a wait with a timeout raise.

Must not: be imported by what `import pinfold` imports: it needs `subprocess`.
Start at: ``CommandFailed``.
"""

from __future__ import annotations

from subprocess import CalledProcessError, TimeoutExpired
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._outcome import Outcome
    from ._types import Arg


class CommandFailed(CalledProcessError):
    """A payload ended badly and ``check=True`` asked to hear of it. Not a ``SandboxError``."""

    outcome: Outcome
    """How it ended."""

    def __init__(self, cmd: Sequence[Arg], outcome: Outcome) -> None:
        super().__init__(outcome.returncode, list(cmd), outcome.stdout, outcome.stderr)
        self.outcome = outcome

    def __str__(self) -> str:
        said = self.outcome.stderr_text.strip().splitlines()
        tail = "".join(f"\n  {line}" for line in said[-5:])
        return f"command {self.cmd!r}: {self.outcome.detail}{tail}"

    def __reduce__(self) -> tuple[Callable[..., CommandFailed], tuple[Any, ...]]:
        return type(self), (self.cmd, self.outcome)


class TimedOut(CommandFailed, TimeoutError):
    """A payload was ended by its wall time or its CPU time, and ``check=True`` asked to hear of it."""


class WaitTimeout(TimeoutExpired, TimeoutError):
    """``Process.wait(timeout=..)`` ended before the payload, which runs on."""

    def __reduce__(self) -> tuple[Callable[..., WaitTimeout], tuple[Any, ...]]:
        return type(self), (self.cmd, self.timeout)
