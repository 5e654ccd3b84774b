"""Owns: the table of payloads that do not want to end. The tests bound it generously; `benches/nasty.py` measures it."""

from __future__ import annotations

# Name: shell line, or Python after `python: `; how it may end; what standard output begins with.
NASTY = {
    "a setsid holder of the pipe": ("echo said; setsid sleep 1000 & sleep 1000", {"wall_time"}, b"said\n"),
    "a holder that outlives it": ("echo said; setsid sleep 1000 & exit 0", {"exited"}, b"said\n"),
    "deaf to SIGTERM": ("trap '' TERM INT HUP; echo said; while :; do sleep 1; done", {"wall_time"}, b"said\n"),
    "stops itself": ("echo said; kill -STOP $$", {"wall_time"}, b"said\n"),
    "a double fork": ("echo said; ( ( sleep 1000 & ) & ) ; sleep 1000", {"wall_time"}, b"said\n"),
    "a gigabyte of output": ("head -c 1000000000 /dev/zero", {"exited", "wall_time"}, b"\0\0"),
    "endless output": ("cat /dev/zero", {"wall_time"}, b"\0\0"),
    "a fork bomb": ("echo said; bomb() { bomb | bomb & }; bomb; sleep 1000", {"wall_time", "exited"}, b"said\n"),
    "not UTF-8": (r"printf '\377\376'; sleep 1000", {"wall_time"}, b"\xff\xfe"),
    "deep recursion": (
        "python: import sys; sys.setrecursionlimit(10**9); print('said', flush=True)\ndef f(n): return [f(n + 1)]\nf(0)",
        # Whichever comes first: the end of its stack, of its memory or of its time.
        {"signaled", "exited", "memory", "wall_time"},
        b"said\n",
    ),
    "too much memory": (
        "python: print('said', flush=True)\nx = bytearray(600 << 20)\nx[::4096] = b'x' * len(x[::4096])",
        {"memory", "exited", "signaled"},
        b"said\n",
    ),
    "closes its streams": ("echo said; exec >&- 2>&-; sleep 1000", {"wall_time"}, b"said\n"),
    "kills init": ("echo said; kill -9 1; kill -TERM 1; sleep 1000", {"wall_time"}, b"said\n"),
    "kills everybody": ("echo said; kill -9 -1; sleep 1000", {"signaled", "wall_time"}, b"said\n"),
}


# A fork bomb needs a bound, and so does a recursion: where there are no cgroups, rlimits.
LIMITS = {"pids": 50, "memory": "256M", "output": "1M", "compat": {"prefer": ["limits.*"]}}


def argv(name: str) -> list[str]:
    """Its command."""
    kind, _, rest = NASTY[name][0].partition(": ")
    return ["python3", "-c", rest] if kind == "python" else ["sh", "-c", NASTY[name][0]]
