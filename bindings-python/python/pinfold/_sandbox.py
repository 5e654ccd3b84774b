"""Owns: the checked, reusable description of a sandbox, and ``run`` with everything in one call.

Must not: know an option: the core reads them.
Start at: ``Sandbox``.
"""

from __future__ import annotations

import json
import os

from . import _native
from ._call import describe
from ._encode import to_json
from ._outcome import Degradation, Report
from ._process import Process
from ._run import Runner
from ._session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from typing_extensions import Self, Unpack

    from ._call import Call
    from ._config import SandboxConfig, SandboxOptions
    from ._kept import KeptRoot
    from ._outcome import Outcome
    from ._types import Arg, CallOptions, Env, HasFileno, SpawnOptions, Stdio, TerminalSize


class Sandbox(Runner):
    """A sandbox, checked and ready to use. Nothing runs yet. Immutable; pickles, compares and hashes by its config.

    ::

        box = Sandbox(timeout=5, mounts=[{"kind": "bind", "source": "data", "target": "/data", "read_only": True}])
        box.run(["ls", "/data"]).text

    Args:
        config: a config as plain data, with the keys of a config file.
        options: sections of a config and shorthands, laid above it. Relative paths start at the current directory.

    Raises:
        ConfigError: every problem of the config at once.
        UnsupportedError: what this host lacks, and how to get it.
        SetupError: a mount source can't be used.
    """

    __slots__ = ("_native",)

    def __init__(self, config: SandboxConfig | None = None, /, **options: Unpack[SandboxOptions]) -> None:
        self._native = _native.Sandbox(to_json(config or {}), to_json(options))

    @classmethod
    def _of(cls, native: _native.Sandbox) -> Self:
        made = cls.__new__(cls)
        made._native = native
        return made

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Self:
        """Reads a config file, TOML or JSON by its extension. Relative paths in it start at the file's directory.

        Raises:
            ConfigError: whatever is wrong with the text, with line and key; and as the class.
        """
        return cls._of(_native.Sandbox.from_file(os.fspath(path)))

    def replace(self, **options: Unpack[SandboxOptions]) -> Self:
        """A sandbox with options laid above this one's config: tables merge key by key, arrays replace, ``None`` unsets;
        ``bind``, ``ro_bind``, ``tmpfs`` and ``env`` add.

        Raises:
            As the class.
        """
        return self._of(self._native.replace(to_json(options)))

    @property
    def config(self) -> SandboxConfig:
        """The config it was made from, as plain data."""
        config: SandboxConfig = json.loads(self._native.config())
        return config

    @property
    def report(self) -> Report:
        """What will be enforced, and what was weakened and why."""
        told = json.loads(self._native.report())
        return Report(told["enforced"], tuple(Degradation(**one) for one in told["degradations"]))

    def explain(self, argv: Sequence[Arg], **options: Unpack[SpawnOptions]) -> str:
        """What would be done for this payload, one operation per line with the config key it comes from. Runs nothing.

        Raises:
            ConfigError: the call can't mean anything.
        """
        return self._native.explain(describe(argv, **options))

    def run_kept(
        self, argv: Sequence[Arg], *, check: bool = False, **options: Unpack[SpawnOptions]
    ) -> tuple[Outcome, KeptRoot]:
        """As ``run``, and hands over the changed root. The outcome is plain data; the root holds the changes until it is
        closed. Needs an overlay.

        ::

            outcome, kept = Sandbox(overlay="memory", user=0).run_kept(["touch", "/opt/made"])
            with kept:
                assert [change.path for change in kept.changes()] == ["/opt/made"]

        Raises:
            ConfigError: the sandbox has no overlay.
            SandboxError, CommandFailed: as ``run``.
        """
        from ._kept import kept_of

        process = Process(self._start(describe(argv, keep_root=True, **options)), argv)
        outcome = process.wait()
        if check:
            outcome.check(argv)
        return outcome, kept_of(process._native)

    def open(self) -> Session:
        """Opens a session: one live sandbox in which many payloads run.

        ::

            with box.open() as s:
                s.run(["sh", "-c", "echo kept > /tmp/a"])
                assert s.run(["cat", "/tmp/a"]).text == "kept\\n"

        Raises:
            SandboxError: it could not be set up; its classes say why.
        """
        return Session(self)

    def _start(self, call: Call) -> _native.Process:
        return self._native.spawn(call)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sandbox):
            return NotImplemented
        return self._native.config() == other._native.config()

    def __hash__(self) -> int:
        return hash(self._native.config())

    def __reduce__(self) -> tuple[Callable[..., Sandbox], tuple[Any, ...]]:
        return type(self), (self.config,)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.config!r})"


def split_options(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of a description, and options of a call. A name that is both describes; an unknown one is refused there."""
    sections, shorthands = _native.option_names()
    described = {*sections, *shorthands}
    calls = {*_native.call_option_names()} - described
    return (
        {name: value for name, value in options.items() if name not in calls},
        {name: value for name, value in options.items() if name in calls},
    )


def run(
    argv: Sequence[Arg],
    *,
    stdin: Stdio = None,
    stdout: Stdio = None,
    stderr: Stdio = None,
    input: str | bytes | None = None,
    env: Env | None = None,
    fds: Any = None,
    terminal: TerminalSize = None,
    check: bool = False,
    **options: Any,
) -> Outcome:
    """Runs a payload to its end in a fresh sandbox, described by the same call.

    ::

        r = pinfold.run(["python3", "-c", "print(1)"], timeout=5, check=True)
        assert r.text == "1\\n"

    Args:
        argv: the program, by name (looked up inside) or path, and its arguments.
        fds: a mapping attaches open files, as in ``Sandbox.run``; a list is the config's section.
        options: those of ``Sandbox`` (``SandboxOptions``) and of a call (``CallOptions``).

    Raises:
        SandboxError: nothing ran; its classes say why.
        CommandFailed: ``check`` and the payload did not exit with 0; ``TimedOut`` if its wall or CPU time ended it.
    """
    described, call = split_options(options)
    attached = fds if fds is None or hasattr(fds, "items") else None
    if attached is None and fds is not None:
        described["fds"] = fds
    return Sandbox(**described).run(
        argv,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        input=input,
        env=env,
        fds=attached,
        terminal=terminal,
        check=check,
        **call,
    )
