# Looks for what a grader would rather keep: other submissions, expected answers, the network, the host's processes.
import os
import socket
import sys

found = []
for path in ["/home", "/root", "/srv", "/var/tmp"]:
    found += os.listdir(path)
found += [name for name in os.listdir("/job") if name != "answer.py"]
# Two processes: the sandbox's own first one and this.
if len([name for name in os.listdir("/proc") if name.isdigit()]) != 2:
    found.append("processes")
try:
    socket.create_connection(("192.0.2.1", 80), timeout=1)
    found.append("network")
except OSError:
    pass
try:
    open("/job/answer.py", "a")
    found.append("a way to change the submission")
except OSError:
    pass
if os.environ.keys() - {"PATH", "HOME", "USER", "LANG", "LC_CTYPE", "PWD"}:
    found.append("environment")

print(found, file=sys.stderr)
sys.exit(4 if found else 3)
