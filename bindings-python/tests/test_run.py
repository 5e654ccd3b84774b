"""Running to the end: what comes back, and what is refused before anything runs."""

from __future__ import annotations

import datetime
import os
import pathlib
import pickle
import subprocess
import typing

import pinfold
import pytest
from pinfold import Sandbox, _config, _types


def test_the_example_of_the_readme():
    r = pinfold.run(["python3", "-c", "print(1)"], timeout=60, check=True)
    assert (r.ok, r.ended, r.exit_code, r.signal, r.returncode) == (True, "exited", 0, None, 0)
    assert (r.stdout, r.stderr, r.text, r.stderr_text) == (b"1\n", b"", "1\n", "")
    assert r.detail == "exited with 0"
    assert 0 < r.timings.setup < r.duration
    assert r.usage.memory_peak and r.usage.memory_peak < 1 << 30


def test_a_bad_end_is_an_outcome():
    r = pinfold.run(["sh", "-c", "echo so far; exit 3"])
    assert (r.ok, r.ended, r.exit_code, r.returncode, r.text) == (False, "exited", 3, 3, "so far\n")
    r = pinfold.run(["sh", "-c", "kill -SEGV $$"])
    assert (r.ended, r.signal, r.signal_name, r.exit_code, r.returncode) == ("signaled", 11, "SIGSEGV", None, -11)


def test_check_makes_it_an_error_that_is_not_a_sandbox_error(box):
    with pytest.raises(subprocess.CalledProcessError) as caught:
        box.run(["sh", "-c", "echo why >&2; exit 3"], check=True)
    assert type(caught.value) is pinfold.CommandFailed
    assert not isinstance(caught.value, pinfold.SandboxError)
    assert caught.value.outcome.exit_code == caught.value.returncode == 3
    assert "exited with 3" in str(caught.value) and "why" in str(caught.value)


def test_a_timeout_keeps_what_was_said(box):
    r = box.run(["sh", "-c", "echo before; sleep 1000"], timeout="500ms")
    assert (r.ended, r.text, r.ok) == ("wall_time", "before\n", False)
    with pytest.raises(TimeoutError) as caught:
        box.run(["sleep", "1000"], timeout=datetime.timedelta(seconds=0.5), check=True)
    assert isinstance(caught.value, pinfold.TimedOut) and isinstance(caught.value, pinfold.CommandFailed)


def test_cpu_time_is_time_too():
    box = Sandbox(timeout=60, cpu_time=1, compat={"prefer": ["limits.cpu_time"]})
    with pytest.raises(pinfold.TimedOut) as caught:
        box.run(["sh", "-c", "while :; do :; done"], check=True)
    assert caught.value.outcome.ended == "cpu_time"


@pytest.mark.parametrize("ended", typing.get_args(_types.Ended))
def test_check_tells_time_from_other_ends(box, ended):
    with pytest.raises(pinfold.CommandFailed) as caught:
        box.run(["false"])._with(ended=ended).check()
    assert type(caught.value) is (pinfold.TimedOut if ended in ("wall_time", "cpu_time") else pinfold.CommandFailed)


def test_input_and_environment(box):
    assert box.run(["cat"], input="grüße").stdout == "grüße".encode()
    assert box.run(["cat"], input=b"\xff\x00").stdout == b"\xff\x00"
    assert box.run(["sh", "-c", "echo $A$HOME"], env={"A": "1", "HOME": None}).text == "1\n"
    assert box.run(["printenv", "A"], env={b"A": b"\xff"}).stdout == b"\xff\n"
    assert box.run(["printf", "%s", b"\xff"]).stdout == b"\xff"
    assert pinfold.run(["sh", "-c", "echo $A $(umask)"], env={"A": "1"}, umask=0o27).text == "1 0027\n"


def test_streams(box, tmp_path):
    assert box.run(["sh", "-c", "echo a; echo b >&2"], stderr="stdout").text == "a\nb\n"
    assert box.run(["sh", "-c", "echo a; echo b >&2"], stderr=subprocess.STDOUT).stderr is None
    r = box.run(["sh", "-c", "echo a; echo b >&2"], stdout="null")
    assert (r.stdout, r.stderr) == (None, b"b\n")
    with open(tmp_path / "out", "wb") as file:
        assert box.run(["echo", "to a file"], stdout=file).stdout is None
    assert (tmp_path / "out").read_text() == "to a file\n"
    with open(tmp_path / "out", "rb") as file:
        assert box.run(["cat"], stdin=file.fileno()).text == "to a file\n"
    assert box.run(["cat"], stdin=subprocess.DEVNULL).stdout == b""


def test_output_is_bounded(box):
    r = box.run(["sh", "-c", "head -c 100000 /dev/zero; echo x >&2"], output="1K")
    assert (len(r.stdout), r.stdout_truncated, r.stderr, r.stderr_truncated) == (1024, True, b"x\n", False)


def test_non_utf8_output(box):
    r = box.run(["printf", r"\377\376a"])
    assert (r.stdout, r.text) == (b"\xff\xfea", "\ufffd\ufffda")


@pytest.mark.parametrize("argv", ["ls -l", b"ls", pathlib.Path("/bin/true"), [], ["ls", 1], None])
def test_a_command_is_a_list(box, argv):
    with pytest.raises(pinfold.ConfigError) as caught:
        box.run(argv)
    assert caught.value.origin == "argv" and isinstance(caught.value, ValueError)
    if argv == "ls -l":
        assert '["sh", "-c"' in caught.value.hint


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (dict(memroy="1M"), 'did you mean "memory"?'),
        (dict(pids="many"), "pids"),
        (dict(timeout="soon"), "soon"),
        (dict(limits={"pids": []}), "limits.pids"),
        (dict(mounts=[{"kind": "bind", "source": "/usr", "target": "data"}]), "mounts[0].target"),
        (dict(rootfs=object()), "neither plain data nor a path"),
        (dict(cpus=float("nan")), "JSON"),
        (dict(stdin="file.txt"), "stdin"),
        (dict(stdout="stdout"), "stdout"),
        (dict(stdout=subprocess.STDOUT), "stderr only"),
        (dict(stdin="pipe", input=b""), "both"),
        (dict(fds={"x": 0}), "fds.x"),
        (dict(stdin=12345), "12345"),
        (dict(umask="9"), "umask"),
        (dict(env=3), "env"),
        (dict(cwd="tmp"), "cwd"),
    ],
)
def test_what_can_not_mean_anything_is_a_config_error(call, says):
    with pytest.raises(pinfold.ConfigError) as caught:
        pinfold.run(["true"], **call)
    assert says in str(caught.value)
    assert caught.value.kind == "config"


def test_problems_of_options_have_no_places(tmp_path):
    box = Sandbox(rootfs=tmp_path)
    again = pickle.loads(pickle.dumps(box))
    for attempt, key in [
        (lambda: Sandbox(limits={"pids": []}), "limits.pids"),
        (lambda: Sandbox({"hostname": "box"}, limits={"pids": []}), "limits.pids"),
        (lambda: Sandbox({"limits": {"pids": []}}), "limits.pids"),
        (lambda: Sandbox({"hostname": "-/"}), "hostname"),
        (lambda: Sandbox({"no_such_key": 1}), "no_such_key"),
        (lambda: box.replace(rootfs={"kind": "host"}), "rootfs.path"),
        (lambda: again.replace(rootfs={"kind": "host"}), "rootfs.path"),
        (lambda: pinfold.AsyncSandbox(box).replace(limits={"pids": "x"}), "limits.pids"),
    ]:
        with pytest.raises(pinfold.ConfigError) as caught:
            attempt()
        assert [problem["key"] for problem in caught.value.problems] == [key]
        assert "line" not in str(caught.value) and "column" not in str(caught.value)
    # Those of a file have the file's.
    (tmp_path / "job.toml").write_text(f'[rootfs]\npath = "{tmp_path}"\nkind = "dir"\n')
    with pytest.raises(pinfold.ConfigError, match="job.toml:2"):
        Sandbox.from_file(tmp_path / "job.toml").replace(rootfs={"kind": "host"})


def test_a_config_is_replaced_before_its_values_are_checked():
    assert Sandbox({"hostname": "-/"}, hostname="box").config == {"hostname": "box"}


def test_a_config_has_no_shorthands():
    with pytest.raises(pinfold.ConfigError) as caught:
        Sandbox({"memory": "64M", "user": 0})
    assert caught.value.message.startswith("memory, user:") and "write limits.memory, identity.uid" in caught.value.hint


def test_options_take_what_their_types_promise():
    promised = typing.get_type_hints(_config.SandboxOptions)
    assert {*typing.get_args(promised["user"])} == {int, str, type(None)}
    assert Sandbox(user=7).config == {"identity": {"uid": 7}}
    assert Sandbox(user="7:8").config == {"identity": {"uid": 7, "gid": 8}}
    assert os.PathLike[str] in typing.get_args(promised["cwd"])
    assert Sandbox(cwd=pathlib.Path("/tmp")).config == {"process": {"cwd": "/tmp"}}
    assert {str, typing.Sequence[str]} <= {*typing.get_args(promised["env"])}
    for env in ({"A": "1"}, "A=1", ["A=1"]):
        assert Sandbox(env=env).config == {"process": {"env": {"A": "1"}}}
    for user in ((7, 8), [7, 8]):
        with pytest.raises(pinfold.ConfigError, match="uid"):
            Sandbox(user=user)
        with pytest.raises(pinfold.ConfigError, match="user"):
            Sandbox().explain(["true"], user=user)


def test_every_problem_at_once():
    with pytest.raises(pinfold.ConfigError) as caught:
        Sandbox(timeout="x", hostname="-/", mounts=[{"kind": "tmpfs", "target": "x"}])
    assert len(caught.value.problems) == 3


def test_programs_that_are_not_there_or_no_programs(box):
    with pytest.raises(FileNotFoundError) as caught:
        box.run(["no-such-program"])
    assert type(caught.value) is pinfold.ProgramNotFound
    assert (caught.value.errno_name, caught.value.stage) == ("ENOENT", "launch")
    assert caught.value.step["what"].startswith("execute")
    assert (caught.value.strerror, caught.value.filename) == ("No such file or directory", caught.value.subject)
    with pytest.raises(PermissionError) as caught:
        box.run(["/etc/ld.so.cache"])
    assert type(caught.value) is pinfold.NotExecutable and isinstance(caught.value, OSError)


def test_set_up_that_fails_says_where(box):
    with pytest.raises(pinfold.SetupError) as caught:
        box.run(["true"], cwd="/no/such/directory")
    assert caught.value.errno_name == "ENOENT" and "/no/such/directory" in str(caught.value)


def test_explain_runs_nothing(box):
    plan = box.explain(["echo", "hi"], cwd="/tmp")
    assert "echo" in plan and "process" in plan
    assert len(plan.splitlines()) > 20


def test_doctor():
    told = pinfold.doctor()
    assert told.ok and told.error is None
    assert told["namespaces.user"].state == "available"
    assert "namespaces.user" in str(told)
    assert told.host["kernel"]


def test_sections_and_shorthands_are_one_config(tmp_path):
    file = tmp_path / "box.toml"
    file.write_text('hostname = "box"\n[limits]\npids = 9\nwall_time = 5\n[process]\nenv = { A = "1" }\n')
    (tmp_path / "data").mkdir()
    file_and = Sandbox({"compat": {"prefer": ["limits.*"]}})
    prefer = file_and.config
    tmp = tmp_path / "prefer.toml"
    tmp.write_text('extends = ["box.toml"]\n[compat]\nprefer = ["limits.*"]\n')
    box = Sandbox.from_file(tmp)
    assert box == Sandbox(hostname="box", limits={"pids": 9, "wall_time": 5}, env={"A": "1"}, **prefer)
    assert box == Sandbox({"hostname": "box", "limits": {"pids": 9}}, timeout=5, env={"A": "1"}, **prefer)
    assert box.replace(pids=10) != box
    assert box.replace(pids=10).replace(pids=9) == box
    assert box.config["limits"]["pids"] == 9
    with_data = box.replace(ro_bind=f"{tmp_path / 'data'}:/data")
    assert with_data.run(["ls", "-d", "/data"]).text == "/data\n"
    assert with_data.report.enforced["namespaces.pid"] == "new"


def test_degradations_are_told():
    box = Sandbox(memory="4G", compat={"prefer": ["limits.*"]})
    for degradation in box.report.degradations:
        assert degradation.feature.startswith("limits.") and degradation.because
    assert box.run(["true"]).report == box.report
