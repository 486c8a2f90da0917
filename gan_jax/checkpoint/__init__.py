"""Saves and restores a run: orbax writes, and a SHA-256 manifest for each step proves what was
written.

The folder of a step holds `state` (all of TrainState, leaves named by their path in the tree),
`meta` (JSON: config, classes, position in the data) and `manifest.json`. A step whose files are not
those of its manifest is never restored from: it is renamed and reported.
"""

from gan_jax.checkpoint.leaves import compare, named, read
from gan_jax.checkpoint.steps import (
    find,
    read_meta,
    set_aside,
    step_of,
    steps_in,
    verify,
    write_manifest,
)
from gan_jax.checkpoint.store import Store
from gan_jax.checkpoint.transfer import listed, other_classes, warm_start

__all__ = [
    "Store",
    "compare",
    "find",
    "listed",
    "named",
    "other_classes",
    "read",
    "read_meta",
    "set_aside",
    "step_of",
    "steps_in",
    "verify",
    "warm_start",
    "write_manifest",
]
