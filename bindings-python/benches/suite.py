"""What `--sandboxed` costs per test: a suite of 200 tests with `-n 2`, with and without.

    python benches/suite.py [--tests N]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import subprocess
import sys
import tempfile
import time
from pathlib import Path

INSTALLED = any(point.value == "pinfold._pytest_plugin" for point in importlib.metadata.entry_points(group="pytest11"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", type=int, default=200)
    count = parser.parse_args().tests
    with tempfile.TemporaryDirectory() as name:
        suite = Path(name) / "test_suite.py"
        suite.write_text(
            "import pytest\n\n"
            f'@pytest.mark.parametrize("n", range({count}))\n'
            "def test_one(n, tmp_path):\n"
            '    (tmp_path / "a").write_text(str(n))\n'
            "    assert n >= 0\n"
        )
        Path(name).chmod(0o755)
        plugin = [] if INSTALLED else ["-p", "pinfold._pytest_plugin"]
        command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", *plugin, name]
        # What a pytest of its own per test costs without any sandbox.
        alone = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *plugin, f"{suite}::test_one[0]"]
        taken = {}
        for kind, arguments in (("outside", command), ("inside", [*command, "--sandboxed"]), ("one pytest", alone)):
            begun = time.perf_counter()
            done = subprocess.run(arguments, capture_output=True, text=True)
            taken[kind] = time.perf_counter() - begun
            if done.returncode != 0:
                raise SystemExit(f"{kind}: {done.stdout}{done.stderr}")
            print(f"{kind:<12} {taken[kind]:7.2f} s  {done.stdout.strip().splitlines()[-1]}")
    overhead = (taken["inside"] - taken["outside"]) / count
    print(f"overhead per test with -n 2: {overhead * 1000:.0f} ms; two at a time, each {overhead * 2000:.0f} ms")


if __name__ == "__main__":
    main()
