import json
import os
import pathlib
import resource
import shutil
import signal
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import checkpoint
from gan_jax.checkpoint import Store
from gan_jax.checkpoint.store import FILES
from gan_jax.runtime import files as runtime_files
from gan_jax.state import Player, TrainState


def make_state(value=1.0, width=3):
    tree = lambda: {
        "g": {"Dense_0": {"kernel": jnp.full((2, width), value), "bias": jnp.arange(width) * value}}
    }
    player = lambda: Player(tree(), {"g": {}}, (jnp.int32(3), tree()))
    return TrainState(
        jnp.int32(7),
        jax.random.key_data(jax.random.key(5)),
        player(),
        player(),
        {"params": tree(), "mutable": {"g": {}}},
        {},
    )


def abstract(state):
    return jax.eval_shape(lambda: state)


def save(folder, steps, **settings):
    store = Store(folder, **settings)
    for step in steps:
        assert store.save(step, make_state(float(step)), {"n": step})
    assert store.close()


@pytest.fixture(scope="module")
def two_steps(tmp_path_factory):
    """The checkpoints of steps 1 and 2; tests get copies."""
    folder = tmp_path_factory.mktemp("saved") / "checkpoints"
    save(folder, (1, 2))
    return folder


@pytest.fixture
def saved(two_steps):
    """(folder) -> makes it hold the steps 1 and 2."""
    return lambda folder: shutil.copytree(two_steps, folder, dirs_exist_ok=True)


def test_a_step_is_known_by_its_manifest_under_any_name(tmp_path):
    checkpoint.write_manifest(tmp_path, 30)
    assert checkpoint.step_of(tmp_path) == 30
    (tmp_path / "20").mkdir()
    for folder in (tmp_path, tmp_path / "20"):
        (folder / "manifest.json").write_text("{}")  # of an old one
    assert checkpoint.step_of(tmp_path / "20") == 20
    with pytest.raises(ValueError, match="manifest.json does not say of which step it is"):
        checkpoint.step_of(tmp_path)


def test_every_leaf_comes_back(saved, tmp_path):
    saved(tmp_path)
    store = Store(tmp_path)
    assert store.newest == 2
    state, meta = store.restore(2, abstract(make_state()))
    assert meta == {"n": 2}
    want = checkpoint.named(make_state(2.0))
    got = checkpoint.named(state)
    assert list(got) == list(want)
    for name in want:
        assert got[name].dtype == want[name].dtype
        np.testing.assert_array_equal(got[name], want[name], err_msg=name)


def test_only_the_newest_are_kept(tmp_path):
    save(tmp_path, range(1, 5), keep=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["3", "4"]


def test_manifest_names_every_file_that_restore_reads(saved, tmp_path):
    saved(tmp_path)
    store = Store(tmp_path)
    step = tmp_path / "2"
    files = {str(p.relative_to(step)) for p in step.rglob("*") if p.is_file()}
    others = files - set(json.loads((step / "manifest.json").read_text()))
    assert others == {"manifest.json", "_CHECKPOINT_METADATA", "commit_success.txt"}
    for name in others:
        (step / name).write_bytes(b"\xff garbage")
    assert store.restore(2, abstract(make_state()))[1] == {"n": 2}


def largest_file(folder: pathlib.Path):
    return max(
        (p for p in folder.rglob("*") if p.is_file() and p.name != "manifest.json"),
        key=lambda p: p.stat().st_size,
    )


def flip_a_byte(file: pathlib.Path):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))


DAMAGES = [
    "flip",
    "remove",
    "manifest",
    "stray",
    "garbled manifest",
    "empty manifest",
    "deep manifest",
    "unreadable",
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_in_the_newest_falls_back_and_is_set_aside(
    saved, tmp_path, damage, caplog, monkeypatch
):
    saved(tmp_path)
    file = largest_file(tmp_path / "2")
    expected = str(file.relative_to(tmp_path / "2"))
    if damage == "flip":
        flip_a_byte(file)
    elif damage == "remove":
        file.unlink()
    elif damage == "manifest":
        (tmp_path / "2" / "manifest.json").unlink()
        expected = "no manifest.json"
    elif damage == "garbled manifest":
        (tmp_path / "2" / "manifest.json").write_bytes(b"\xff\xfe{")
        expected = "manifest.json is unreadable"
    elif damage == "empty manifest":
        (tmp_path / "2" / "manifest.json").write_text("{}")
        expected = "manifest.json does not name the files"
    elif damage == "deep manifest":
        (tmp_path / "2" / "manifest.json").write_text("[" * 100_000)
        expected = "manifest.json is unreadable"
    elif damage == "unreadable":
        hashed = runtime_files.sha256

        def denied(path):
            if path == file:
                raise PermissionError(13, "Permission denied", str(path))
            return hashed(path)

        monkeypatch.setattr(runtime_files, "sha256", denied)
        expected = f"it can't be read: [Errno 13] Permission denied: '{file}'"
    else:
        (tmp_path / "900").mkdir()
        (tmp_path / "900" / "notes.txt").write_text("mine")
        expected = "no manifest.json"
    store = Store(tmp_path)
    newest = 2 if damage == "stray" else 1
    assert store.newest == newest
    assert expected in caplog.text and "Set aside" in caplog.text
    aside = tmp_path / ("damaged-900" if damage == "stray" else "damaged-2")
    assert aside.is_dir()
    store.close()


def test_after_damage_the_run_goes_on_from_the_step_before(saved, tmp_path):
    saved(tmp_path)
    flip_a_byte(largest_file(tmp_path / "2"))
    store = Store(tmp_path)
    state, _ = store.restore(1, abstract(make_state()))
    assert state.g.params["g"]["Dense_0"]["kernel"][0, 0] == 1
    assert store.save(3, make_state(3.0), {}) and store.close()
    assert Store(tmp_path).newest == 3


def test_other_names_are_not_steps_and_cut_short_saves_are_cleared(saved, tmp_path):
    saved(tmp_path)
    shutil.copytree(tmp_path / "2", tmp_path / "020")
    shutil.copytree(tmp_path / "2", tmp_path / "3.orbax-checkpoint-tmp-17")
    store = Store(tmp_path)
    assert store.newest == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["020", "1", "2"]
    assert checkpoint.find(tmp_path).name == "2"


@pytest.mark.parametrize("stray", ["40.orbax-checkpoint-tmp", "3", "40", "99999999999999999999"])
def test_a_file_where_a_folder_is_expected_is_set_aside(saved, tmp_path, stray, caplog):
    saved(tmp_path)
    (tmp_path / stray).write_text("mine")
    store = Store(tmp_path, keep=1)
    assert store.newest == 2
    assert "not a folder" in caplog.text
    assert store.save(3, make_state(3.0), {}) and store.close()
    assert Store(tmp_path).newest == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["3", f"damaged-{stray}"]
    assert (tmp_path / f"damaged-{stray}").read_text() == "mine"


@pytest.mark.parametrize("how", ["renamed", "copied", "linked"])
def test_a_step_under_another_name_is_not_taken_for_that_step(saved, tmp_path, how, caplog):
    saved(tmp_path)
    if how == "renamed":
        (tmp_path / "2").rename(tmp_path / "40")
    elif how == "copied":
        shutil.copytree(tmp_path / "2", tmp_path / "40")
    else:
        (tmp_path / "40").symlink_to("2")
    assert checkpoint.verify(tmp_path / "40") == "it is the checkpoint of step 2 under another name"
    newest = 1 if how == "renamed" else 2
    assert checkpoint.find(tmp_path).name == str(newest)
    store = Store(tmp_path)
    assert (
        store.newest == newest
        and "step 2 under another name. Set aside as damaged-40" in caplog.text
    )
    assert store.save(3, make_state(3.0), {}) and store.close()


def test_a_step_moved_elsewhere_and_linked_is_what_it_says(saved, tmp_path, caplog):
    saved(tmp_path / "run")
    (tmp_path / "run" / "2").rename(tmp_path / "two")
    (tmp_path / "run" / "2").symlink_to(tmp_path / "two")
    store = Store(tmp_path / "run", keep=2)
    assert store.newest == 2
    assert (
        all(store.save(step, make_state(float(step)), {}) for step in (3, 4, 5)) and store.close()
    )
    assert "NOT SAVED" not in caplog.text
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["4", "5"]
    assert checkpoint.verify(tmp_path / "two") is None


def test_manifests_of_old_checkpoints_do_not_say_their_step(saved, tmp_path):
    saved(tmp_path)
    manifest = tmp_path / "2" / "manifest.json"
    files = json.loads(manifest.read_text())
    assert files.pop("step") == 2
    manifest.write_text(json.dumps(files))
    assert Store(tmp_path).newest == 2


def test_a_folder_that_vanished_is_made_again(saved, tmp_path):
    saved(tmp_path / "run")
    store = Store(tmp_path / "run")
    shutil.rmtree(tmp_path / "run")
    assert store.save(3, make_state(3.0), {}) and store.close()
    assert Store(tmp_path / "run").newest == 3


def test_an_error_when_the_save_begins_is_said_too(saved, tmp_path, monkeypatch, caplog):
    saved(tmp_path)
    store = Store(tmp_path)

    def over_quota(*_, **__):
        raise OSError(122, "Disk quota exceeded")

    monkeypatch.setattr(store._manager, "save", over_quota)
    assert store.save(3, make_state(), {}) is False and "Disk quota exceeded" in caplog.text
    monkeypatch.undo()
    assert store.save(4, make_state(), {}) and store.close()


def test_all_damaged_starts_anew_and_keeps_the_pieces(saved, tmp_path):
    saved(tmp_path)
    for step in "12":
        flip_a_byte(largest_file(tmp_path / step))
    assert Store(tmp_path).newest is None
    assert sorted(p.name for p in tmp_path.iterdir()) == ["damaged-1", "damaged-2"]


def test_a_state_that_does_not_fit_names_the_first_leaf_and_both_shapes(saved, tmp_path):
    saved(tmp_path)
    store = Store(tmp_path)
    with pytest.raises(
        ValueError,
        match=(
            r"g/params/g/Dense_0/bias is int32\[3\]|g/params/g/Dense_0/bias is float32\[3\] there"
            r" and float32\[4\] here"
        ),
    ):
        store.restore(2, abstract(make_state(width=4)))


def test_another_dtype_or_a_missing_leaf_does_not_fit(saved, tmp_path):
    saved(tmp_path)
    store = Store(tmp_path)
    half = make_state().replace(
        ema={
            "params": jax.tree.map(lambda x: x.astype(jnp.bfloat16), make_state().g.params),
            "mutable": {},
        }
    )
    with pytest.raises(
        ValueError, match=r"ema/params/g/Dense_0/bias is float32\[3\] there and bfloat16\[3\] here"
    ):
        store.restore(2, abstract(half))
    more = make_state().replace(carry={"p": jnp.zeros(())})
    with pytest.raises(ValueError, match=r"carry/p is no such leaf there and float32\[\] here"):
        store.restore(2, abstract(more))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_state_that_is_not_finite_is_never_saved(saved, tmp_path, bad):
    saved(tmp_path)
    store = Store(tmp_path)
    state = make_state()
    broken = {"g": {"Dense_0": {"kernel": jnp.full((2, 3), bad), "bias": jnp.zeros(3)}}}
    state = state.replace(d=Player(broken, state.d.mutable, state.d.opt))
    with pytest.raises(
        FloatingPointError, match=r"step 3 is not saved: d/params/g/Dense_0/kernel is not finite"
    ):
        store.save(3, state, {})
    store.close()
    assert Store(tmp_path).newest == 2


def test_a_write_that_fails_is_said_and_the_next_one_is_tried(saved, tmp_path, caplog):
    """A limit on the size of files makes the background write fail as a disk that fills up under it
    does."""
    saved(tmp_path)
    store = Store(tmp_path)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
        store.save(3, make_state(0.37, width=40_000), {})
        assert not store.finish()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, old)
    assert "CHECKPOINT NOT SAVED at step 3" in caplog.text and "File too large" in caplog.text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1", "2"]
    assert store.save(4, make_state(4.0), {}) and store.close()
    assert Store(tmp_path).newest == 4


def test_full_disk_is_said_and_training_goes_on(saved, tmp_path, monkeypatch, caplog):
    saved(tmp_path)
    store = Store(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: types.SimpleNamespace(free=10))
    assert store.save(3, make_state(), {}) is False
    assert "CHECKPOINT NOT SAVED at step 3" in caplog.text
    monkeypatch.undo()
    assert store.save(4, make_state(), {}) and store.close()
    assert Store(tmp_path).newest == 4


def test_a_disk_without_room_for_more_files_is_full_too(saved, tmp_path, monkeypatch, caplog):
    saved(tmp_path)
    store = Store(tmp_path)
    space = {"f_bavail": 10**9, "f_bfree": 10**9, "f_blocks": 10**9, "f_frsize": 4096}
    files = lambda **values: monkeypatch.setattr(
        os, "statvfs", lambda _: types.SimpleNamespace(**space, **values)
    )
    files(f_files=1000, f_favail=7)
    assert store.save(3, make_state(), {}) is False
    assert "has room for 7 more files (inodes)" in caplog.text
    files(f_files=0, f_favail=0)  # no limit, as on Btrfs
    assert store.save(4, make_state(), {}) and store.close()
    assert 2 * sum(1 for _ in (tmp_path / "4").rglob("*")) < FILES


def test_saving_a_step_twice_keeps_it(saved, tmp_path):
    saved(tmp_path)
    store = Store(tmp_path)
    assert store.save(2, make_state(9.0), {"n": 9})
    store.close()
    assert Store(tmp_path).restore(2, abstract(make_state()))[1] == {"n": 2}


def test_find_takes_a_workdir_its_folder_or_one_step(saved, tmp_path, caplog):
    saved(tmp_path / "run" / "checkpoints")
    for path in ("run", "run/checkpoints", "run/checkpoints/2"):
        assert checkpoint.find(tmp_path / path) == tmp_path / "run/checkpoints/2"
    flip_a_byte(largest_file(tmp_path / "run/checkpoints/2"))
    assert checkpoint.find(tmp_path / "run").name == "1" and "damaged" in caplog.text
    with pytest.raises(ValueError, match="no checkpoint there is whole: 2: .* has changed"):
        checkpoint.find(tmp_path / "run/checkpoints/2")
    with pytest.raises(ValueError, match="no checkpoint. There is no such folder. Give a run's"):
        checkpoint.find(tmp_path / "nowhere")


def test_read_takes_only_the_leaves_asked_for(saved, tmp_path):
    saved(tmp_path)
    leaves, meta = checkpoint.read(tmp_path / "2", ("ema/",))
    assert sorted(leaves) == [
        "ema/params/g/Dense_0/bias",
        "ema/params/g/Dense_0/kernel",
    ] and meta == {"n": 2}
    np.testing.assert_array_equal(leaves["ema/params/g/Dense_0/kernel"], np.full((2, 3), 2.0))


def test_warm_start_takes_what_matches_and_reports_the_rest(saved, tmp_path):
    saved(tmp_path)
    new = make_state(0.0)
    new.g.params["g"]["Dense_0"]["kernel"] = jnp.zeros((2, 5))
    new.d.params["g"]["extra"] = jnp.zeros(1)
    state, report = checkpoint.warm_start(new, tmp_path)
    assert (state.g.params["g"]["Dense_0"]["kernel"] == 0).all()
    assert (state.d.params["g"]["Dense_0"]["kernel"] == 2).all()
    assert (state.ema["params"]["g"]["Dense_0"]["bias"] == 2 * np.arange(3)).all()
    assert (state.d.opt[1]["g"]["Dense_0"]["kernel"] == 0).all() and state.step == 7
    text = "\n".join(report)
    assert "5 of 7 leaves match" in text.splitlines()[0]
    assert "g/params/g/Dense_0/kernel is [2, 3] there, [2, 5] here" in text
    assert "d/params/g/extra is not there" in text


def test_classes_are_the_same_in_either_form_of_unicode():
    """A run of before, or from macOS, may have e and an accent where a folder now gives é."""
    assert checkpoint.other_classes(["a", "e\u0301"], ("a", "\u00e9")) is None
    assert "label 0: 'a' there, 'b' here" in checkpoint.other_classes(
        ["a", "e\u0301"], ("b", "\u00e9")
    )


def test_warm_start_says_where_labels_mean_other_classes(tmp_path):
    store = Store(tmp_path)
    assert store.save(1, make_state(), {"classes": ["cats", "dogs"]}) and store.close()
    _, report = checkpoint.warm_start(make_state(), tmp_path, ("cats", "zebras"))
    assert (
        report[1]
        == "  the labels mean other classes: 2 classes, 'cats', 'dogs' there, 2 classes, 'cats',"
        " 'zebras' here (label 1: 'dogs' there, 'zebras' here)"
    )
    for same in (("cats", "dogs"), ()):
        assert len(checkpoint.warm_start(make_state(), tmp_path, same)[1]) == 1


def test_warm_start_with_nothing_in_common_is_an_error(saved, tmp_path):
    saved(tmp_path)
    other = make_state().replace(
        g=Player({"x": jnp.zeros(9)}, {}, ()),
        d=Player({"x": jnp.zeros(9)}, {}, ()),
        ema={"params": {}, "mutable": {}},
    )
    with pytest.raises(ValueError, match="not one leaf"):
        checkpoint.warm_start(other, tmp_path)
