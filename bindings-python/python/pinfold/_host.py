"""Owns: what this host can do, as plain data and in words.  Must not: decide what is enough."""

from __future__ import annotations

import json
from typing import Any, Literal

from . import _native
from ._errors import SandboxError
from ._value import value


@value
class Finding:
    """What this host offers of one feature."""

    feature: str
    """A stable name: the config key it stands behind where there is one (``"namespaces.user"``)."""
    state: Literal["available", "limited", "missing"]
    """How much of it."""
    detail: str
    """What was found."""
    remedy: str | None = None
    """What to do to have it, or more of it."""

    def __str__(self) -> str:
        line = f"{self.state:<10} {self.feature:<26} {self.detail}"
        return line if self.remedy is None else f"{line}\n{'':<37} -> {self.remedy}"


@value
class Doctor:
    """What this host can do. Prints as a table."""

    host: dict[str, Any]
    """The facts."""
    findings: tuple[Finding, ...]
    """What they mean."""
    ok: bool
    """Whether a default sandbox runs ``true``."""
    error: SandboxError | None
    """Why it does not."""

    def __getitem__(self, feature: str) -> Finding:
        """The finding of a feature.

        Raises:
            KeyError: there is none of that name.
        """
        for finding in self.findings:
            if finding.feature == feature:
                return finding
        raise KeyError(feature)

    def __str__(self) -> str:
        lines = [str(finding) for finding in self.findings]
        lines.append("a default sandbox works" if self.ok else f"a default sandbox does not work: {self.error}")
        return "\n".join(lines)


def doctor() -> Doctor:
    """Finds out what this host can do, what it can't and how to enable it. It starts one default sandbox.

    Raises:
        SandboxError: the facts can't be read (no ``/proc``).
    """
    from ._sandbox import Sandbox

    host, findings = _native.doctor()
    error: SandboxError | None = None
    ok = False
    try:
        ok = Sandbox(timeout=10).run(["true"]).ok
    except SandboxError as refused:
        error = refused
    return Doctor(json.loads(host), tuple(Finding(**one) for one in json.loads(findings)), ok, error)
