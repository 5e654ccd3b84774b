"""Owns: the changed root of a sandbox that has ended, kept.  Must not: know how changes are found (the core does).

Start at: ``KeptRoot``.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NoReturn

from ._errors import SandboxLost
from ._files import Files
from ._live import Closing, refuse_pickle
from ._outcome import changes_from

if TYPE_CHECKING:
    from . import _native
    from ._outcome import Change


class KeptRoot(Closing):
    """The changed root of a sandbox that has ended: ``outcome, kept = box.run_kept([..])``.

    It holds the changes in memory, or the lock on their directory. Leaving its ``with`` block, ``close()`` and garbage
    collection let go of them.
    """

    __slots__ = ("__weakref__", "_native")

    def __init__(self, native: _native.KeptRoot) -> None:
        self._native = native

    @property
    def closed(self) -> bool:
        """Whether it can't be used any more."""
        return self._native.closed()

    @property
    def files(self) -> Files:
        """The files of the root, as the payload saw them last. What was mounted in it is gone: ``/tmp``, your binds.

        Raises:
            SandboxClosed: it was closed.
        """
        return Files(self._native.files())

    def changes(self) -> tuple[Change, ...]:
        """What differs from the layers below, sorted by path.

        Raises:
            SandboxClosed: it was closed.
            FilesError: a layer is gone or was exchanged, or can't be read.
            UnsupportedError: this process may not read what belongs to the sandbox's ids.
        """
        return changes_from(self._native.changes())

    def commit(self, directory: str | os.PathLike[str]) -> None:
        """Writes the changes to a new or empty directory as a layer, which ``rootfs={"kind": "layers", ..}`` takes above the
        layers they were made on. It appears as a whole, or not at all.

        On a privileged host files get the owners they have inside, with set-user-ID bits if they have any: keep layers where
        only root can enter.

        Raises:
            As ``changes``, and FilesError: the directory can't be written.
        """
        self._native.commit(os.fspath(directory))

    def close(self) -> None:
        """Lets go of it. More than once does nothing."""
        self._native.close()

    def __reduce__(self) -> NoReturn:
        refuse_pickle(type(self).__name__, "commit() it to a directory")

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {'closed' if self.closed else 'open'}>"


def kept_of(process: _native.Process) -> KeptRoot:
    """The root that a process has left.

    Raises:
        SandboxLost: it was not handed over.
    """
    native = process.take_kept_root()
    if native is None:
        raise SandboxLost("lost", "the changed root was not handed over", stage="supervise")
    return KeptRoot(native)
