"""Owns: how a payload ended, as plain data that pickles and compares.

Must not: hold an fd or anything else that lives.
Start at: ``Outcome``.
"""

from __future__ import annotations

import json
import os

from ._value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal

    from ._types import Arg, Ended


@value
class IoUsage:
    """What was read from and written to one device. ``None``: this host can't tell."""

    device: str
    """``major:minor``."""
    read_bytes: int | None = None
    """Bytes."""
    write_bytes: int | None = None
    """Bytes."""
    read_ops: int | None = None
    """Operations."""
    write_ops: int | None = None
    """Operations."""
    queued: int | None = None
    """Operations waiting."""
    wait_time: float | None = None
    """Seconds."""
    service_time: float | None = None
    """Seconds."""


@value
class Usage:
    """What the payload and its descendants used. ``None``: this host can't tell."""

    cpu_user: float | None = None
    """User CPU time in seconds."""
    cpu_system: float | None = None
    """System CPU time in seconds."""
    cpu_throttled: float | None = None
    """Seconds in which it could have run and was not let, by a CPU quota."""
    memory_peak: int | None = None
    """Bytes; see ``memory_source``."""
    memory_source: str | None = None
    """Where ``memory_peak`` comes from: ``cgroup-v1``, ``cgroup-v2``, or ``vmhwm``: the largest process's resident set."""
    memory_limit_hits: int | None = None
    """How often the memory limit was hit."""
    oom_kills: int | None = None
    """How many processes the out-of-memory killer killed."""
    swap_peak: int | None = None
    """Bytes."""
    page_faults_major: int | None = None
    """Page faults that needed I/O."""
    page_ins: int | None = None
    """Pages brought in."""
    page_outs: int | None = None
    """Pages written out."""
    pids_peak: int | None = None
    """The most processes and threads at one time."""
    pids_limit_hits: int | None = None
    """How often the pids limit refused a fork."""
    io: tuple[IoUsage, ...] | None = None
    """Per device; needs cgroups."""
    context_switches_voluntary: int | None = None
    """How often it waited."""
    context_switches_involuntary: int | None = None
    """How often it was made to wait."""


@value
class Pressure:
    """Seconds in which at least one process waited for a resource (the kernel's pressure stall information)."""

    cpu: float | None = None
    """For a CPU."""
    memory: float | None = None
    """For memory: reclaim, refaults, swap."""
    io: float | None = None
    """For block I/O."""


@value
class Sample:
    """What a payload and its descendants use at one moment."""

    elapsed: float
    """Seconds since the payload was executed."""
    usage: Usage
    """Everything used until now."""
    memory_current: int | None = None
    """Bytes in use now; ``None`` without a group that counts memory."""
    pids_current: int | None = None
    """Processes and threads now, without those of Pinfold; ``None`` without a group that counts them."""
    pressure: Pressure | None = None
    """How long something had to wait; ``None`` without cgroup v2, or on a kernel without PSI."""


@value
class Timings:
    """Where the time went, in seconds."""

    setup: float = 0.0
    """From the call to the payload's exec."""
    payload: float = 0.0
    """From the exec to the payload's end."""
    teardown: float = 0.0
    """From the payload's end to the return of the outcome."""


@value
class Degradation:
    """One thing that is weaker than asked for; only ever what ``compat.prefer`` allows."""

    feature: str
    """The config key."""
    wanted: str
    """What was asked for."""
    got: str
    """What is enforced instead."""
    because: str
    """Why."""


@value
class Report:
    """What was enforced, and what was weakened and why."""

    enforced: dict[str, str]
    """Feature (a config key) to how it is enforced: ``{"namespaces.user": "new"}``."""
    degradations: tuple[Degradation, ...] = ()
    """What is weaker than asked for."""


@value
class Change:
    """One difference between the root as it is and the layers below its writable one."""

    path: str
    """The absolute path inside; what is not UTF-8 is escaped as ``os.fsdecode`` does."""
    change: Literal["added", "modified", "deleted"]
    """What happened to it. A deleted directory is one change."""
    kind: str
    """What it is now, or was: ``file, directory, symlink, fifo, socket, device``."""
    size: int
    """Bytes of a regular file, or of a link's text; else 0."""
    mode: int
    """The permission bits."""
    metadata_only: bool
    """Of something modified: its content is the same."""
    replaced: bool
    """Of something modified: nothing of what was there shows any more."""


@value
class Outcome:
    """How a payload ended, and why: plain data, which pickles and compares.

    A payload that fails is an outcome, not an error; ``check=True`` makes it one.
    """

    ended: Ended
    """Why it ended."""
    exit_code: int | None
    """The exit code, if it exited."""
    signal: int | None
    """The number of the signal it died of, if it did."""
    signal_name: str | None
    """That signal's name (``"SIGSEGV"``)."""
    ok: bool
    """Whether it exited with 0."""
    detail: str
    """One sentence: ``"exited with 0"``, ``"killed after 5s of wall time"``."""
    stdout: bytes | None
    """What it wrote to standard output; ``None`` where that was not captured."""
    stderr: bytes | None
    """What it wrote to standard error; ``None`` where that was not captured."""
    stdout_truncated: bool
    """Whether standard output went on beyond ``limits.output``."""
    stderr_truncated: bool
    """Whether standard error went on beyond ``limits.output``."""
    duration: float
    """Seconds from the call to the outcome."""
    usage: Usage
    """What it used."""
    timings: Timings
    """Where the time went."""
    report: Report
    """What was enforced."""
    _changes: tuple[Change, ...] | None = None

    def _with(self, **changes: Any) -> Outcome:
        fields: dict[str, Any] = {name: getattr(self, name) for name in self.__match_args__}
        return Outcome(**{**fields, **changes})

    def changes(self) -> tuple[Change, ...] | None:
        """What differs from the layers below a writable overlay, sorted by path; ``None`` without an overlay."""
        return self._changes

    @property
    def text(self) -> str:
        """Standard output as text; what is not UTF-8 is replaced. Empty where nothing was captured."""
        return (self.stdout or b"").decode(errors="replace")

    @property
    def stderr_text(self) -> str:
        """Standard error as text; what is not UTF-8 is replaced. Empty where nothing was captured."""
        return (self.stderr or b"").decode(errors="replace")

    @property
    def returncode(self) -> int:
        """As ``subprocess`` has it: the exit code, or minus the signal's number."""
        if self.exit_code is not None:
            return self.exit_code
        return -(self.signal or 0)

    def check(self, argv: Sequence[Arg] = ()) -> Outcome:
        """Itself if ``ok``.

        Raises:
            TimedOut: its wall time or CPU time ended it.
            CommandFailed: it ended badly otherwise.
        """
        if self.ok:
            return self
        from ._failures import CommandFailed, TimedOut

        raise (TimedOut if timed_out(self) else CommandFailed)(argv, self)


def timed_out(outcome: Outcome) -> bool:
    """Whether it used up its time, of either kind."""
    return outcome.ended in ("wall_time", "cpu_time")


def usage_from(fields: dict[str, Any]) -> Usage:
    """What the native module tells of use."""
    io = fields.pop("io", None)
    return Usage(io=None if io is None else tuple(IoUsage(**device) for device in io), **fields)


def sample_from(told: str) -> Sample:
    """What the native module tells of one moment."""
    fields: dict[str, Any] = json.loads(told)
    usage = usage_from(fields.pop("usage"))
    pressure = fields.pop("pressure")
    return Sample(usage=usage, pressure=None if pressure is None else Pressure(**pressure), **fields)


def _change(fields: dict[str, Any]) -> Change:
    path = fields["path"]
    text = path if isinstance(path, str) else os.fsdecode(bytes(path))
    return Change(**{**fields, "path": text, "mode": int(fields["mode"], 8)})


def changes_from(told: str) -> tuple[Change, ...]:
    """The changes that the native module tells."""
    return tuple(map(_change, json.loads(told)))


def from_native(told: tuple[str, bytes | None, bytes | None]) -> Outcome:
    """The outcome that the native module tells."""
    fields: dict[str, Any] = json.loads(told[0])
    report = fields["report"]
    changes = fields["changes"]
    return Outcome(
        ended=fields["ended"],
        exit_code=fields["exit_code"],
        signal=fields["signal"],
        signal_name=fields["signal_name"],
        ok=fields["ok"],
        detail=fields["detail"],
        stdout=told[1],
        stderr=told[2],
        stdout_truncated=fields["stdout_truncated"],
        stderr_truncated=fields["stderr_truncated"],
        duration=fields["duration"],
        usage=usage_from(fields["usage"]),
        timings=Timings(**fields["timings"]),
        report=Report(report["enforced"], tuple(Degradation(**one) for one in report["degradations"])),
        _changes=None if changes is None else tuple(map(_change, changes)),
    )
