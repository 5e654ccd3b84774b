"""Owns: the types of what calls take and outcomes tell.  Must not: be imported by what `import pinfold` imports: it needs `typing`.

Start at: ``CallOptions``.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, Protocol, TypedDict, Union

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._config import Bytes, RlimitValue, Timespan

Ended = Literal["exited", "signaled", "wall_time", "cpu_time", "memory", "output", "killed", "cancelled"]
"""Why a payload ended; the first cause wins."""


class HasFileno(Protocol):
    """Anything open: a file, a socket, a pipe."""

    def fileno(self) -> int:
        """The number of its fd."""
        ...


Arg = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]
"""A program or an argument."""
Stdio = Union[str, int, HasFileno, None]
"""``"null"``, ``"pipe"``, ``"inherit"``, for stderr also ``"stdout"``; an open file or the number of its fd;
``subprocess.DEVNULL``, ``PIPE``, ``STDOUT``. ``None`` is the default."""
TerminalSize = Union["tuple[int, int]", Literal[True], None]
"""Columns and rows; ``True``: 80 and 24. ``None``: as ``process.terminal`` says."""
Env = Union["Mapping[str, str | None]", "Mapping[bytes, bytes | None]"]
"""Variables over the sandbox's; ``None`` removes one."""


class CallOptions(TypedDict, total=False):
    """What a call may say beside its streams. Every option may be left out or ``None``."""

    env_clear: bool | None
    """Whether to start from no variables at all, not even ``PATH``."""
    cwd: str | os.PathLike[str] | None
    """The working directory inside. It must be there. Default: the sandbox's."""
    user: int | str | None
    """The ids inside, which must be mapped: ``1000``, ``"1000:100"``."""
    timeout: Timespan | None
    """Seconds, or a string such as ``"200ms"``. Bounds the whole call, counted from its start: the tree is killed, and
    the outcome says ``wall_time``."""
    cpu_time: Timespan | None
    """Seconds, or a string. Bounds the CPU time of the whole tree; in a session see `compat.prefer`."""
    output: Bytes | None
    """How many bytes of each captured stream are kept: ``"1M"``. Default: the sandbox's, 16 MiB."""
    umask: int | str | None
    """The file mode creation mask: ``0o022``, or octal digits."""
    nice: int | None
    """The nice value, -20 to 19; below 0 only for privileged hosts."""
    rlimits: Mapping[str, RlimitValue] | None
    """Resource limits, only ever lowered: ``{"nofile": 64}`` (getrlimit(2))."""


class SpawnOptions(CallOptions, total=False):
    """All that ``Sandbox.spawn`` takes beside the command: a call's options and streams. See there."""

    stdin: Stdio
    stdout: Stdio
    stderr: Stdio
    input: str | bytes | None
    env: Env | None
    fds: Mapping[str, int | HasFileno] | None
    terminal: TerminalSize
