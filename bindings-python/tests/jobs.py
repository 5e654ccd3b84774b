"""Owns: what the executor's tests call, by import path."""

from __future__ import annotations

import os
import sys
import time


def double(number):
    return 2 * number


def fail(message):
    raise LookupError(message)


def leave(code):
    os._exit(code)


def sleep(seconds):
    time.sleep(seconds)
    return seconds


def spin():
    while True:
        pass


def who():
    with open("/proc/sys/kernel/random/boot_id"):
        pass
    seen = getattr(sys, "seen", 0)
    sys.seen = seen + 1
    with open("/tmp/job", "a") as file:
        file.write("x")
    return [seen, os.path.getsize("/tmp/job"), os.getuid()]


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


def unspeakable():
    return object()


def echo(value):
    return value


def forge():
    """Writes an answer of its own to whatever looks like the socket, and ends."""
    for number in range(3, 20):
        try:
            os.write(number, (1 << 60).to_bytes(8, "big") + b"junk")
        except OSError:
            pass
    os._exit(0)


class Odd(Exception):
    def __reduce__(self):
        return os.system, ("touch /tmp/owned",)


def odd():
    raise Odd("no pickle please")
