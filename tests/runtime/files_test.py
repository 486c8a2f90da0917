import errno
import os

import pytest

from gan_jax.runtime import files


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "a.txt"
    files.replace_text(path, "one")
    with pytest.raises(ZeroDivisionError), files.replacing(path) as draft:
        assert draft.suffix == ".txt" and draft.parent == path.parent
        draft.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "one"
    files.replace_bytes(path, b"two")
    files.replace_text(tmp_path / "new" / "b.txt", "\ud800", errors="replace")
    assert path.read_bytes() == b"two" and (tmp_path / "new" / "b.txt").read_text() == "?"
    assert sorted(os.listdir(path.parent)) == ["a.txt", "b.txt"]


def test_what_is_replaced_is_on_the_disk_first(tmp_path, monkeypatch):
    done, fsync, replace = [], os.fsync, type(tmp_path).replace
    monkeypatch.setattr(os, "fsync", lambda handle: done.append("to disk") or fsync(handle))
    monkeypatch.setattr(
        type(tmp_path), "replace", lambda *paths: done.append("renamed") or replace(*paths)
    )
    files.replace_text(tmp_path / "a", "x")
    assert done == ["to disk", "renamed", "to disk"]


def test_a_full_disk_is_told_with_the_file(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "a").write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=f"No space left on device: '{tmp_path}/a'"):
        files.replace_text(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "old" and os.listdir(tmp_path) == ["a"]


def test_a_file_system_without_fsync_will_do(tmp_path, monkeypatch):
    def unknown(handle):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", unknown)
    files.replace_text(tmp_path / "a", "x")
    assert (tmp_path / "a").read_text() == "x"


def test_hashes_and_changes(tmp_path):
    for name in ("a/x", "b/y", "z", files.MANIFEST):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("abc")
    hashes = files.file_hashes(tmp_path)
    assert hashes["z"].startswith("ba7816bf8f01cfea") and list(hashes) == ["a/x", "b/y", "z"]
    assert list(files.file_hashes(tmp_path, "b")) == ["b/y"]
    assert files.first_change(tmp_path, hashes) is None
    (tmp_path / "b" / "y").write_text("abd")
    assert files.first_change(tmp_path, hashes) == "b/y has changed since it was written"
    (tmp_path / "a" / "x").unlink()
    assert files.first_change(tmp_path, hashes) == "a/x is missing"


def test_a_folder_is_placed_whole(tmp_path):
    with files.scratch_beside(tmp_path / "out") as scratch:
        (scratch / "set" / "train").mkdir(parents=True)
        (scratch / "set" / "train" / "1").write_text("x")
        files.place(scratch / "set", tmp_path / "out")
    assert os.listdir(tmp_path) == ["out"] and (tmp_path / "out" / "train" / "1").is_file()
    with files.scratch_beside(tmp_path / "out") as scratch, pytest.raises(OSError):
        (scratch / "set").mkdir()
        files.place(scratch / "set", tmp_path / "out")
    assert (tmp_path / "out" / "train" / "1").is_file() and os.listdir(tmp_path) == ["out"]
