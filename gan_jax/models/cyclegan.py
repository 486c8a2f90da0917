"""CycleGAN's networks. Zhu et al. 2017, arXiv:1703.10593: see models/translator.py."""

from gan_jax.models.translator import PatchDiscriminator as Discriminator
from gan_jax.models.translator import ResNetGenerator as Generator

__all__ = ["Discriminator", "Generator"]
