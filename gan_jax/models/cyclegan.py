"""CycleGAN's networks: the residual generator and the patch critic. Zhu et al. 2017,
arXiv:1703.10593, appendix."""

from gan_jax.models.patchgan import Discriminator
from gan_jax.models.resnet import Generator

__all__ = ["Discriminator", "Generator"]
