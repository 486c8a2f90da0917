import errno
import json
import logging
import os
import time

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


def write(folder, text="whole"):
    """Makes a folder with two files; returns it."""
    folder.mkdir(parents=True)
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text(text)
    return folder


DAMAGES = {
    "another byte": ("a.txt has changed since", lambda x: (x / "a.txt").write_text("whale")),
    "a lost file": ("b.txt is missing", lambda x: (x / "b.txt").unlink()),
    "a strange file": ("c.txt is no part of it", lambda x: (x / "c.txt").touch()),
    "no manifest": ("its manifest can't be read", lambda x: (x / files.MANIFEST).unlink()),
    "half a manifest": (
        "its manifest can't be read",
        lambda x: (x / files.MANIFEST).write_text("{"),
    ),
    "a manifest of nothing": (
        "its manifest can't be read",
        lambda x: (x / files.MANIFEST).write_text("3"),
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_folder_is_made_once_and_again_where_it_is_damaged(name, tmp_path, caplog):
    message, damage = DAMAGES[name]
    folder, made = tmp_path / "x", []
    make = lambda scratch: made.append(scratch) or write(scratch / "y")
    assert files.made_once(folder, make) == files.made_once(folder, make) == () and len(made) == 1
    damage(folder)
    with caplog.at_level(logging.WARNING, "gan_jax"):
        (note,) = files.made_once(folder, make)
    assert f"{folder} was damaged ({message}" in note and note in caplog.text
    assert files.damage_in(folder) is None and files.made_once(folder, make) == ()
    assert len(made) == 2 and os.listdir(tmp_path) == ["x"]


def test_a_second_process_that_was_first(tmp_path):
    def make(scratch):
        files.made_once(tmp_path / "x", lambda other: write(other / "y", "first"))
        return write(scratch / "y", "second")

    assert files.made_once(tmp_path / "x", make) == ()
    assert (tmp_path / "x" / "a.txt").read_text() == "first" and os.listdir(tmp_path) == ["x"]


def test_a_killed_program_leaves_nothing_to_use(tmp_path):
    def killed(scratch):
        write(scratch / "y", "half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.made_once(tmp_path / "x", killed)
    assert os.listdir(tmp_path) == []
    old, fresh = (write(tmp_path / f".making-{name}", "half") for name in ("old", "fresh"))
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    files.made_once(tmp_path / "x", lambda scratch: write(scratch / "y"))
    assert not old.exists() and fresh.exists()
    assert json.loads((tmp_path / "x" / files.MANIFEST).read_text()).keys() == {"a.txt", "b.txt"}
