"""Owns: files of a sandbox's root, read and written from the host.

Must not: hold a whole stream, or know how a path stays inside (the core does).
Start at: ``Files``.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO, Literal, NoReturn, Protocol, Union

from ._live import refuse_pickle
from ._value import value

if TYPE_CHECKING:
    from . import _native

Path = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]
"""A path. Inside it is absolute, without ``.`` and ``..``."""
Kind = Literal["file", "directory", "symlink", "fifo", "socket", "device"]
"""What is at a path."""


class Readable(Protocol):
    """A binary stream to read from: an open file, ``io.BytesIO``, .."""

    def read(self, size: int, /) -> bytes | bytearray:
        """At most ``size`` bytes; none at the end."""
        ...


class Writable(Protocol):
    """A binary stream to write to."""

    def write(self, data: bytes, /) -> int | None:
        """How many bytes it took; ``None``: all."""
        ...


@value
class FileStatus:
    """What is known of one file."""

    kind: Kind
    """What it is."""
    size: int
    """Bytes of a regular file, or of a link's text; else 0."""
    mode: int
    """The permission bits, with set-user-ID and the like."""
    uid: int
    """The owner, as the payload sees it."""
    gid: int
    """The group, as the payload sees it."""
    modified: float
    """When its content was changed last, in seconds since 1970."""


@value
class FileEntry:
    """An entry of a directory."""

    name: str
    """Its name; what is not UTF-8 is escaped as ``os.fsdecode`` does."""
    status: FileStatus
    """What it is; of a link, the link itself."""


class Files:
    """The files of a sandbox's root, as the payload sees them: ``session.files``, ``kept.files``.

    Paths are guest paths; symbolic links lead where they lead inside, never out of it. What is written belongs to the
    payload's user. Every method may raise ``FilesError``, with ``errno`` and ``subject``. Calls block, with the GIL released:
    in asyncio, give long ones to ``asyncio.to_thread``.

    ::

        s.files.write("/tmp/in.txt", "3 1 2\\n")
        s.files.read_text("/tmp/in.txt")
    """

    __slots__ = ("_native",)

    def __init__(self, native: _native.Files) -> None:
        self._native = native

    def limit(self, size: int | str) -> Files:
        """The same files, of which no single call reads, writes or copies more than ``size`` bytes (``"1M"``): the next
        byte is a ``FilesError`` (EFBIG).

        Raises:
            ConfigError: it is no size.
        """
        return Files(self._native.limit(size))

    def read(self, path: Path) -> bytes:
        """All of a regular file.

        Raises:
            FilesError: it is not there, is no regular file (EINVAL), is larger than the ``limit`` (EFBIG).
        """
        return self._native.read(os.fsencode(path))

    read_bytes = read

    def read_text(self, path: Path, encoding: str = "utf-8", errors: str = "strict") -> str:
        """All of a regular file, as text.

        Raises:
            FilesError: as ``read``.
            UnicodeDecodeError: it is none, and ``errors`` is ``"strict"``.
        """
        return self.read(path).decode(encoding, errors)

    def read_to(self, path: Path, stream: Writable) -> int:
        """Writes a regular file to a binary stream, chunk by chunk. Returns how many bytes it had.

        Raises:
            FilesError: as ``read``; and whatever the stream raises.
        """
        return self._native.read_to(os.fsencode(path), stream)

    def reader(self, path: Path) -> BinaryIO:
        """Opens a regular file for reading. It stays readable after the sandbox's end. Yours to close.

        Raises:
            FilesError: as ``read``.
        """
        return os.fdopen(self._native.reader(os.fsencode(path)), "rb")

    def write(self, path: Path, data: str | bytes | bytearray | memoryview) -> None:
        """Writes a file, new or over what it had, with the missing directories above it. Text is written as UTF-8.

        Raises:
            FilesError: the root or the mount is read-only (EROFS), or full (ENOSPC).
        """
        self._native.write(os.fsencode(path), data.encode() if isinstance(data, str) else bytes(data))

    def write_from(self, path: Path, stream: Readable) -> int:
        """Writes a file from a binary stream, chunk by chunk. Returns how many bytes it has.

        Raises:
            FilesError: as ``write``; and whatever the stream raises.
        """
        return self._native.write_from(os.fsencode(path), stream)

    def list(self, path: Path) -> tuple[FileEntry, ...]:
        """What is in a directory, sorted by name.

        Raises:
            FilesError: it is not there, or no directory (ENOTDIR).
        """
        return tuple(FileEntry(name, FileStatus(*told)) for name, told in self._native.list(os.fsencode(path)))

    def stat(self, path: Path) -> FileStatus:
        """What is at a path; of a symbolic link, what it leads to.

        Raises:
            FilesError: it is not there.
        """
        return FileStatus(*self._native.stat(os.fsencode(path)))

    def mkdir(self, path: Path) -> None:
        """Makes a directory, with the missing ones above it. One that is there already is fine.

        Raises:
            FilesError: as ``write``.
        """
        self._native.mkdir(os.fsencode(path))

    def remove(self, path: Path) -> None:
        """Removes a file, a link (not what it leads to), or a directory with all that is in it.

        Raises:
            FilesError: as ``write``; something in it is a mount (EBUSY).
        """
        self._native.remove(os.fsencode(path))

    def copy_in(self, source: Path, target: Path) -> int:
        """Copies a file or a tree of the host's to ``target`` inside, which is new or, for a file, is written over. Links stay
        links; owners become the payload's user; sockets, pipes and devices are left out. Returns how many bytes were copied.

        Raises:
            FilesError: as ``write``; ``source`` can't be read.
        """
        return self._native.copy_in(os.fsencode(source), os.fsencode(target))

    def copy_out(self, source: Path, target: Path) -> int:
        """Copies a file or a tree from inside to ``target`` on the host, which is new or, for a file, is written over. Links
        stay links, so that whoever follows them later must know whose they are. Returns how many bytes were copied.

        Raises:
            FilesError: as ``read``; ``target`` can't be written, or is there already (EEXIST).
        """
        return self._native.copy_out(os.fsencode(source), os.fsencode(target))

    def __reduce__(self) -> NoReturn:
        refuse_pickle(type(self).__name__, "copy_out() what should travel")

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"
