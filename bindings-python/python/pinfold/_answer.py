"""Owns: bytes from inside to plain values, as hostile input: bounded in size and depth, JSON or msgpack, never pickled.

Start at: ``decode``.
"""

from __future__ import annotations

import json
import re
from typing import Any

MAX_DEPTH = 64
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)


class Refused(ValueError):
    """What came from inside is not what was agreed."""


def _shallow_json(data: bytes) -> None:
    depth = 0
    for token in _TOKENS.finditer(data):
        first = token.group()[:1]
        if first in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise Refused(f"it is nested more than {MAX_DEPTH} levels deep")
        elif first in b"]}":
            depth -= 1


def _shallow(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            inner
            for one in level
            if isinstance(one, (dict, list))
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return
    raise Refused(f"it is nested more than {MAX_DEPTH} levels deep")


def decode(data: bytes, form: str) -> Any:
    """The value.

    Raises:
        Refused: it is none.
    """
    try:
        if form == "msgpack":
            import msgpack

            value = msgpack.unpackb(data, raw=False, ext_hook=_no_extension)
            _shallow(value)
            return value
        _shallow_json(data)
        return json.loads(data)
    except Refused:
        raise
    except Exception as error:
        raise Refused(f"it is no {form}: {error}") from None


def _no_extension(code: int, data: bytes) -> Any:
    raise Refused("it has an extension type")
