"""Features over devices and processes, streamed and cached: the same numbers to the last digit
every way."""

import os
import socket
import subprocess
import sys
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.evaluation import features
from gan_jax.evaluation.features import Extractor
from gan_jax.evaluation.images import Images
from gan_jax.evaluation.sampler import BatchSampler
from gan_jax.metrics import frechet
from gan_jax.pretrained import Features, Net
from tests.paths import ROOT
from tests.xla_flags import FAST_COMPILE


def toy_apply(params, images):
    """A convolution, squared, pooled; two logits."""
    x = jax.lax.conv_general_dilated(
        images.astype(jnp.float32) / 255,
        params["w"],
        (2, 2),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    features = jnp.mean(jnp.square(x), (1, 2))
    return Features(features, features[:, :2])


def toy_net(seed=0, digest="a" * 64):
    w = np.random.default_rng(seed).normal(size=(3, 3, 3, 6)).astype(np.float32)
    return Net("toy", "_toy", 6, 2, None, "none", digest, {"w": w}, toy_apply)


def pictures(n=37, seed=0, bright=0):
    data = np.random.default_rng(seed).integers(0, 200, (n, 8, 8, 3), np.uint8) + np.uint8(bright)
    return Images(lambda ids: data[ids], n)


def all_features(images, extractor, ids=None):
    ids = np.arange(images.count) if ids is None else ids
    return features.extract(images, ids, extractor, keep=len(ids)).kept


def test_one_device_and_two_give_the_same_bits(monkeypatch):
    images, two = pictures(), Extractor(toy_net(), batch=4)
    found = all_features(images, two)
    monkeypatch.setattr(jax, "local_devices", lambda: jax.devices()[:1])
    one = Extractor(toy_net(), batch=4)
    assert one._devices.rows == 4 and two._devices.rows == 8
    np.testing.assert_array_equal(all_features(images, one), found)
    plain = toy_apply(toy_net().params, images.load(np.arange(37))).features
    np.testing.assert_allclose(found, plain, rtol=1e-5)


PROCESS = """
import sys
from gan_jax.runtime import xla_flags
xla_flags.prepare()
import jax, numpy as np
from gan_jax.evaluation import features
sys.path.insert(0, sys.argv[3])
from tests.evaluation.features_test import pictures, toy_net
index, port, _, out = int(sys.argv[1]), *sys.argv[2:]
if port != "0":
    jax.distributed.initialize(f"localhost:{port}", 2, index)
images = pictures()
extractor = features.Extractor(toy_net(), batch=4)
found = features.extract(images, np.arange(37), extractor, keep=37, moments=True, score=True)
import pathlib
cached, again = (
    features.cached(
        pathlib.Path(out) / "cache", images, np.arange(37), [extractor],
        keep=37, moments=True, log=print,
    )[0]
    for _ in range(2)
)
assert jax.process_index() or np.array_equal(again.kept, found.kept)
np.savez(
    f"{out}/{index}-{port}.npz",
    kept=found.kept, covariance=found.moments.covariance, score=np.array(found.score),
)
"""


def test_two_processes_give_the_bits_of_one(tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    root = str(ROOT)
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    env |= {"PYTHONPATH": root, "XLA_FLAGS": FAST_COMPILE}

    def start(index, port):
        (tmp_path / port).mkdir(exist_ok=True)
        call = [sys.executable, "-c", PROCESS, str(index), port, root, str(tmp_path)]
        return subprocess.Popen(
            call, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    runs = [start(0, port), start(1, port)]
    outputs = [run.communicate(timeout=200) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    # the second time from the cache
    assert outputs[0][0].count("measuring 37 reference images") == 1
    alone = start(0, "0")
    said = alone.communicate(timeout=200)
    assert alone.returncode == 0, said
    one, *two = (np.load(tmp_path / name) for name in ("0-0.npz", f"0-{port}.npz", f"1-{port}.npz"))
    for other in two:
        for name in ("kept", "covariance", "score"):
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_only_what_is_kept_stays_in_memory():
    asked, images = [], pictures(200)
    watched = Images(lambda ids: asked.append(len(ids)) or images.load(ids), 200)
    found = features.extract(
        watched, np.arange(200), Extractor(toy_net(), batch=4), keep=10, moments=True
    )
    assert max(asked) == 8 and found.kept.shape == (10, 6)
    whole = all_features(images, Extractor(toy_net(), batch=4))
    np.testing.assert_array_equal(found.kept, whole[:10])
    assert found.moments.n == 200
    np.testing.assert_array_equal(found.moments.covariance, frechet.moments(whole).covariance)


@pytest.mark.parametrize("keep", [0, 3, 30])
def test_blocks_are_let_go_once_they_are_counted(keep):
    extractor, alive, most = Extractor(toy_net(), batch=4), weakref.WeakSet(), []
    stream = extractor.stream

    def watched(images, ids):
        for found, logits in stream(images, ids):
            block = np.array(found).view(_Tracked)
            alive.add(block)
            most.append(len(alive))
            yield block, logits
            del block, found

    extractor.stream = watched
    features.extract(pictures(200), np.arange(200), extractor, keep=keep, moments=True, score=True)
    assert len(most) == 25 and max(most) <= 2


class _Tracked(np.ndarray):
    """An array that can be counted while it lives."""

    __hash__ = object.__hash__


def test_order_is_that_of_the_ids():
    extractor, images, ids = Extractor(toy_net(), batch=4), pictures(), np.array([30, 2, 2, 17, 5])
    np.testing.assert_array_equal(
        all_features(images, extractor, ids), all_features(images, extractor)[ids]
    )


def test_corrupted_sets_leave_the_clean_one_alone():
    images = pictures()
    darker = images.corrupted("brightness", 0.5)
    np.testing.assert_allclose(
        darker.load(np.array([3])), images.load(np.array([3])) * 0.5, atol=0.51
    )
    assert darker.count == images.count


# --- the cache


def reference(root, said, images=None, net=None, **how):
    calls, images = [], images or pictures()
    watched = Images(lambda ids: calls.append(1) or images.load(ids), images.count)
    settings = {"keep": 20, "moments": True} | how
    nets = [Extractor(net or toy_net(), 4)]
    (found,) = features.cached(root, watched, np.arange(37), nets, log=said.append, **settings)
    return found, len(calls)


def test_a_reference_is_measured_once(tmp_path):
    said = []
    first, _ = reference(tmp_path, said)
    assert said == ["measuring 37 reference images by toy, once"]
    again, _ = reference(tmp_path, said)
    assert len(said) == 1
    np.testing.assert_array_equal(first.kept, again.kept)
    np.testing.assert_array_equal(first.moments.covariance, again.moments.covariance)
    np.testing.assert_array_equal(again.ids, np.arange(37))
    assert again.kept.shape == (20, 6) and again.moments.n == 37


@pytest.mark.parametrize(
    "change",
    [
        {"images": pictures(bright=1)},
        {"net": toy_net(digest="b" * 64)},
        {"keep": 30},
        {"moments": False},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_picture_or_net_is_measured_anew(tmp_path, change):
    said = []
    reference(tmp_path, said)
    reference(tmp_path, said, **change)
    assert len(said) == 2


@pytest.mark.parametrize("harm", ["flip", "cut", "lose"])
def test_a_damaged_entry_is_said_and_made_again(tmp_path, harm, caplog):
    said = []
    first, _ = reference(tmp_path, said)
    (file,) = tmp_path.glob("statistics/*/kept.npy")
    data = bytearray(file.read_bytes())
    data[-1] ^= 255
    {
        "flip": lambda: file.write_bytes(data),
        "cut": lambda: file.write_bytes(data[:-9]),
        "lose": file.unlink,
    }[harm]()
    again, _ = reference(tmp_path, said)
    why = "is missing" if harm == "lose" else "has changed since it was written"
    assert len(said) == 2 and f"was damaged (kept.npy {why}): made again" in caplog.text
    np.testing.assert_array_equal(first.kept, again.kept)
    reference(tmp_path, said)
    assert len(said) == 2


def test_a_cache_that_cannot_be_written_ends_nothing(tmp_path):
    (tmp_path / "statistics").write_text("a file where the folder should be")
    said = []
    found, _ = reference(tmp_path, said)
    assert found.kept.shape == (20, 6)
    assert said[1].startswith("the reference features can't be kept in ") and said[1].endswith(
        "Going on without."
    )


# --- drawing


def drawn(game, ema, **how):
    """Nine pictures of a game."""
    sampler = BatchSampler(game, **how)
    return sampler.images(sampler.prepare(ema), 9, None)


def test_a_drawn_picture_depends_on_its_number_alone(toy_game):
    game = toy_game()
    ema, _, _ = game.init(jax.random.key(0), {"image": np.zeros((2, 4, 4, 1), np.uint8)})
    images = drawn(game, ema, seed=3, truncation=None, batch=2)
    nine = images.load(np.arange(9))
    assert nine.dtype == np.uint8 and nine.shape == (9, 4, 4, 1)
    np.testing.assert_array_equal(images.load(np.array([7])), nine[7:8])
    other = drawn(game, ema, seed=3, truncation=None, batch=4)
    np.testing.assert_array_equal(other.load(np.array([8, 1])), nine[[8, 1]])
    assert (drawn(game, ema, seed=4, truncation=None, batch=2).load(np.arange(9)) != nine).any()
    key = jax.random.fold_in(jax.random.key(3), 7)
    x = game.sample(ema, game.latent(key, 1), None)
    np.testing.assert_allclose(nine[7:8], np.rint((np.asarray(x) + 1) * 127.5), atol=1)
    near = drawn(game, ema, seed=3, truncation=1e-3, batch=2).load(np.arange(9))
    assert np.ptp(near.astype(int), 0).max() <= 1 < np.ptp(nine.astype(int), 0).max()


def test_a_generator_that_diverged_is_named(toy_game):
    game = toy_game()
    ema, _, _ = game.init(jax.random.key(0), {"image": np.zeros((2, 4, 4, 1), np.uint8)})
    broken = jax.tree.map(lambda x: x * jnp.nan, ema)
    images = drawn(game, broken, seed=0, truncation=None, batch=2)
    with pytest.raises(
        ValueError, match="generated image 5 holds NaN or infinity: these weights have diverged"
    ):
        images.load(np.array([5, 6]))
