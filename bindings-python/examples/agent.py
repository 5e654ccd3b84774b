"""What an agent needs: one live sandbox, commands one after another, each with its outcome and a limit of its own."""

from pinfold import Sandbox

STEPS = [
    ["sh", "-c", "mkdir -p /tmp/job && echo 'print(6 * 7)' > /tmp/job/a.py"],
    ["python3", "/tmp/job/a.py"],
    ["sh", "-c", "cat /tmp/job/missing"],
    ["sleep", "1000"],
    ["sh", "-c", "wget -q http://192.0.2.1/ || ping -c 1 192.0.2.1 || echo no network"],
]


def main():
    with Sandbox().open() as session:
        for argv in STEPS:
            outcome = session.run(argv, timeout=2, stderr="stdout", output="64K")
            print(f"$ {' '.join(argv)}\n{outcome.text}[{outcome.detail}]\n")


if __name__ == "__main__":
    main()
