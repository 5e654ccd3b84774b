"""Files of a root, its changes, kept roots."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import pickle

import pinfold
import pytest


@pytest.fixture
def written():
    """A sandbox with a root that its payload may write."""
    return pinfold.Sandbox(overlay="memory", user="0:0", timeout=60)


def test_bytes_and_text(box):
    with box.open() as s:
        files = s.files
        files.write("/tmp/made/in/a", "grün\n")
        assert s.run(["cat", "/tmp/made/in/a"]).text == "grün\n"
        assert files.read("/tmp/made/in/a") == files.read_bytes(b"/tmp/made/in/a") == "grün\n".encode()
        assert files.read_text("/tmp/made/in/a") == "grün\n"
        for data in (b"1", bytearray(b"22"), memoryview(b"333"), bytes(range(256)) * 5000):
            files.write("/tmp/b", data)
            assert files.read("/tmp/b") == bytes(data)
        status = files.stat("/tmp/made/in/a")
        assert (status.kind, status.size, status.mode) == ("file", 6, 0o644)
        uid = s.run(["sh", "-c", "id -u; stat -c %u /tmp/made/in/a"]).text.split()
        assert [str(status.uid)] * 2 == uid
        assert pickle.loads(pickle.dumps(status)) == status


def test_streams(box):
    with box.open() as s:
        payload = os.urandom(300_000)
        assert s.files.write_from("/tmp/a", io.BytesIO(payload)) == len(payload)
        taken = io.BytesIO()
        assert s.files.read_to("/tmp/a", taken) == len(payload) and taken.getvalue() == payload
        with s.files.reader("/tmp/a") as stream:
            assert stream.read(10) == payload[:10]
            s.close()
            assert stream.read() == payload[10:]


def test_what_a_stream_raises_arrives(box):
    class Broken:
        def read(self, size):
            raise LookupError("no more")

        def write(self, data):
            raise LookupError("full")

    class Wrong:
        def read(self, size):
            return "text"

    class TooMuch:
        def read(self, size):
            return bytes(size + 1)

    with box.open() as s:
        s.files.write("/tmp/a", "x")
        with pytest.raises(LookupError, match="no more"):
            s.files.write_from("/tmp/b", Broken())
        with pytest.raises(LookupError, match="full"):
            s.files.read_to("/tmp/a", Broken())
        with pytest.raises(TypeError):
            s.files.write_from("/tmp/b", Wrong())
        with pytest.raises(ValueError, match="more than n"):
            s.files.write_from("/tmp/b", TooMuch())


def test_directories_and_trees(box, tmp_path):
    (tmp_path / "tree" / "below").mkdir(parents=True)
    (tmp_path / "tree" / "below" / "a").write_text("123")
    (tmp_path / "tree" / "link").symlink_to("below/a")
    with box.open() as s:
        assert s.files.copy_in(tmp_path / "tree", "/tmp/in") == 3
        assert s.run(["cat", "/tmp/in/link"]).text == "123"
        assert [(entry.name, entry.status.kind) for entry in s.files.list("/tmp/in")] == [
            ("below", "directory"),
            ("link", "symlink"),
        ]
        s.files.mkdir("/tmp/in/x/y")
        s.run(["sh", "-c", "echo -n out > /tmp/in/x/y/z"], check=True)
        assert s.files.copy_out("/tmp/in", tmp_path / "out") == 6
        assert (tmp_path / "out" / "x" / "y" / "z").read_text() == "out"
        s.files.remove("/tmp/in")
        with pytest.raises(pinfold.FilesError) as caught:
            s.files.stat("/tmp/in")
        assert (caught.value.errno, caught.value.subject) == (errno.ENOENT, "/tmp/in")
        # Names are bytes.
        s.run(["sh", "-c", "touch \"$(printf '/tmp/\\377')\""], check=True)
        (name,) = [entry.name for entry in s.files.list("/tmp")]
        assert name == "\udcff" and s.files.read(f"/tmp/{name}") == b""


def test_limits_and_refusals(box):
    with box.open() as s:
        s.files.write("/tmp/a", b"x" * 2000)
        assert len(s.files.limit("2000").read("/tmp/a")) == 2000
        for call in (lambda f: f.read("/tmp/a"), lambda f: f.write("/tmp/b", bytes(2000))):
            with pytest.raises(pinfold.FilesError) as caught:
                call(s.files.limit("1K"))
            assert caught.value.errno == errno.EFBIG
        for size in ("much", "-1"):
            with pytest.raises(pinfold.ConfigError):
                s.files.limit(size)
        with pytest.raises(pinfold.FilesError) as caught:
            s.files.write("/usr/a", "x")
        assert caught.value.errno == errno.EROFS and "overlay" in caught.value.hint
        # A link of the payload's leads where it leads inside.
        s.run(["ln", "-s", "/etc/hostname", "/tmp/link"], check=True)
        assert s.files.read("/tmp/link") == s.run(["cat", "/etc/hostname"]).stdout
        with pytest.raises(TypeError, match="copy_out"):
            pickle.dumps(s.files)
    with pytest.raises(pinfold.SandboxClosed):
        s.files  # noqa: B018


def test_changes_of_a_session(written, tmp_path):
    with written.open() as s:
        assert s.changes() == ()
        s.run(["sh", "-c", "echo -n new > /opt/a; mkdir /srv/d; ln -s a /opt/l"], check=True)
        changes = {change.path: change for change in s.changes()}
        assert [*changes] == ["/opt/a", "/opt/l", "/srv/d"]
        a = changes["/opt/a"]
        assert a == pinfold.Change("/opt/a", "added", "file", 3, a.mode, False, False)
        assert pickle.loads(pickle.dumps(a)) == a and a != changes["/opt/l"]
        assert (changes["/srv/d"].kind, changes["/opt/l"].kind) == ("directory", "symlink")
        assert s.files.read("/opt/a") == b"new"
        s.commit(tmp_path / "layer")
        assert (tmp_path / "layer" / "opt" / "a").read_text() == "new"
        with pytest.raises(pinfold.FilesError):
            s.commit(tmp_path / "layer")
    for use in (s.changes, lambda: s.commit(tmp_path / "other")):
        with pytest.raises(pinfold.SandboxClosed):
            use()


def test_without_an_overlay_there_are_no_changes(box, tmp_path):
    with box.open() as s:
        for use in (s.changes, lambda: s.commit(tmp_path / "layer")):
            with pytest.raises(pinfold.ConfigError) as caught:
                use()
            assert caught.value.origin == "rootfs.overlay"
    with pytest.raises(pinfold.ConfigError):
        box.run_kept(["true"])


def test_outcomes_list_their_changes(written):
    changes = written.run(["sh", "-c", "touch /opt/a; chmod 700 /srv"]).changes()
    assert [(c.path, c.change, c.metadata_only) for c in changes] == [
        ("/opt/a", "added", False),
        ("/srv", "modified", True),
    ]


def test_a_kept_root(written, tmp_path):
    outcome, kept = written.run_kept(["sh", "-c", "echo -n kept > /opt/a; exit 3"])
    assert outcome.exit_code == 3
    with kept:
        assert kept.changes() == outcome.changes() and [change.path for change in kept.changes()] == ["/opt/a"]
        assert kept.files.read_text("/opt/a") == "kept"
        kept.commit(tmp_path / "layer")
        assert (tmp_path / "layer" / "opt" / "a").read_text() == "kept"
        with pytest.raises(TypeError, match="commit"):
            pickle.dumps(kept)
        assert not kept.closed
    assert kept.closed
    kept.close()
    for use in (kept.changes, lambda: kept.files, lambda: kept.commit(tmp_path / "other")):
        with pytest.raises(pinfold.SandboxClosed):
            use()
    with pytest.raises(pinfold.CommandFailed):
        written.run_kept(["false"], check=True)


def test_a_layer_is_used_again(written, tmp_path):
    with written.open() as s:
        s.run(["sh", "-c", "echo again > /opt/a"], check=True)
        s.commit(tmp_path / "layer")
    assert pinfold.run(["cat", "/data/opt/a"], ro_bind=f"{tmp_path}/layer:/data").text == "again\n"


def test_asyncio(written):
    async def main():
        abox = pinfold.AsyncSandbox(written)
        async with abox.open() as s:
            s.files.write("/opt/a", "x")
            await s.run(["cp", "/opt/a", "/opt/b"], check=True)
            assert s.files.read("/opt/b") == b"x"
            assert [change.path for change in s.changes()] == ["/opt/a", "/opt/b"]
        outcome, kept = await abox.run_kept(["touch", "/opt/a"], check=True)
        with kept:
            assert kept.changes() == outcome.changes()
            assert await asyncio.to_thread(kept.files.read, "/opt/a") == b""
        with pytest.raises(pinfold.CommandFailed):
            await abox.run_kept(["false"], check=True)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(abox.run_kept(["sleep", "1000"]), 0.2)

    asyncio.run(main())
