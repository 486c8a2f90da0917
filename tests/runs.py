"""Runs as they are before training: a checkpoint of step 0, made without compiling anything."""

import contextlib
import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import algorithms, build, checkpoint, config

STYLED = {"algorithm": "stylegan2", "model": "stylegan2", "data": {}, "batch": 4, "total_kimg": 1.0}
STYLED |= {
    "g": {"w_dim": 6, "map_layers": 1, "channel_base": 64, "channel_max": 8},
    "d": {"channel_base": 32, "channel_max": 4},
    "game": {"z_dim": 4},
}
PALETTE = {"algorithm": "projected", "model": "style_dcgan", "data": {}, "batch": 4}
PALETTE |= {
    "total_kimg": 1.0,
    "g": {"w_dim": 6, "map_layers": 1, "width": 4, "patch": 2, "palette": 4, "initializer": "he"},
    "d": {"width": 2, "smallest": 4},
    "game": {"z_dim": 4, "features_side": 32},
}
"""Settings of small runs whose generator has styles; PALETTE's draws in four colors."""


def untrained(workdir, settings, shape, classes=(), fill=None):
    """Makes the folder the workdir of a run at its start.

    settings: of config.Config. fill: (path, shape) -> array of each leaf; None: `filled`.
    """
    run = config.Config(**settings)
    game = algorithms.make_game(run, shape, len(classes))

    def new():
        return build.new_state(run, game, shape, len(classes)).saved()

    shapes = jax.eval_shape(new)
    state = jax.tree_util.tree_map_with_path(fill or filled, shapes)
    meta = {"config": dataclasses.asdict(run), "shape": shape, "classes": classes}
    with contextlib.closing(checkpoint.Store(workdir / "checkpoints")) as store:
        assert store.save(0, state, json.loads(json.dumps(meta))) and store.finish()
    return workdir


def filled(path, x):
    """Random kernels, scales and variances of 1, all else 0."""
    name = jax.tree_util.keystr(path)
    if x.ndim < 2:
        return jnp.asarray(np.full(x.shape, name.endswith(("'scale']", "'var']")), x.dtype))
    draw = np.random.default_rng(list(name.encode()))
    return jnp.asarray(draw.normal(0, np.prod(x.shape[:-1]) ** -0.5, x.shape).astype(x.dtype))


def lively(path, x):
    """Weights with which PALETTE's pictures depend on their styles: colors are far apart."""
    name = jax.tree_util.keystr(path)
    draw = np.random.default_rng(list(name.encode()))
    if "colors" in name and "bias" in name:
        return jnp.asarray(draw.uniform(-1, 1, x.shape).astype(np.float32))
    if "mapping" in name and x.ndim == 2:  # an equalized layer
        return jnp.asarray(draw.normal(0, 1, x.shape).astype(x.dtype))
    if "'bias'" in name or "'gain'" in name:
        return jnp.asarray(draw.normal(0, 0.3, x.shape).astype(x.dtype))
    return 10 * filled(path, x) if x.ndim == 4 else filled(path, x)


def lively_stylegan2(path, x):
    """Weights as StyleGAN2's start: STYLED's pictures depend on their styles."""
    name = jax.tree_util.keystr(path)
    draw = np.random.default_rng(list(name.encode()))
    if x.ndim < 2:
        return jnp.asarray(np.full(x.shape, "affine" in name, x.dtype))
    return jnp.asarray(draw.normal(0, 100 if "mapping" in name else 1, x.shape).astype(x.dtype))
