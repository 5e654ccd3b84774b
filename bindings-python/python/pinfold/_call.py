"""Owns: one payload as plain values for the native module: arguments, variables, streams, fds.

Must not: know the call's other options (the core does).
Start at: ``describe``.
"""

from __future__ import annotations

import os

from ._encode import to_json
from ._errors import config_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ._types import Arg, HasFileno, Stdio, TerminalSize


class Call:
    """What the native module reads."""

    __slots__ = ("argv", "env", "fds", "keep_root", "options", "stdio", "terminal")

    argv: list[bytes]
    env: list[tuple[bytes, bytes | None]]
    options: str
    stdio: list[str | int | bytes | None]
    fds: list[tuple[str, int]]
    terminal: tuple[int, int] | None
    keep_root: bool

    def __init__(
        self,
        argv: list[bytes],
        env: list[tuple[bytes, bytes | None]],
        options: str,
        stdio: list[str | int | bytes | None],
        fds: list[tuple[str, int]],
        terminal: tuple[int, int] | None,
        keep_root: bool,
    ) -> None:
        self.argv = argv
        self.env = env
        self.options = options
        self.stdio = stdio
        self.fds = fds
        self.terminal = terminal
        self.keep_root = keep_root


# subprocess.PIPE, STDOUT, DEVNULL, without importing it.
_SUBPROCESS = {-1: "pipe", -2: "stdout", -3: "null"}
_COMMON = ("null", "pipe", "inherit")
_WORDS: dict[str, tuple[str, ...]] = {"stdin": _COMMON, "stdout": _COMMON, "stderr": (*_COMMON, "stdout")}


def _argv(argv: Sequence[Arg]) -> list[bytes]:
    if isinstance(argv, (str, bytes, os.PathLike)):
        raise config_error(
            "argv",
            f"a command is a list of strings, got {argv!r}",
            'write ["program", "argument"], or ["sh", "-c", "..."] for a shell line',
        )
    try:
        encoded = [os.fsencode(arg) for arg in argv]
    except TypeError as error:
        raise config_error("argv", str(error), "arguments are strings, bytes or paths; write str(n) for numbers") from None
    if not encoded:
        raise config_error("argv", "a command needs a program")
    return encoded


def _stdio(name: str, value: Stdio) -> str | int | None:
    if value is None:
        return None
    if isinstance(value, str):
        if value in _WORDS[name]:
            return value
        words = ", ".join(f'"{word}"' for word in _WORDS[name])
        raise config_error(name, f"must be {words}, a file or an fd, got {value!r}", "open a file by its path yourself")
    number = value if isinstance(value, int) else value.fileno()
    word = _SUBPROCESS.get(number, number)
    if word == "stdout" and name != "stderr":
        raise config_error(name, "subprocess.STDOUT is for stderr only")
    return word


def _terminal(size: Any) -> tuple[int, int] | None:
    if size is None or size is True:
        return (80, 24) if size else None
    try:
        columns, rows = size
        if 0 < int(columns) < 1 << 16 and 0 < int(rows) < 1 << 16:
            return int(columns), int(rows)
    except (TypeError, ValueError):
        pass
    raise config_error("terminal", f"must be True or (columns, rows), got {size!r}", "leave it out for no terminal")


def describe(
    argv: Sequence[Arg],
    *,
    stdin: Stdio = None,
    stdout: Stdio = None,
    stderr: Stdio = None,
    input: str | bytes | None = None,
    env: Any = None,
    fds: Mapping[str, int | HasFileno] | None = None,
    terminal: TerminalSize = None,
    keep_root: bool = False,
    **options: Any,
) -> Call:
    """A call as the native module reads it.

    Raises:
        ConfigError: something can't mean anything.
    """
    first: str | int | bytes | None = _stdio("stdin", stdin)
    if input is not None:
        if stdin is not None:
            raise config_error("input", "stdin and input can't both be given")
        first = input.encode() if isinstance(input, str) else bytes(input)
    try:
        variables = [
            (os.fsencode(name), None if value is None else os.fsencode(value)) for name, value in (env or {}).items()
        ]
    except (TypeError, AttributeError):
        raise config_error("env", "must map names to strings, or to None to remove one") from None
    attached = [
        (name, fd if isinstance(fd, int) else fd.fileno()) for name, fd in (fds.items() if fds is not None else ())
    ]
    return Call(
        _argv(argv),
        variables,
        to_json(options) if options else "{}",
        [first, _stdio("stdout", stdout), _stdio("stderr", stderr)],
        attached,
        _terminal(terminal),
        keep_root,
    )
