"""How long payloads that do not want to end take with a timeout of a second (the table is `tests/nasty.py`), and how long
Ctrl-C takes to end one and be raised. A wrong reason is an error.

    python benches/nasty.py [--rounds N]
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from nasty import LIMITS, NASTY, argv  # noqa: E402
from pinfold import Sandbox  # noqa: E402


HOST = """
import signal, sys, threading, time, pinfold
box = pinfold.Sandbox()
box.run(["true"])
if sys.argv[1] == "another thread":
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
print("ready", flush=True)
try:
    box.run(["sh", "-c", "trap '' INT TERM; setsid sleep 1000 & sleep 1000"])
except KeyboardInterrupt:
    print(time.monotonic(), flush=True)
"""


def interrupted(who):
    """Seconds from the signal to the exception, with the tree gone, where this thread gets the signal."""
    with subprocess.Popen([sys.executable, "-c", HOST, who], stdout=subprocess.PIPE, text=True) as host:
        host.stdout.readline()
        time.sleep(0.3)
        sent = time.monotonic()
        host.send_signal(signal.SIGINT)
        return float(host.stdout.readline()) - sent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    box = Sandbox(**LIMITS)
    worst = 0.0
    for name in NASTY:
        taken = []
        for _ in range(rounds):
            begun = time.perf_counter()
            outcome = box.run(argv(name), timeout=1)
            taken.append(time.perf_counter() - begun)
            _, ended, begins = NASTY[name]
            if outcome.ended not in ended or not (outcome.stdout or b"").startswith(begins):
                raise SystemExit(f"{name}: {outcome}")
        worst = max(worst, *taken)
        print(f"{name:<30} {min(taken):6.3f} to {max(taken):5.3f} s  {len(outcome.stdout):>8} bytes kept  {outcome.detail}")
    print(f"\nworst {worst:.3f} s of 1.1 s")
    for who in ("the thread that waits", "another thread"):
        taken = [interrupted(who) * 1000 for _ in range(10)]
        print(f"Ctrl-C, given to {who}: {min(taken):.0f} to {max(taken):.0f} ms of 300 ms")


if __name__ == "__main__":
    main()
