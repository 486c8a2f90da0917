"""Annotations of shapes (jaxtyping's `Float[Array, "B H W C"]`) are checked in tests, and only
there."""

import jax
import jaxtyping
import numpy as np

# where every public function says them
ROOMS = ("losses", "regularizers", "metrics", "nn", "models", "augment", "pretrained")


def check() -> None:
    """From now on every function and dataclass of ROOMS that is imported checks its arguments and
    its result: beartype their types, jaxtyping that an axis of one name has one length."""
    jaxtyping.Array = jax.Array | np.ndarray  # as JAX's own functions take them
    numbers = "conf=beartype.BeartypeConf(is_pep484_tower=True)"  # an int is a float too
    modules = [f"gan_jax.{room}" for room in ROOMS]
    jaxtyping.install_import_hook(modules, f"beartype.beartype({numbers})")
