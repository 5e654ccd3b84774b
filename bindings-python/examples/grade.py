"""Grades submissions: each in a fresh sandbox, with a time limit, side by side.

The function is one of this program, which has no import path inside: it goes in by value, with
``pip install 'pinfold[cloudpickle]'``.
"""

from pinfold import Sandbox, SandboxExecutor, WorkerTimedOut

SUBMISSIONS = {
    "right": "def solve(numbers):\n    return sum(numbers)",
    "wrong": "def solve(numbers):\n    return max(numbers)",
    "raises": "def solve(numbers):\n    return numbers[10]",
    "spins": "def solve(numbers):\n    while True: pass",
    "prying": "def solve(numbers):\n    return open('/etc/shadow').read()",
}


def grade(source):
    """Runs inside. What it returns comes out as JSON."""
    space = {}
    exec(source, space)
    cases = [([1, 2, 3], 6), ([], 0), ([-1, 1], 0)]
    passed = 0
    for numbers, expected in cases:
        try:
            passed += space["solve"](numbers) == expected
        except Exception as error:
            return {"passed": passed, "error": f"{type(error).__name__}: {error}"}
    return {"passed": passed, "error": None}


def main():
    with SandboxExecutor(Sandbox(timeout=3), max_workers=2) as executor:
        futures = {name: executor.submit(grade, source) for name, source in SUBMISSIONS.items()}
        for name, future in futures.items():
            try:
                print(f"{name:8} {future.result()}")
            except WorkerTimedOut as late:
                print(f"{name:8} {late.outcome.detail}")


if __name__ == "__main__":
    main()
