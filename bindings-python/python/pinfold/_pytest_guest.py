"""Owns: the inside of a sandboxed test: sends each report out as JSON, as soon as it is there.

Must not: decide anything about the test.
"""

from __future__ import annotations

import json
import os
import struct
from typing import Any

import pytest


class Reporter:
    """A plugin that passes reports on."""

    def __init__(self, fd: int) -> None:
        os.set_inheritable(fd, False)
        self.fd = fd
        self.config: pytest.Config | None = None

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Remembers what turns reports into plain data."""
        self.config = session.config

    def _send(self, report: Any) -> None:
        assert self.config is not None
        data = self.config.hook.pytest_report_to_serializable(config=self.config, report=report)
        text = json.dumps(data, default=str).encode()
        view = memoryview(struct.pack("!Q", len(text)) + text)
        while view:
            view = view[os.write(self.fd, view) :]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One phase of the test."""
        self._send(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A collection that failed: there is no test then."""
        if report.failed:
            self._send(report)
