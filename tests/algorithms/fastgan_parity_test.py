"""FastGAN's generator against Projected GAN's code, with the same weights, noise and inputs.

The reference (fixtures/fastgan.npz, torch 2.13.0, CPU, float32): projected-gan e1c246b `Generator`,
ngf 4, z 8, in training mode: every eighth pixel of its first two pictures of four. "plain" is
`lite` at 256x256, "big" is not, at 128x128; "cond" is big with three classes. Parameters and
buffers are drawn from their names by `drawn`; the n-th map of noise from seed n.
"""

import itertools
import zlib

import jax
import numpy as np
import pytest

from gan_jax.algorithms import base
from gan_jax.models import fastgan
from tests.paths import FIXTURES

REFERENCE = np.load(FIXTURES / "fastgan.npz")
NOISE = np.random.default_rng(0).standard_normal((4, 8)).astype(np.float32)
LABELS = np.array([0, 2, 1, 2])
LEAVES = {"kernel": "weight_orig", "scale": "weight", "u": "weight_u", "strength": "weight"}
CONV = {"plain": (1,), "big": (1, 5), "cond": ("conv1", "conv2")}
NORM = {"plain": (2,), "big": (3, 7), "cond": ("bn1", "bn2")}
STRENGTH = {"big": (2, 6), "cond": ("noise",)}


def drawn(name, shape):
    """What the peer's array of this name holds."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    vector = len(shape) == 1
    if name.endswith("_var") or (vector and shape[0] > 1 and name.endswith(".weight")):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    x = rng.standard_normal(shape).astype(np.float32)
    if name.endswith(("_u", "embed.weight")):
        return x
    return np.float32(0.3 if vector else np.sqrt(2 / np.prod(shape[1:]))) * x


def peers(tag, keys):
    """Our ("block8", "conv0", "kernel") -> the peer's "synthesis.feat_8.conv1.weight_orig"."""
    layer, inner, leaf = keys[0], keys[1] if len(keys) > 2 else "", keys[-1]
    if layer == "embed":
        return "synthesis.embed.weight"
    if layer.startswith("block"):
        kind, n = inner.rstrip("01"), int(inner[-1]) if inner[-1].isdigit() else 0
        name = {"conv": CONV, "norm": NORM, "noise": STRENGTH}[kind][tag][n]
        layer = f"feat_{layer.removeprefix('block')}.{name}"
        if kind == "norm" and tag == "cond":
            part = {"gain": ".gain", "shift": ".bias"}.get(keys[2], "")
            layer, leaf = layer + part, leaf if part else f"stored_{leaf}"
    elif layer.startswith("excite"):
        layer = f"se_{layer.removeprefix('excite')}.main.{1 + 2 * int(inner[-1])}"
    else:
        layer = {"start": "init.init.0", "norm": "init.init.1", "to_image": "to_big"}[layer]
    leaf = {"mean": "running_mean", "var": "running_var"}.get(leaf, leaf)
    return f"synthesis.{layer}.{LEAVES.get(leaf, leaf)}"


def weights(tag, tree):
    """The tree with every leaf as the peer's, laid out as ours."""

    def leaf(path, like):
        keys, shape = [key.key for key in path], like.shape or (1,)
        if keys[0] == "embed":
            return drawn(peers(tag, keys), shape)
        if keys[0] == "start" and len(shape) > 1:  # transposed: [I, O, 4, 4]
            return drawn(peers(tag, keys), (*shape[2:], *shape[:2])).transpose(2, 3, 0, 1)
        if len(shape) > 1:  # [O, I, k, k]
            x = drawn(peers(tag, keys), (shape[-1], shape[-2], *shape[:-2]))
            return np.moveaxis(x, (0, 1), (-1, -2))
        return drawn(peers(tag, keys), shape).reshape(like.shape)

    return jax.tree_util.tree_map_with_path(leaf, tree)


@pytest.mark.parametrize(
    ("tag", "side", "classes", "lite"),
    [("plain", 256, 0, True), ("big", 128, 0, False), ("cond", 128, 3, False)],
)
def test_projected_gans_fastgan(tag, side, classes, lite, monkeypatch):
    y, rngs = LABELS if classes else None, {"params": jax.random.key(0), "noise": jax.random.key(1)}
    g = fastgan.Generator((side, side, 3), classes, width=4, lite=lite)
    shapes = jax.eval_shape(lambda: g.init(rngs, NOISE, y, train=True))
    variables = {part: weights(tag, shapes[part]) for part in shapes}
    params, maps = variables.pop("params"), itertools.count()

    def draw(sample, rows):
        shape = jax.eval_shape(lambda: sample(rows)).shape
        return np.random.default_rng(next(maps)).standard_normal(shape, np.float32)

    monkeypatch.setattr(fastgan.collectives, "draw", draw)
    images, _ = jax.jit(lambda z: base.forward(g, params, variables, z, y, rngs=rngs))(NOISE)
    assert next(maps) == (0 if lite else 10)
    want = REFERENCE[tag]
    np.testing.assert_allclose(images[:2, ::8, ::8], want, rtol=0, atol=1e-4 * np.abs(want).max())
