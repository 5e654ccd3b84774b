"""Start and end of `/bin/true` in a default sandbox, beside `subprocess.run` and others from PyPI, in one interleaved run.

    pip install nanosandbox sandlock
    python benches/compare.py [--rounds N] [--host MB ...]

Runs itself once per host size, in which that many MB are touched: 0 and 700. Prints microseconds, back to back and with 50 ms
pauses: the median, and in brackets what one run in ten is below and one in ten above; and the peak memory that is reported for
`/bin/true`. Every run is checked to have been a success. A peer that can't be measured has a row that says why. What counts are
the ratios within one run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

TRUE = "/bin/true"
OURS = "pinfold, fresh sandbox"


def of_subprocess():
    return lambda: subprocess.run([TRUE], capture_output=True), lambda done: done.returncode == 0


def of_pinfold():
    import pinfold

    box = pinfold.Sandbox()
    return lambda: box.run([TRUE]), lambda outcome: outcome.ok


def of_a_session():
    import pinfold

    session = pinfold.Sandbox().open()
    return lambda: session.run([TRUE]), lambda outcome: outcome.ok


def of_nanosandbox():
    import nanosandbox

    # Its closest to a default: no network, the system's programs.
    box = nanosandbox.Sandbox.builder().read_only("/usr").no_network().wall_time_limit(10).build()
    return lambda: box.run(TRUE, []), lambda result: result.exit_code == 0 and result.signal is None


def of_sandlock():
    import sandlock

    # Landlock and seccomp in the host's namespaces; with the programs and libraries that our default shows.
    box = sandlock.Sandbox(fs_readable=["/usr", "/bin", "/lib", "/lib64", "/etc"])
    return lambda: box.run([TRUE]), lambda result: result.success and result.exit_code == 0


CONTENDERS = {
    "subprocess.run": of_subprocess,
    OURS: of_pinfold,
    "pinfold, in a session": of_a_session,
    "nanosandbox": of_nanosandbox,
    "sandlock": of_sandlock,
}


def checked(name, run, well):
    result = run()
    if not well(result):
        raise RuntimeError(f"{name} did not run {TRUE}: {result}")
    return result


def contenders():
    """Those that can run here, and why the others can't."""
    found, missing = {}, {}
    for name, make in CONTENDERS.items():
        try:
            run, well = make()
            # Each makes caches of its own at its first run.
            checked(name, run, well)
            found[name] = run, well
        except Exception as error:
            if name.startswith("pinfold"):
                raise
            missing[name] = f"{type(error).__name__}: {error}".splitlines()[0]
    return found, missing


def measure(found, rounds, pause):
    times = {name: [] for name in found}
    for _ in range(rounds):
        for name, (run, well) in found.items():
            time.sleep(pause)
            begun = time.perf_counter()
            result = run()
            times[name].append((time.perf_counter() - begun) * 1e6)
            if not well(result):
                raise RuntimeError(f"{name} did not run {TRUE}: {result}")
    return {name: spread(taken) for name, taken in times.items()}


def spread(taken):
    tenths = statistics.quantiles(taken, n=10)
    return tenths[0], statistics.median(taken), tenths[-1]


def one_host(megabytes, rounds):
    touched = bytearray(megabytes << 20)
    touched[::4096] = b"x" * len(touched[::4096])
    found, missing = contenders()
    told = {
        "back to back": measure(found, rounds, 0),
        "with pauses": measure(found, max(10, rounds // 4), 0.05),
        "peak": {OURS: checked(OURS, *found[OURS]).usage.memory_peak},
        "missing": missing,
    }
    if "nanosandbox" in found:
        told["peak"]["nanosandbox"] = checked("nanosandbox", *found["nanosandbox"]).peak_memory_bytes
    return told


def table(kind, hosts):
    first, last = [*hosts.values()][0], [*hosts.values()][-1]
    print(f"\n{kind}, us" + "".join(f"{f'{size} MB':>26}" for size in hosts) + "   big/small   of fresh sandbox")
    for name in CONTENDERS:
        missing = [host["missing"][name] for host in hosts.values() if name in host["missing"]]
        if missing:
            print(f"  {name:<24} not measured: {missing[0]}")
            continue
        cells = [host[kind][name] for host in hosts.values()]
        row = "".join(f"{f'{median:.0f} [{low:.0f} - {high:.0f}]':>26}" for low, median, high in cells)
        print(f"  {name:<22}{row}   {last[kind][name][1] / first[kind][name][1]:9.2f}   {first[kind][name][1] / first[kind][OURS][1]:9.2f}")


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
    for kind in ("back to back", "with pauses"):
        table(kind, hosts)
    print("\nreported peak of /bin/true, MB")
    for name in [*hosts.values()][-1]["peak"]:
        peaks = [host["peak"].get(name) for host in hosts.values()]
        print(f"  {name:<24}" + "".join(f"{'not told' if peak is None else f'{peak / 1e6:.1f}':>13}" for peak in peaks))


if __name__ == "__main__":
    main()
