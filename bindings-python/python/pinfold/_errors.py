"""Owns: the tree of exceptions, and how the core's error reports become them.

Must not: be raised for the fate of a payload (``_failures`` are).
Start at: ``SandboxError``.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


class SandboxError(Exception):
    """Nothing ran, or Pinfold's own part of the work was lost. How a payload ended is an ``Outcome``, never an error.

    Every error says what was tried, on what, what the kernel answered, and what to do.
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

    def __init__(self, report: Mapping[str, Any]) -> None:
        super().__init__(report["message"])
        self.kind = report["kind"]
        self.message = report["message"]
        self.hint = report.get("hint")
        self.errno = report.get("errno")
        self.errno_name = report.get("errno_name")
        self.stage = report.get("stage")
        self.step = report.get("step")
        self.origin = report.get("origin")
        self.subject = report.get("subject")
        self.problems = list(report.get("problems") or ())

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
        return type(self), (self.report(),)

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
    return _CLASSES.get(told["kind"], SandboxError)(told)


def config_error(key: str, message: str, hint: str | None = None) -> ConfigError:
    """A call's argument that can't mean anything."""
    return ConfigError({"kind": "config", "stage": "parse", "message": f"{key}: {message}", "hint": hint, "origin": key})


def closed(message: str, hint: str | None = None) -> SandboxClosed:
    """The object can't be used any more."""
    return SandboxClosed({"kind": "closed", "stage": "supervise", "message": message, "hint": hint})
