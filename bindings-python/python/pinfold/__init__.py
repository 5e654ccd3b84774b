"""Run application containers from inside the program that needs them: no daemon, no setuid helper, no root needed.

::

    import pinfold

    r = pinfold.run(["python3", "-c", "print(1)"], timeout=5, check=True)
    assert r.text == "1\\n"

An error is the host's or the caller's fault and is raised; an outcome is the payload's fate and is returned.
"""

from __future__ import annotations


from ._errors import (
    ConfigError,
    FilesError,
    NotExecutable,
    ProgramNotFound,
    SandboxClosed,
    SandboxError,
    SandboxLost,
    SetupError,
    SetupTimeout,
    UnsupportedError,
)
from ._native import __version__
from ._outcome import Change, Degradation, IoUsage, Outcome, Pressure, Report, Sample, Timings, Usage
from ._process import Event, Process
from ._python import python_mounts
from ._sandbox import Sandbox, run
from ._session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._aio import AsyncReader, AsyncTerminal, AsyncWriter
    from ._async import AsyncProcess, AsyncSandbox, AsyncSession
    from ._async_pool import AsyncPool
    from ._executor import BrokenSandbox, RemoteError, SandboxExecutor, WorkerDied, WorkerTimedOut
    from ._failures import CommandFailed, TimedOut, WaitTimeout
    from ._files import FileEntry, Files, FileStatus
    from ._host import Doctor, Finding, doctor
    from ._kept import KeptRoot
    from ._pool import Pool, PoolStats
    from ._terminal import Terminal
    from ._types import CallOptions, Ended

# asyncio, concurrent.futures, subprocess and typing take longer to import than all of this: whoever wants them pays for them.
# Type checkers take any TYPE_CHECKING for true.
_LAZY = {
    "AsyncPool": "_async_pool",
    "AsyncProcess": "_async",
    "AsyncReader": "_aio",
    "AsyncSandbox": "_async",
    "AsyncSession": "_async",
    "AsyncTerminal": "_aio",
    "AsyncWriter": "_aio",
    "BrokenSandbox": "_executor",
    "CallOptions": "_types",
    "CommandFailed": "_failures",
    "Doctor": "_host",
    "Ended": "_types",
    "FileEntry": "_files",
    "FileStatus": "_files",
    "Files": "_files",
    "Finding": "_host",
    "KeptRoot": "_kept",
    "Pool": "_pool",
    "PoolStats": "_pool",
    "RemoteError": "_executor",
    "SandboxExecutor": "_executor",
    "Terminal": "_terminal",
    "TimedOut": "_failures",
    "WaitTimeout": "_failures",
    "WorkerDied": "_executor",
    "WorkerTimedOut": "_executor",
    "doctor": "_host",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        value = globals()[name] = getattr(import_module(f".{_LAZY[name]}", __name__), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


__all__ = [
    "AsyncPool",
    "AsyncProcess",
    "AsyncReader",
    "AsyncSandbox",
    "AsyncSession",
    "AsyncTerminal",
    "AsyncWriter",
    "BrokenSandbox",
    "CallOptions",
    "Change",
    "CommandFailed",
    "ConfigError",
    "Degradation",
    "Doctor",
    "Ended",
    "Event",
    "FileEntry",
    "FileStatus",
    "Files",
    "FilesError",
    "Finding",
    "IoUsage",
    "KeptRoot",
    "NotExecutable",
    "Outcome",
    "Pool",
    "PoolStats",
    "Pressure",
    "Process",
    "ProgramNotFound",
    "RemoteError",
    "Report",
    "Sample",
    "Sandbox",
    "SandboxClosed",
    "SandboxError",
    "SandboxExecutor",
    "SandboxLost",
    "Session",
    "SetupError",
    "SetupTimeout",
    "Terminal",
    "TimedOut",
    "Timings",
    "UnsupportedError",
    "Usage",
    "WaitTimeout",
    "WorkerDied",
    "WorkerTimedOut",
    "__version__",
    "doctor",
    "python_mounts",
    "run",
]
