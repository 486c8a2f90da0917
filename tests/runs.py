"""Runs as they are before training: a checkpoint of step 0, made without compiling anything."""

import contextlib
import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import algorithms, build, checkpoint, config


def untrained(workdir, settings, shape, classes=(), fill=None):
    """Makes the folder the workdir of a run at its start.

    settings: of config.Config. fill: (path, shape) -> array of each leaf; None: `_filled`.
    """
    run = config.Config(**settings)
    game = algorithms.make_game(run, shape, len(classes))
    new = lambda: build.new_state(run, game, shape, len(classes)).saved()
    shapes = jax.eval_shape(new)
    state = jax.tree_util.tree_map_with_path(fill or _filled, shapes)
    meta = {"config": dataclasses.asdict(run), "shape": shape, "classes": classes}
    with contextlib.closing(checkpoint.Store(workdir / "checkpoints")) as store:
        assert store.save(0, state, json.loads(json.dumps(meta))) and store.finish()
    return workdir


def _filled(path, x):
    """Random kernels, scales and variances of 1, all else 0."""
    name = jax.tree_util.keystr(path)
    if x.ndim < 2:
        return jnp.asarray(np.full(x.shape, name.endswith(("'scale']", "'var']")), x.dtype))
    draw = np.random.default_rng(list(name.encode()))
    return jnp.asarray(draw.normal(0, np.prod(x.shape[:-1]) ** -0.5, x.shape).astype(x.dtype))
