"""How weights start, by name. Kernels are [..., I, O]; a fan is measured as PyTorch measures it."""

import flax.linen as nn

from gan_jax import lookup

INITIALIZERS = {
    "normal": nn.initializers.normal(0.02),  # Radford et al. 2016, arXiv:1511.06434, section 4
    "zeros": nn.initializers.zeros,
    "xavier_small": nn.initializers.variance_scaling(0.02**2, "fan_avg", "normal"),  # gain 0.02, CUT's
    "xavier": nn.initializers.xavier_uniform(),
    "he": nn.initializers.he_normal(),
    "orthogonal": nn.initializers.orthogonal(),  # columns of [everything else, O]; PyTorch's rows of [O, rest]
}


def initializer(name: str):
    """One of INITIALIZERS. Raises ValueError for another name."""
    return lookup.choose(INITIALIZERS, name, "initializer")
