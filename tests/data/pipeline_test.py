"""The stream of batches: sharded, resumed and augmented the same however it is read; and what the
config may get wrong."""

import logging

import numpy as np
import pytest
from PIL import Image

from gan_jax.data import pipeline
from gan_jax.data.pipeline import Batches, check_batch
from gan_jax.data.source import open_source


class Numbers:
    """Images that tell their id and seed: an in-memory source of n samples."""

    shape, classes, fingerprint, notes = (1, 1, 2), ("even", "odd"), "numbers", ()

    def __init__(self, n=10, fail_at=None):
        self.n, self.fail_at = n, fail_at

    def __len__(self):
        return self.n

    def load(self, ids, seeds):
        if self.fail_at is not None and self.fail_at in ids:
            raise ZeroDivisionError(f"sample {self.fail_at}")
        noise = (pipeline.uniform(seeds, 1)[:, 0] * 256).astype(np.uint8)
        image = np.stack([ids.astype(np.uint8), noise], 1)[:, None, None]
        return {"image": image, "label": (ids % 2).astype(np.int32)}


def take(n, *args, **settings):
    with Batches(*args, **settings) as batches:
        return [next(batches) for _ in range(n)]


def join(batches):
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])


def test_a_batch():
    (batch,) = take(1, Numbers(), 4, seed=0)
    assert {name: (x.dtype.name, x.shape) for name, x in batch.items()} == {
        "image": ("uint8", (4, 1, 1, 2)),
        "label": ("int32", (4,)),
        "id": ("int64", (4,)),
    }
    np.testing.assert_array_equal(batch["image"][:, 0, 0, 0], batch["id"])


def test_every_epoch_is_a_new_permutation_and_batches_roll_over():
    ids = join(take(15, Numbers(), 4, seed=0))["id"].reshape(6, 10)  # 60 samples: six epochs of ten
    np.testing.assert_array_equal(np.sort(ids), np.tile(np.arange(10), (6, 1)))
    assert len({tuple(epoch) for epoch in ids}) == 6


def test_seeds_differ():
    a, b = (join(take(3, Numbers(100), 20, seed=seed)) for seed in (0, 1))
    assert (a["id"] != b["id"]).mean() > 0.5
    assert (a["image"][..., 1] != b["image"][..., 1]).mean() > 0.9
    same(a, join(take(3, Numbers(100), 20, seed=0)))


@pytest.mark.parametrize("processes", [2, 3, 6])
def test_processes_share_each_global_batch(processes):
    whole = take(3, Numbers(), 6, seed=3)
    shares = [
        take(3, Numbers(), 6, seed=3, process_index=i, process_count=processes)
        for i in range(processes)
    ]
    for k in range(3):
        same(join([share[k] for share in shares]), whole[k])
        assert all(len(share[k]["id"]) == 6 // processes for share in shares)


@pytest.mark.parametrize("prefetch", [0, 2])
def test_resumes_at_any_position(prefetch):
    whole = take(8, Numbers(), 4, seed=1)
    for start in (1, 5):
        with Batches(Numbers(), 4, seed=1, start=start, prefetch=prefetch) as batches:
            for k in range(start, 8):
                assert batches.position == k
                same(next(batches), whole[k])


def test_resumes_on_another_number_of_processes():
    whole = take(8, Numbers(), 4, seed=1)
    rest = take(3, Numbers(), 4, seed=1, start=5, process_index=1, process_count=2)
    for share, batch in zip(rest, whole[5:], strict=True):
        same(share, {name: x[2:] for name, x in batch.items()})


def test_a_far_position_costs_nothing():
    (batch,) = take(1, Numbers(), 4, seed=1, start=10**9)
    assert len(batch["id"]) == 4


def folder(tmp_path, n=12):
    rng = np.random.default_rng(0)
    for i in range(n):
        Image.fromarray(rng.integers(0, 256, (12, 9, 3), np.uint8)).save(tmp_path / f"{i:02}.png")
    settings = dict(
        source="folder",
        path=str(tmp_path),
        resolution=6,
        crop="random",
        flip=True,
        rotate_degrees=20.0,
    )
    return open_source(settings)


def test_resumes_with_the_same_pixels_and_with_workers(tmp_path):
    source = folder(tmp_path)
    whole = take(6, source, 8, seed=2)
    for batch, again in zip(whole[2:], take(4, source, 8, seed=2, start=2, workers=2), strict=True):
        same(batch, again)
    first, second = (
        b for b in join(whole)["image"][np.argsort(join(whole)["id"], kind="stable")][:2]
    )
    assert (first != second).any()  # the same picture, augmented anew


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_while_loading_surfaces(workers):
    with pytest.raises(ZeroDivisionError, match="sample 3"):
        take(4, Numbers(fail_at=3), 4, seed=0, workers=workers)


def test_close_ends_it():
    batches = Batches(Numbers(), 2, seed=0)
    next(batches)
    batches.close()
    batches.close()
    with pytest.raises(ValueError, match="closed"):
        next(batches)


def test_uniform():
    seeds = np.arange(20_000, dtype=np.uint64)
    x = pipeline.uniform(seeds, 3)
    assert x.shape == (20_000, 3) and x.min() >= 0 and x.max() < 1
    np.testing.assert_allclose(x.mean(0), 0.5, atol=0.01)
    np.testing.assert_allclose(x.std(0), 12**-0.5, atol=0.01)
    off = np.corrcoef(np.concatenate([x[1:].T, x[:-1].T])) - np.eye(6)
    assert np.abs(off).max() < 0.03  # neither columns nor neighbors go together
    assert not np.isin(x[:, 1], x[:, 0]).any()
    np.testing.assert_array_equal(pipeline.uniform(seeds[5:6], 3), x[5:6])
    assert len(np.unique(pipeline.sample_seeds(0, seeds))) == len(seeds)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 10, 1), "config.batch=0: it must be at least 1."),
        (
            (64, 40, 1),
            "config.batch=64: the data has only 40 images. Use config.batch<=40 or more images.",
        ),
        ((30, 99, 8), "config.batch=30: 8 devices can't share it equally. Use 24 or 32."),
        ((3, 99, 8), "config.batch=3: 8 devices can't share it equally. Use 8."),
        ((9, 10, 4), "config.batch=9: 4 devices can't share it equally. Use 8."),
        (
            (3, 5, 8),
            (
                "config.batch=3: 8 devices can't share it equally. Use more than 5 images or fewer"
                " devices."
            ),
        ),
        (
            (30, 99, 8, 2),
            "config.batch=30: 8 devices of 2 processes can't share it equally. Use 24 or 32.",
        ),
    ],
)
def test_batches_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError) as error:
        check_batch(*arguments)
    assert str(error.value) == message


def test_batches_that_fit():
    check_batch(40, 40, 8, 2)
    check_batch(1, 1, 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "config.data lacks source"),
        ({"source": 3}, "config.data lacks source"),
        ({"source": "foldr"}, r"config.data.source='foldr': no module .*Did you mean 'folder'\?"),
        (
            {"source": "gan_jax.runtime.registry"},
            (
                "config.data.source='gan_jax.runtime.registry': gan_jax.runtime.registry has no"
                " Source"
            ),
        ),
        ({"source": "folder"}, "config.data lacks path, resolution"),
        (
            {"source": "folder", "path": "x", "resolutoin": 3},
            "config.data.resolutoin: .*Did you mean 'resolution'",
        ),
        (
            {"source": "folder", "path": "x", "resolution": "3"},
            "config.data.resolution='3' is a str",
        ),
    ],
)
def test_a_source_that_can_not_be_opened(settings, message):
    with pytest.raises(ValueError, match=message):
        open_source(settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch": 3, "process_count": 2}, "config.batch=3: 2 processes"),
        ({"seed": -1}, "config.seed=-1"),
        ({"seed": 2**32}, "config.seed=4294967296"),
    ],
)
def test_what_batches_refuse(settings, message):
    with pytest.raises(ValueError, match=message):
        Batches(**{"source": Numbers(), "batch": 4, "seed": 0} | settings)


def test_settings_are_not_consumed(tmp_path, caplog):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    settings = {"source": "folder", "path": str(tmp_path), "resolution": 2}
    with caplog.at_level(logging.WARNING):
        open_source(settings)
        assert open_source(settings).shape == (2, 2, 3)
    assert not caplog.records
