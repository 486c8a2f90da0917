"""How weights start, by name. Kernels are [..., I, O]; a fan is measured as PyTorch measures it."""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp

from gan_jax.runtime import registry

INITIALIZERS = {
    "normal": nn.initializers.normal(0.02),  # Radford et al. 2016, arXiv:1511.06434, section 4
    "zeros": nn.initializers.zeros,
    # gain 0.02, CUT's
    "xavier_small": nn.initializers.variance_scaling(0.02**2, "fan_avg", "normal"),
    "xavier": nn.initializers.xavier_uniform(),
    # PyTorch's of a convolution and of a dense layer
    "torch": nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform"),
    "he": nn.initializers.he_normal(),
    # columns of [everything else, O]; PyTorch's rows of [O, rest]
    "orthogonal": nn.initializers.orthogonal(),
}


def initializer(name: str | Callable) -> Callable:
    """One of INITIALIZERS, or itself where it is a function already.

    Raises:
        ValueError: no such name.
    """
    return name if callable(name) else registry.choose(INITIALIZERS, name, "initializer")


def subpixel(n: int) -> Callable:
    """As "he", of a convolution before resample.depth_to_space: the n x n pixels of a square start
    equal, without a checkerboard.

    Aitken et al. 2017, arXiv:1707.02937 ("ICNR").
    """

    def start(rng, shape, dtype=jnp.float32):
        one = INITIALIZERS["he"](rng, (*shape[:-1], shape[-1] // n**2), dtype)
        return jnp.tile(one, n**2)

    return start
