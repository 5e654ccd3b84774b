"""How long payloads that do not want to end take with a timeout of a second (the table is `tests/nasty.py`), and how long
Ctrl-C takes to end one and be raised.

    python benches/nasty.py
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from nasty import LIMITS, NASTY, argv  # noqa: E402
from pinfold import Sandbox  # noqa: E402


HOST = """
import time, pinfold
box = pinfold.Sandbox()
box.run(["true"])
print("ready", flush=True)
try:
    box.run(["sh", "-c", "trap '' INT TERM; setsid sleep 1000 & sleep 1000"])
except KeyboardInterrupt:
    print(time.monotonic(), flush=True)
"""


def interrupted():
    """Seconds from the signal to the exception, with the tree gone."""
    with subprocess.Popen([sys.executable, "-c", HOST], stdout=subprocess.PIPE, text=True) as host:
        host.stdout.readline()
        time.sleep(0.3)
        sent = time.monotonic()
        host.send_signal(signal.SIGINT)
        return float(host.stdout.readline()) - sent


def main():
    box = Sandbox(**LIMITS)
    worst = 0.0
    for name in NASTY:
        begun = time.perf_counter()
        outcome = box.run(argv(name), timeout=1)
        took = time.perf_counter() - begun
        worst = max(worst, took)
        kept = len(outcome.stdout or b"")
        print(f"{name:<30} {took:6.3f} s  {outcome.ended:<10} {kept:>8} bytes kept  {outcome.detail}")
    print(f"\nworst {worst:.3f} s of 1.1 s")
    print(f"Ctrl-C: worst of 10 {max(interrupted() for _ in range(10)) * 1000:.0f} ms of 300 ms")


if __name__ == "__main__":
    main()
