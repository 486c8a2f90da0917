"""Figures of personalization, on a generator of a few hundred weights."""

import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import pretrained
from gan_jax.evaluation import personalization
from gan_jax.evaluation.probes import Usefulness
from gan_jax.inference import loading
from gan_jax.personalize.base import Base
from tests.nets import pixel_net
from tests.runs import PALETTE, lively, untrained


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "colors"
    return Base(loading.load_sampler(untrained(workdir, PALETTE, [16, 16, 4], ["a"], lively)))


@pytest.fixture(autouse=True)
def nets(monkeypatch):
    for name in ("lpips_vgg", "lpips_alex", "efflite0"):
        monkeypatch.setitem(pretrained.NETS, name, pixel_net)


def test_samples_are_not_searched_for_from_the_answer(base):
    found = personalization.of_samples(base, 4, steps=1)
    assert found["w_error"] > 0.05 and found["lpips_start"] > 0
    assert 0 < found["lpips"] <= found["lpips_start"]


@pytest.mark.slow
def test_held_out_portraits(base, shared_data):
    found = personalization.of_held_out(base, 2, 2, 3, (1.0,), 1, identities=12)
    assert found["lpips_tuned_1"] < found["lpips_w_of_tuned"] <= found["lpips_start"] * 1.5
    assert found["others_moved_1"] > 0 and found["offset_w+"] > 0
    assert 0 < found["psnr_w"] < 60


def test_a_drawn_person(base, shared_data, monkeypatch):
    """Of a generator that draws the person's own pictures, all is kept."""
    monkeypatch.setattr(
        personalization, "Usefulness", lambda: Usefulness(steps=2, width=2, batch=4)
    )
    lines = []
    found = personalization.of_person(
        base, (2,), steps=1, rounds=1, drawn=5, identities=12, log=lines.append
    )[2]
    assert lines[0].startswith("2 pictures: lpips ")
    assert 0 <= found["skin_kept"] <= 1 and 0 <= found["hair_kept_real"] <= 1
    assert found["nearest_own_held"] > 0 and found["apart_held"] > 0


def test_distances_between_pictures():
    a, b = np.array([[0.0, 0], [3, 4]]), np.array([[0.0, 0]])
    np.testing.assert_array_equal(personalization._far(a, b), [[0], [5]])
    x = jnp.zeros((2, 16, 16, 3))
    net = pixel_net("a")
    assert personalization._lpips(net, x, x + 0.1) == pytest.approx(0.04, rel=1e-4)
