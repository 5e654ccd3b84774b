"""Start and end of `/bin/true` in a default sandbox, beside `subprocess.run` and others from PyPI, in one interleaved run.

    python benches/compare.py [--rounds N] [--host MB ...]

Runs itself once per host size, in which that many MB are touched: 0 and 700. Peers that are not installed are left out
(`pip install nanosandbox sandlock`). Prints medians in microseconds, back to back and with 50 ms pauses, and the peak memory
that is reported for `/bin/true`. What counts are the ratios within one run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

TRUE = "/bin/true"


def contenders():
    import pinfold

    found = {"subprocess.run": lambda: subprocess.run([TRUE], capture_output=True)}
    box = pinfold.Sandbox()
    found["pinfold, fresh sandbox"] = lambda: box.run([TRUE])
    session = box.open()
    found["pinfold, in a session"] = lambda: session.run([TRUE])
    try:
        import nanosandbox

        # Its closest to a default: no network, the system's programs.
        nano = nanosandbox.Sandbox.builder().read_only("/usr").no_network().wall_time_limit(10).build()
        found["nanosandbox"] = lambda: nano.run(TRUE, [])
    except Exception as error:
        print(f"without nanosandbox: {error}", file=sys.stderr)
    try:
        import sandlock

        lock = sandlock.Sandbox(fs_readable=["/usr", "/bin", "/lib", "/lib64", "/etc"])
        if lock.run([TRUE]).exit_code != 0:
            raise RuntimeError("it can't run /bin/true here")
        found["sandlock"] = lambda: lock.run([TRUE])
    except Exception as error:
        print(f"without sandlock: {error}", file=sys.stderr)
    return found


def measure(found, rounds, pause):
    times = {name: [] for name in found}
    # Each makes caches of its own at its first run.
    for run in found.values():
        run()
    for _ in range(rounds):
        for name, run in found.items():
            if pause:
                time.sleep(pause)
            begun = time.perf_counter()
            run()
            times[name].append((time.perf_counter() - begun) * 1e6)
    return {name: statistics.median(taken) for name, taken in times.items()}


def one_host(megabytes, rounds):
    touched = bytearray(megabytes << 20)
    touched[::4096] = b"x" * len(touched[::4096])
    found = contenders()
    told = {
        "back to back": measure(found, rounds, 0),
        "with pauses": measure(found, max(10, rounds // 4), 0.05),
        "peak": {"pinfold, fresh sandbox": found["pinfold, fresh sandbox"]().usage.memory_peak},
    }
    if "nanosandbox" in found:
        told["peak"]["nanosandbox"] = getattr(found["nanosandbox"](), "peak_memory_bytes", None)
    return told


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--host", type=int, nargs="*", default=[0, 700])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one is not None:
        print(json.dumps(one_host(arguments.one, arguments.rounds)))
        return
    hosts = {}
    for megabytes in arguments.host:
        command = [sys.executable, __file__, "--one", str(megabytes), "--rounds", str(arguments.rounds)]
        hosts[megabytes] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    first, last = hosts[arguments.host[0]], hosts[arguments.host[-1]]
    for kind in ("back to back", "with pauses"):
        print(f"\n{kind}, median us" + "".join(f"{size:>10} MB" for size in hosts) + "   big/small")
        for name in first[kind]:
            row = "".join(f"{host[kind][name]:13.0f}" for host in hosts.values())
            print(f"  {name:<24}{row}   {last[kind][name] / first[kind][name]:9.2f}")
    print("\nreported peak of /bin/true, MB")
    for name in last["peak"]:
        print(f"  {name:<24}" + "".join(f"{(host['peak'][name] or 0) / 1e6:13.1f}" for host in hosts.values()))


if __name__ == "__main__":
    main()
