"""Owns: which directories a Python interpreter needs inside.  Must not: mount anything."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._config import MountConfig

# What a `system` root shows anyway.
_SHOWN = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store")


def _within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def read_only_mounts(paths: Iterable[str]) -> list[MountConfig]:
    """Binds of existing paths at the same place, read-only; those that a ``system`` root or another one shows left out."""
    wanted: list[str] = []
    for path in sorted({os.path.abspath(path) for path in paths if path}):
        shown = any(_within(path, directory) for directory in (*_SHOWN, *wanted))
        if not shown and path != "/" and os.path.exists(path):
            wanted.append(path)
    return [{"kind": "bind", "source": path, "target": path, "read_only": True} for path in wanted]


def python_mounts(*, sys_path: bool = False) -> list[MountConfig]:
    """The mounts that make the running interpreter work inside: its prefixes at the same places, read-only, as far as a
    ``system`` root does not show them already. Run it as ``sys.executable``. Works for virtual environments and for
    interpreters outside of ``/usr``.

    ::

        box = Sandbox(mounts=python_mounts())
        box.run([sys.executable, "-c", "import sys; print(sys.prefix)"])

    Args:
        sys_path: also every directory and archive on ``sys.path``, such as those of editable installs.
    """
    executable = sys.executable or ""
    base = getattr(sys, "_base_executable", executable) or executable
    paths = {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}
    # The names that lead there, and where they lead: interpreters are often found through symbolic links.
    paths |= {os.path.realpath(path) for path in paths}
    if base:
        real = os.path.realpath(base)
        if not any(_within(real, os.path.realpath(path)) for path in paths):
            paths.add(os.path.dirname(real))
    if sys_path:
        paths |= {path for path in sys.path if path and os.path.exists(path)}
    return read_only_mounts(paths)
