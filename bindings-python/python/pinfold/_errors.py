"""Owns: the tree of exceptions, and how the core's error reports become them.

Must not: be raised for the fate of a payload (``_failures`` are).
Start at: ``SandboxError``.
"""

from __future__ import annotations

import json
import os
from errno import errorcode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any


def _fill(error: OSError, errno: int | None, subject: str | None) -> None:
    """What the system's errors have besides ``errno``, under the system's names."""
    error.strerror = None if errno is None else os.strerror(errno)
    error.filename = subject


class SandboxError(Exception):
    """Nothing ran, or Pinfold's own part of the work was lost. How a payload ended is an ``Outcome``, never an error.

    Every error says what was tried, on what, what the kernel answered, and what to do. Those that are an ``OSError`` have
    ``strerror``, the kernel's answer in words, and ``filename``, the ``subject``, too.
    """

    kind: str
    """One of ``config, unsupported, setup, program_not_found, not_executable, timeout, cancelled, files, closed, lost``."""
    message: str
    """One sentence: what was tried, on what, what came back."""
    hint: str | None
    """One sentence: what to do."""
    errno: int | None
    """The kernel's error number."""
    errno_name: str | None
    """The kernel's error name (``"EACCES"``)."""
    stage: str | None
    """Where it happened: ``parse, validate, probe, settle, compile, launch, supervise``."""
    step: dict[str, Any] | None
    """The failed operation of the plan: ``number``, ``of``, ``what``."""
    origin: str | None
    """The config key the failed part came from (``"mounts[2].target"``), or ``"default"``."""
    subject: str | None
    """What it was done to: a path, a program, a key."""
    problems: list[dict[str, Any]]
    """Every problem of a config at once; empty for other kinds."""

    def __init__(
        self,
        kind: str,
        message: str,
        hint: str | None = None,
        errno: int | None = None,
        stage: str | None = None,
        step: Mapping[str, Any] | None = None,
        origin: str | None = None,
        subject: str | None = None,
        errno_name: str | None = None,
        problems: Iterable[Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.hint = hint
        self.errno = errno
        self.errno_name = errno_name or (None if errno is None else errorcode.get(errno))
        self.stage = stage
        self.step = None if step is None else dict(step)
        self.origin = origin
        self.subject = subject
        self.problems = list(map(dict, problems or ()))
        if isinstance(self, OSError):
            _fill(self, errno, subject)

    def report(self) -> dict[str, Any]:
        """Everything it knows as plain data: the same fields as in every language and in ``pinfold run --report``."""
        names = ("kind", "stage", "step", "origin", "subject", "errno", "errno_name", "message", "hint", "problems")
        return {name: getattr(self, name) for name in names}

    def __str__(self) -> str:
        lines = [self.message]
        for problem in self.problems:
            hint = problem.get("hint")
            lines.append(f"  {problem['key']}: {problem['message']}" + (f" ({hint})" if hint else ""))
        if self.step:
            lines.append(f"  step    {self.step['number']} of {self.step['of']}, {self.step['what']}")
        if self.origin and not self.problems:
            lines.append(f"  from    {self.origin}")
        if self.errno is not None:
            lines.append(f"  kernel  {self.errno_name or self.errno}")
        if self.hint and not self.problems:
            lines.append(f"  hint    {self.hint}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Callable[..., SandboxError], tuple[Any, ...]]:
        told = (self.kind, self.message, self.hint, self.errno, self.stage, self.step, self.origin, self.subject)
        return type(self), (*told, self.errno_name, self.problems)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SandboxError):
            return NotImplemented
        return type(self) is type(other) and self.report() == other.report()

    def __hash__(self) -> int:
        return hash((self.kind, self.message))


class ConfigError(SandboxError, ValueError):
    """The configuration or a call's arguments can't mean anything."""


class UnsupportedError(SandboxError, RuntimeError):
    """The host lacks something that was asked for, and ``compat.prefer`` does not name it."""


class SetupError(SandboxError, OSError):
    """A step of the set-up was refused by the kernel."""


class ProgramNotFound(SetupError, FileNotFoundError):
    """The program does not exist inside the sandbox."""


class NotExecutable(SetupError, PermissionError):
    """The program exists inside the sandbox and can't be executed."""


class SetupTimeout(SandboxError, TimeoutError):
    """The deadline passed before the payload was started."""


class FilesError(SandboxError, OSError):
    """Reading or writing files of a sandbox failed."""


class SandboxClosed(SandboxError):
    """The object was closed before, or belongs to the process that this one was forked from."""


class SandboxLost(SandboxError):
    """Init died after the payload was started, so that its fate is unknown."""


_CLASSES: dict[str, type[SandboxError]] = {
    "config": ConfigError,
    "unsupported": UnsupportedError,
    "setup": SetupError,
    "program_not_found": ProgramNotFound,
    "not_executable": NotExecutable,
    "timeout": SetupTimeout,
    "files": FilesError,
    "closed": SandboxClosed,
    "lost": SandboxLost,
}


def from_report(report: str) -> SandboxError:
    """The exception for an error report in JSON."""
    told = json.loads(report)
    return _CLASSES.get(told["kind"], SandboxError)(**told)


def config_error(key: str, message: str, hint: str | None = None) -> ConfigError:
    """A call's argument that can't mean anything."""
    return ConfigError("config", f"{key}: {message}", hint, stage="parse", origin=key)


def closed(message: str, hint: str | None = None) -> SandboxClosed:
    """The object can't be used any more."""
    return SandboxClosed("closed", message, hint, stage="supervise")
