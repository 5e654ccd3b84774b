"""Owns: the way from Python values to the JSON text that the core reads.  Must not: know any option."""

from __future__ import annotations

import json
import os

from ._errors import config_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def _plain(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray, memoryview)):
        data = bytes(value)
        try:
            return data.decode()
        except UnicodeDecodeError:
            return list(data)
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if hasattr(value, "total_seconds"):
        return value.total_seconds()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if hasattr(value, "keys"):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is neither plain data nor a path")


def to_json(options: Mapping[str, Any]) -> str:
    """Options as JSON: paths, bytes, tuples, sets and ``timedelta`` besides plain data.

    Raises:
        ConfigError: a value is nothing of that kind.
    """
    try:
        return json.dumps(options, default=_plain, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise config_error("options", str(error)) from None
