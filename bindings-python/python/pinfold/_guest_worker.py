"""Owns: the inside of ``SandboxExecutor``: reads one job, does it, answers, ends.

Must not: import pinfold, which need not be there: its text is handed to the interpreter.
"""

from __future__ import annotations

import os
import pickle
import struct
import sys
import traceback
from typing import Any

# What most jobs need anyway, loaded while the interpreter is warm.
import json  # noqa: F401, E402, I001

_TEXT = 1 << 16


def _read(fd: int, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = os.read(fd, count - len(data))
        if not more:
            sys.exit(0)  # The executor has gone.
        data += more
    return data


def _write(fd: int, data: bytes) -> None:
    view = memoryview(struct.pack("!Q", len(data)) + data)
    while view:
        view = view[os.write(fd, view) :]


def _encoder(form: str) -> Any:
    if form == "msgpack":
        import msgpack

        return msgpack.packb
    return lambda value: json.dumps(value).encode()


def main(fd: int) -> None:
    """One job: a header as JSON, then the call, pickled by the host."""
    os.set_inheritable(fd, False)
    header = json.loads(_read(fd, *struct.unpack("!Q", _read(fd, 8))))
    call = _read(fd, *struct.unpack("!Q", _read(fd, 8)))
    sys.path[:0] = header["paths"]
    encode = _encoder(header["form"])
    try:
        function, args, kwargs = pickle.loads(call)
        answer = encode({"value": function(*args, **kwargs)})
        if len(answer) > header["size"]:
            raise ValueError(f"the result has {len(answer)} bytes as {header['form']}, of which {header['size']} may be")
    except BaseException as error:
        kind = type(error)
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        told = {
            "type": name[:_TEXT],
            "message": str(error)[:_TEXT],
            "traceback": "".join(traceback.format_exception(kind, error, error.__traceback__))[-_TEXT:],
        }
        answer = encode({"error": told})
    _write(fd, answer)


if __name__ == "__main__":
    main(int(sys.argv[1]))
