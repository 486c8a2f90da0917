"""pix2pix's networks: the U-Net, and the patch critic of input and result. Isola et al. 2017,
arXiv:1611.07004, appendix."""

from gan_jax.models import patchgan
from gan_jax.models.unet import Generator

__all__ = ["Discriminator", "Generator"]


class Discriminator(patchgan.Discriminator):
    """Of input and result joined by channel, with batch norm."""

    norm: str = "batch"
