"""Owns: our end of a payload's terminal as a file object.  Must not: touch the terminal of this process.

Start at: ``Terminal``.
"""

from __future__ import annotations

import errno
import io
from typing import Any


class Terminal(io.FileIO):
    """The host's end of a terminal: what is written is typed, what the payload prints is read. Unbuffered.

    A read that finds nobody at the other end is the end (``b""``), not the kernel's EIO.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        """What is printed, at most ``size`` bytes, as soon as there is something; all until the end if ``size`` is negative."""
        if size is None or size < 0:
            return self.readall()
        try:
            return super().read(size) or b""
        except OSError as error:
            _end_or_raise(error)
            return b""

    def readall(self) -> bytes:
        """All until the end."""
        chunks = []
        while chunk := self.read(1 << 16):
            chunks.append(chunk)
        return b"".join(chunks)

    def readinto(self, buffer: Any, /) -> int:
        """As ``io.RawIOBase.readinto``."""
        try:
            return super().readinto(buffer) or 0
        except OSError as error:
            _end_or_raise(error)
            return 0


def _end_or_raise(error: OSError) -> None:
    if error.errno != errno.EIO:
        raise error
