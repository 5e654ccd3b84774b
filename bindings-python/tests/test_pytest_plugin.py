"""The pytest plugin: tests that run inside, and what is said of them."""

from __future__ import annotations

import importlib.metadata
import xml.etree.ElementTree

import pytest

# A wheel has the entry point; a source tree has not.
INSTALLED = any(point.value == "pinfold._pytest_plugin" for point in importlib.metadata.entry_points(group="pytest11"))
PLUGIN = [] if INSTALLED else ["-p", "pinfold._pytest_plugin"]


@pytest.fixture
def go(pytester, monkeypatch):
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.path.chmod(0o755)
    return lambda *args: pytester.runpytest_subprocess(*PLUGIN, "-p", "no:cacheprovider", *args, timeout=120)


def test_the_fixtures(pytester, go):
    pytester.makepyfile(
        """
        import sys

        def test_sandbox(sandbox):
            assert sandbox.run([sys.executable, "-c", "print(1)"]).text == "1\\n"

        def test_session(sandbox_session):
            sandbox_session.run(["touch", "/tmp/a"], check=True)
            assert sandbox_session.run(["ls", "/tmp/a"]).text == "/tmp/a\\n"
        """
    )
    go().assert_outcomes(passed=2)


INSIDE = """
    import os, socket
    import pytest

    @pytest.fixture
    def value(tmp_path):
        (tmp_path / "a").write_text(str(os.getpid()))
        yield 41
        print("torn down", os.getuid())

    pytestmark = pytest.mark.sandboxed(timeout=60)

    def test_inside(value):
        assert os.getuid() == 1000
        assert not os.path.exists("/root/.bashrc") and not os.path.exists("/etc/shadow")
        with pytest.raises(OSError):
            socket.create_connection(("192.0.2.1", 80), timeout=1)
        with pytest.raises(OSError):
            open(__file__, "a")

    def test_wrong(value):
        print("said before")
        assert value == 42

    def test_broken_fixture(no_such_fixture):
        pass

    @pytest.mark.skip(reason="not today")
    def test_skipped():
        pass

    @pytest.mark.xfail(strict=True)
    def test_expected():
        assert False

    @pytest.mark.parametrize("n", [1, 2])
    def test_parameters(n):
        assert n
"""


def test_tests_run_inside_and_tell_all(pytester, go):
    pytester.makepyfile(INSIDE)
    result = go("--junitxml=out.xml", "--sandbox-durations=3")
    result.assert_outcomes(passed=3, failed=1, errors=1, skipped=1, xfailed=1)
    # Introspection, captured output, usage and reason.
    result.stdout.fnmatch_lines(["*assert 41 == 42*"])
    result.stdout.fnmatch_lines(["*said before*"])
    result.stdout.fnmatch_lines(["*memory_peak *"])
    result.stdout.fnmatch_lines(["*fixture 'no_such_fixture' not found*"])
    result.stdout.fnmatch_lines(["*slowest 3 of 7 sandboxed tests*"])
    result.stdout.fnmatch_lines(["*set-up*peak*exited*test_*"])
    cases = xml.etree.ElementTree.parse(pytester.path / "out.xml").iter("testcase")
    properties = {case.get("name"): {p.get("name") for p in case.iter("property")} for case in cases}
    assert {"sandbox.ended", "sandbox.memory_peak", "sandbox.setup"} <= properties["test_inside"]


def test_every_test_with_the_option_and_xdist(pytester, go):
    pytest.importorskip("xdist")
    pytester.makepyfile(
        """
        import os, pytest

        @pytest.mark.parametrize("n", range(4))
        def test_inside(n):
            assert os.getuid() == 1000 and os.getpid() < 100
        """
    )
    go("--sandboxed", "-n", "2", "--sandbox-durations=1").assert_outcomes(passed=4)
    result = go()
    result.assert_outcomes(failed=4)


def test_a_test_that_does_not_end(pytester, go):
    pytester.makepyfile(
        """
        import os, time, pytest

        @pytest.mark.sandboxed(timeout=4)
        def test_sleeps():
            print("so far")
            time.sleep(1000)

        @pytest.mark.sandboxed(timeout=60)
        def test_leaves():
            os._exit(3)

        def test_outside():
            pass
        """
    )
    result = go()
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*did not come to its end: killed after 4s of wall time*"])
    result.stdout.fnmatch_lines(["*did not come to its end: exited with 3*"])


def test_forged_reports_are_refused(pytester, go):
    pytester.makepyfile(
        """
        import os, pytest

        @pytest.mark.sandboxed
        def test_forges():
            fd = int(os.environ["PINFOLD_PYTEST_FD"])
            forged = b'{"$report_type": "TestReport", "nodeid": "another.py::test", "when": "call", "outcome": "passed"}'
            os.write(fd, len(forged).to_bytes(8, "big") + forged)
        """
    )
    result = go()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*a report of the pytest inside is refused*"])


NO_SANDBOX = """
    import pytest

    @pytest.mark.sandboxed(cwd="/no/such/directory")
    def test_marked():
        pass

    @pytest.mark.sandboxed(memory="not a size")
    def test_wrong_options():
        pass

    def test_outside():
        pass
"""


def test_no_sandboxes_in_sandboxes(pytester, go):
    pytester.makeini("[pytest]\nmarkers = makes_sandboxes\n")
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.makes_sandboxes
        def test_makes_one(sandbox):
            assert sandbox.run(["true"]).ok

        def test_makes_none():
            pass
        """
    )
    result = go("--sandboxed")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*user namespaces are switched off here*"])
    # As the documentation advises.
    go("--sandboxed", "-m", "not makes_sandboxes").assert_outcomes(passed=1, deselected=1)
    go("-m", "makes_sandboxes").assert_outcomes(passed=1, deselected=1)


ADVICE = "`sandbox_unavailable = skip` skips instead"


def test_a_host_that_can_not_is_a_failure_unless_told_otherwise(pytester, go):
    pytester.makepyfile(NO_SANDBOX)
    result = go()
    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines(["*no sandbox:*/no/such/directory*"])
    # Advice stands where it helps.
    cannot, wrong = str(result.stdout).split("short test summary")[0].split("ERROR at setup of test_wrong_options")
    assert ADVICE in cannot and ADVICE not in wrong
    pytester.makeini("[pytest]\nsandbox_unavailable = skip\n")
    # Options that mean nothing are not the host's fault.
    go().assert_outcomes(passed=1, skipped=1, errors=1)
    pytester.makeini("[pytest]\nsandbox_unavailable = maybe\n")
    assert go().ret == 4
