"""Against `AugmentPipe` of stylegan2-ada-pytorch (d72cc7d), with its own reference operations,
torch 2.13.0 on CPU.

Images are numpy.random.default_rng(seed).uniform(-1, 1, shape), float32. fixtures/ada_*.npz hold
what the pipe drew (value_*; the box of a cutout that did not happen at infinity), its two matrices,
its gains, its noise, the image after each stage, and the gradient of sum(y * c) in the image, c
standard normal from seed + 1. All transforms were on: with p = 1 (all), 0.5 (some), 0.9 on grey
(grey), and at fixed percentiles of every distribution (percentile_2, _7). Tolerance: 1e-4 of the
greatest value; measured: 9e-6 after the warp, 1e-6 elsewhere.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.augment import ADA, ada, color, corrupt, warp
from tests.paths import FIXTURES

NAMES = ("all", "some", "grey", "percentile_2", "percentile_7")


def load(name):
    with np.load(FIXTURES / f"ada_{name}.npz") as file:
        stored = dict(file)
    shape, seed = tuple(stored["shape"]), int(stored["seed"])
    stored["x"] = np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)
    stored["c"] = np.random.default_rng(seed + 1).standard_normal(shape).astype(np.float32)
    stored["values"] = {
        k.removeprefix("value_"): jnp.asarray(v)
        for k, v in stored.items()
        if k.startswith("value_")
    }
    return stored


def assert_close(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * np.abs(theirs).max())


@pytest.mark.parametrize("name", NAMES)
def test_matrices_and_gains(name):
    their = load(name)
    size, gray = their["x"].shape[1:3], their["x"].shape[3] == 1
    assert_close(warp.geometry(their["values"], size), their["G_inv"])
    matrix = color.colors(their["values"], gray)[:, :3]
    assert_close(matrix.mean(1, keepdims=True) if gray else matrix, their["C"])
    assert_close(corrupt.gains(their["values"]["imgfilter"]), their["gains"])


@pytest.mark.parametrize("name", ["some", "grey"])
def test_stages(name):
    their = load(name)
    values, gray = their["values"], their["x"].shape[3] == 1
    assert_close(warp.warp(their["x"], jnp.asarray(their["G_inv"])), their["after_geometry"])
    assert_close(
        color.recolor(jnp.asarray(their["after_geometry"]), color.colors(values, gray)),
        their["after_color"],
    )
    assert_close(
        corrupt.amplify(jnp.asarray(their["after_color"]), jnp.asarray(their["gains"])),
        their["after_filter"],
    )
    noisy = corrupt.add_noise(
        jnp.asarray(their["after_filter"]), their["noise_field"], values["noise"]
    )
    assert_close(noisy, their["after_noise"])
    assert_close(
        corrupt.cutout(jnp.asarray(their["after_noise"]), values["cutout"], 0.5), their["y"]
    )


@pytest.mark.parametrize("name", NAMES)
def test_whole_pipe_and_its_gradient(name):
    their = load(name)
    pipe = ADA("bgcfnc", target=None)
    image = lambda x: pipe.apply(x, their["values"], jnp.asarray(their["noise_field"]))
    y, back = jax.jit(lambda x, c: (lambda y, back: (y, back(c)[0]))(*jax.vjp(image, x)))(
        their["x"], their["c"]
    )
    assert_close(y, their["y"])
    assert_close(back, their["grad"])


@pytest.mark.parametrize("tenth", [2, 7])
def test_every_distribution_at_a_percentile(tenth):
    """Their debug percentile takes erfinv for the normal quantile, which is sqrt(2) times it; turns
    after aniso are 0."""
    values, u = load(f"percentile_{tenth}")["values"], jnp.float32(tenth / 10)
    ours = {name: t.value(u, t.strength) for name, t in ada.TRANSFORMS.items()}
    for name in ("xflip", "rotate90", "xint", "lumaflip", "hue", "cutout"):
        np.testing.assert_allclose(values[name], jnp.full_like(values[name], ours[name]), rtol=1e-5)
    np.testing.assert_allclose(values["rotate"][:, 0], [ours["rotate"]], rtol=1e-5)
    for name in ("xfrac", "brightness"):
        np.testing.assert_allclose(
            np.sqrt(2) * values[name], jnp.full_like(values[name], ours[name]), rtol=1e-4
        )
    for name in ("scale", "aniso", "contrast", "saturation", "imgfilter"):
        logs = np.sqrt(2) * np.log2(values[name])
        np.testing.assert_allclose(
            logs, jnp.full_like(values[name], jnp.log2(ours[name])), rtol=1e-4
        )
