"""Projected GAN's critic against the official one, with the same weights and maps on both sides.

The reference (fixtures/projected.npz, torch 2.13.0, CPU, float32): autonomousvision/projected-gan
e1c246b, its cross-channel and cross-scale mixing (64 channels) and `MultiScaleD` of four heads in
training mode, on maps of 3, 5, 6 and 7 channels and 40, 20, 10 and 5 pixels a side: logits of 3
rows, the gradient of mean relu(1 - logits) in the maps, batch norm's running variances and spectral
norm's u after the pass (the first four of each layer). "cond" has 5 classes, "separable" such
heads. `drawn` gives the weights.
"""

import re
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.algorithms import base
from gan_jax.models import projected
from tests.paths import FIXTURES

REFERENCE = np.load(FIXTURES / "projected.npz")
CHANNELS, SIDES, LABELS = (3, 5, 6, 7), (40, 20, 10, 5), np.array([4, 0, 2])
LEAVES = {"kernel": "weight_orig", "bias": "bias", "u": "weight_u", "scale": "weight"}


def maps():
    rng = np.random.default_rng(7)
    sizes = [(3, c, side, side) for c, side in zip(CHANNELS, SIDES, strict=True)]
    return [rng.normal(size=size).astype(np.float32).transpose(0, 2, 3, 1) for size in sizes]


def drawn(name, shape):
    """The official weight of this name, of PyTorch's shape."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("weight_u"):
        return rng.normal(size=shape).astype(np.float32)
    if len(shape) > 1:
        return (np.sqrt(2 / np.prod(shape[1:])) * rng.normal(size=shape)).astype(np.float32)
    if ".1.weight" in name:
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    return (0.1 * rng.normal(size=shape)).astype(np.float32)


def official(path):
    """Path of one of our leaves -> its name there, without the leaf's own: head0/down1/..."""
    head, layer = re.match(r"head(\d)/(\w+)", path).groups()
    found = re.match(r"down(\d)(?:_(\w+))?", layer)
    if found is None:
        ends = {"last": None, "label": "embed_proj.0", "Embed_0": "embed"}
        return f"d.mini_discs.{head}.{ends[layer]}"
    part = {None: "0", "norm": "1"}.get(found[2], f"0.{found[2]}")
    return f"d.mini_discs.{head}.main.{found[1]}.main.{part}"


def filled(tree, cond):
    """Our tree of variables with the official weights."""

    def fill(path, x):
        path = jax.tree_util.keystr(path, simple=True, separator="/")
        if path.startswith("mixing"):
            _, kind, k, leaf = re.match(r"mixing/((\w+?)(\d))_(\w+)", path).groups()
            name = f"scratch.layer{k}_{'ccm' if kind == 'channels' else 'csm.out_conv'}"
            leaf = {"kernel": "weight", "bias": "bias"}[leaf]
        else:
            head, leaf = path[4], path.rpartition("/")[2]
            name, leaf = official(path), LEAVES.get(leaf)
            if leaf is None:
                return x  # running statistics, as they start
            if name.endswith("None"):
                name = f"d.mini_discs.{head}." + ("cls" if cond else f"main.{4 - int(head)}")
            if "embed" in name and leaf == "weight_orig":
                leaf = "weight"
        shape = x.shape
        if x.ndim == 4:
            return drawn(f"{name}.{leaf}", (shape[3], shape[2], *shape[:2])).transpose(2, 3, 1, 0)
        if path.startswith("mixing") and x.ndim == 2:
            return drawn(f"{name}.{leaf}", (shape[1], shape[0], 1, 1))[:, :, 0, 0].T
        if name.endswith("embed"):
            return drawn(f"{name}.{leaf}", shape)
        return drawn(f"{name}.{leaf}", shape[::-1]).T

    return jax.tree_util.tree_map_with_path(fill, tree)


def close(ours, theirs):
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())


@pytest.mark.parametrize("tag", ["cond", "separable"])
def test_the_official_mixing_and_heads(tag):
    cond = tag == "cond"
    d = projected.Discriminator(5 if cond else 0, separable=tag == "separable")
    y, x = LABELS if cond else None, maps()
    shapes = jax.eval_shape(lambda: base.init_network(d, jax.random.key(0), x, y))
    start = jax.tree_util.tree_map_with_path(
        lambda path, x: np.full(x.shape, "var" in jax.tree_util.keystr(path[-1:]), x.dtype), shapes
    )
    params = filled(start[0], cond)
    mutable = {name: filled(tree, cond) for name, tree in start[1].items()}

    @jax.jit
    def see(x):
        def loss(x):
            logits, state = base.forward(d, params, mutable, x, y)
            return jnp.maximum(1 - logits, 0).mean(), (logits, state)

        (_, (logits, state)), grads = jax.value_and_grad(loss, has_aux=True)(x)
        return logits, state, grads

    logits, state, grads = see(x)
    close(logits, REFERENCE[f"{tag}/logits"])
    close(grads[3], REFERENCE[f"{tag}/grad3"])
    close(grads[0].mean((1, 2)), REFERENCE[f"{tag}/grad0"])
    variances = [np.asarray(x)[:4] for x in jax.tree.leaves(state["batch_stats"])[1::2]]
    close(np.concatenate(variances), REFERENCE[f"{tag}/var"])


def test_a_map_is_enlarged_as_pytorch_does_it():
    d = projected.Mixing(64)
    start = jax.eval_shape(lambda: d.init(jax.random.key(0), maps()))
    fixed = filled({"mixing": start["fixed"]}, False)["mixing"]
    mixed = jax.jit(lambda x: d.apply({"fixed": fixed}, x))(maps())
    close(mixed[0][:, ::16, ::16, ::8], REFERENCE["mixed0"])
    close(mixed[3][:, ::3, ::3, ::16], REFERENCE["mixed3"])
