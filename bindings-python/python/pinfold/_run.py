"""Owns: the verbs ``run`` and ``spawn``, which a description and a session share.

Must not: know where payloads run.
Start at: ``Runner``.
"""

from __future__ import annotations


from ._call import describe
from ._process import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Unpack

    from ._call import Call
    from ._native import Process as NativeProcess
    from ._outcome import Outcome
    from ._types import Arg, SpawnOptions


class Runner:
    """Something that payloads run in."""

    __slots__ = ()

    def _start(self, call: Call) -> NativeProcess:
        raise NotImplementedError

    def run(self, argv: Sequence[Arg], *, check: bool = False, **options: Unpack[SpawnOptions]) -> Outcome:
        """Runs a payload to its end.

        Args:
            argv: the program, by name (looked up inside) or path, and its arguments.
            stdin: default ``"null"``.
            stdout: default captured.
            stderr: default captured.
            input: these bytes, or this text as UTF-8, as standard input.
            env: variables over the sandbox's; ``None`` removes one.
            fds: open files for the names that the config's ``fds``, mounts and namespaces declare.
            terminal: columns and rows of a terminal of its own as its standard streams, or ``True``; what it prints is in
                ``stdout``. Default: as ``process.terminal`` says.
            check: whether a bad outcome is raised.
            options: see ``CallOptions``.

        Raises:
            SandboxError: nothing ran; its classes say why.
            CommandFailed: ``check`` and the payload did not exit with 0; ``TimedOut`` if its wall or CPU time ended it.
        """
        outcome = self.spawn(argv, **options).wait()
        return outcome.check(argv) if check else outcome

    def spawn(self, argv: Sequence[Arg], **options: Unpack[SpawnOptions]) -> Process:
        """Starts a payload and returns when its program was executed. The arguments are those of ``run``.

        Raises:
            SandboxError: nothing ran; its classes say why.
        """
        return Process(self._start(describe(argv, **options)), argv)
