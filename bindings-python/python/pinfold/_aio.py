"""Owns: our ends of a payload's pipes and terminal as asyncio streams: non-blocking fds that the loop watches.

Must not: use threads, or touch the fd after it was closed.
Start at: ``AsyncReader``, ``AsyncWriter``, ``AsyncTerminal``.
"""

from __future__ import annotations

import asyncio
import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

_CHUNK = 1 << 16


class _Pipe:
    __slots__ = ("_number",)

    def __init__(self, number: int) -> None:
        os.set_blocking(number, False)
        self._number = number

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._number < 0

    def fileno(self) -> int:
        """The number of the fd, -1 when it was closed."""
        return self._number

    def abort(self) -> None:
        """Closes it at once."""
        number, self._number = self._number, -1
        if number >= 0:
            os.close(number)

    def __del__(self) -> None:
        self.abort()


async def _until(add: Callable[..., object], remove: Callable[[int], object], number: int) -> None:
    ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_ready() -> None:
        if not ready.done():
            ready.set_result(None)

    add(number, on_ready)
    try:
        await ready
    finally:
        remove(number)


class AsyncReader(_Pipe):
    """What a payload writes. One task at a time may read."""

    __slots__ = ("_buffer", "_ended")

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self._buffer = bytearray()
        self._ended = False

    async def _fill(self) -> bool:
        """Waits for more. False: there is none."""
        while not self._ended and not self.closed:
            try:
                data = os.read(self._number, _CHUNK)
            except BlockingIOError:
                loop = asyncio.get_running_loop()
                await _until(loop.add_reader, loop.remove_reader, self._number)
                continue
            except OSError as error:
                # Nobody has the other end of a terminal any more.
                if error.errno != errno.EIO:
                    raise
                data = b""
            if data:
                self._buffer += data
                return True
            self._ended = True
        return False

    def _take(self, count: int) -> bytes:
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    async def read(self, n: int = -1) -> bytes:
        """Up to ``n`` bytes, at least one; everything until the end if ``n`` is negative. Empty: it has ended."""
        if n < 0:
            while await self._fill():
                pass
            return self._take(len(self._buffer))
        if n and not self._buffer:
            await self._fill()
        return self._take(n)

    async def readexactly(self, n: int) -> bytes:
        """``n`` bytes.

        Raises:
            asyncio.IncompleteReadError: it ended before; what came is in ``partial``.
        """
        while len(self._buffer) < n:
            if not await self._fill():
                raise asyncio.IncompleteReadError(self._take(n), n)
        return self._take(n)

    async def readline(self) -> bytes:
        """A line with its line feed; what is left at the end; empty after that."""
        searched = 0
        while (at := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if not await self._fill():
                return self._take(len(self._buffer))
        return self._take(at + 1)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while line := await self.readline():
            yield line

    def close(self) -> None:
        """Closes it. A payload that goes on writing gets SIGPIPE."""
        self.abort()


class AsyncWriter(_Pipe):
    """What a payload reads. ``write`` keeps what the pipe does not take at once; ``drain`` waits until it is taken."""

    __slots__ = ("_buffer", "_closing", "_flusher")

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self._buffer = bytearray()
        self._closing = False
        self._flusher: asyncio.Task[None] | None = None

    def write(self, data: bytes) -> None:
        """Writes now what fits, and keeps the rest.

        Raises:
            ValueError: it was closed.
        """
        if self._closing or self.closed:
            raise ValueError("write to a closed pipe")
        self._buffer += data
        self._flush_some()
        if self._buffer and self._flusher is None:
            self._flusher = asyncio.get_running_loop().create_task(self._flush())

    def _flush_some(self) -> None:
        try:
            while self._buffer and not self.closed:
                del self._buffer[: os.write(self._number, self._buffer[:_CHUNK])]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self._buffer.clear()
            self.abort()

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._buffer and not self.closed:
                await _until(loop.add_writer, loop.remove_writer, self._number)
                self._flush_some()
        finally:
            self._flusher = None
            if self._closing:
                self.abort()

    async def drain(self) -> None:
        """Waits until everything is in the pipe."""
        if self._flusher is not None:
            await asyncio.wait([self._flusher])

    def close(self) -> None:
        """Closes it when everything is in the pipe: the payload then sees the end."""
        self._closing = True
        if self._flusher is None:
            self.abort()

    async def wait_closed(self) -> None:
        """Waits until everything is in the pipe and it is closed."""
        await self.drain()

    def abort(self) -> None:
        """Closes it at once; what is kept is thrown away."""
        if self._flusher is not None:
            self._flusher.cancel()
        super().abort()


class AsyncTerminal:
    """The host's end of a terminal: what is written is typed, what the payload prints is read. It has the methods of
    ``AsyncReader`` and ``AsyncWriter``.
    """

    __slots__ = ("_reader", "_writer")

    def __init__(self, number: int) -> None:
        self._reader = AsyncReader(number)
        self._writer = AsyncWriter(os.dup(number))

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._reader.closed

    def fileno(self) -> int:
        """The number of the fd, -1 when it was closed."""
        return self._reader.fileno()

    async def read(self, n: int = -1) -> bytes:
        """As ``AsyncReader.read``."""
        return await self._reader.read(n)

    async def readexactly(self, n: int) -> bytes:
        """As ``AsyncReader.readexactly``.

        Raises:
            asyncio.IncompleteReadError: it ended before; what came is in ``partial``.
        """
        return await self._reader.readexactly(n)

    async def readline(self) -> bytes:
        """As ``AsyncReader.readline``."""
        return await self._reader.readline()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._reader.__aiter__()

    def write(self, data: bytes) -> None:
        """As ``AsyncWriter.write``.

        Raises:
            ValueError: it was closed.
        """
        self._writer.write(data)

    async def drain(self) -> None:
        """As ``AsyncWriter.drain``."""
        await self._writer.drain()

    def close(self) -> None:
        """Closes it when everything is typed."""
        self._writer.close()
        self._reader.close()

    def abort(self) -> None:
        """Closes it at once."""
        self._writer.abort()
        self._reader.abort()
