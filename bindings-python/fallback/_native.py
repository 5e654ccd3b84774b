"""Stands for the native module on systems that it is not made for: every call is an ``UnsupportedError``."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

from ._errors import UnsupportedError

__version__ = "@VERSION@"


def _refuse(*_: Any, **__: Any) -> NoReturn:
    linux = sys.platform.startswith("linux")
    raise UnsupportedError(
        "unsupported",
        f"this is pinfold's package for systems without a native one, and this system is {sys.platform}",
        "install from source, with Rust: pip install --no-binary pinfold pinfold"
        if linux
        else "sandboxes need Linux 5.14 or newer: use a Linux machine, virtual machine or container",
        stage="probe",
    )


class Sandbox:
    """Refuses."""

    def __init__(self, *_: Any) -> None:
        _refuse()

    from_file = staticmethod(_refuse)


class Session:
    """There is none."""


class Pool:
    """There is none."""


class KeptRoot:
    """There is none."""


class Files:
    """There is none."""


class Process:
    """There is none."""


doctor = _refuse
option_names = _refuse
call_option_names = _refuse
