"""Batches of pictures with holes (data/sources/masked.py), for the games that see pixels in [-1,
1]."""

import jax.numpy as jnp

from gan_jax.algorithms import base


def opened(batch):
    """(the true pictures x f32 [B, H, W, 3] in [-1, 1]; m [B, H, W, 1], 1 in their holes; what G is
    given [B, H, W, 4]) of a batch."""
    _, m, given = torn(base.to_float(batch["image"]))
    return base.to_float(batch["target"])[..., :3], m, given


def torn(x):
    """(colors, m, what G is given) of pictures f32 [n, H, W, 4] in [-1, 1] that are transparent in
    their holes."""
    colors, m = x[..., :3], (x[..., 3:] < 0).astype(jnp.float32)
    return colors, m, jnp.concatenate([colors * (1 - m), m], -1)


def filled(p, x, m):
    """G's picture p in the holes, x elsewhere."""
    return m * p + (1 - m) * x
