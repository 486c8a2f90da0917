import ml_collections

from gan_jax.algorithms import stylegan2
from gan_jax.config import parse_arg


def get_config(arg=None):
    """StyleGAN2-ADA on CIFAR-10, conditional on its classes, by its "cifar" preset.

    Karras et al. 2020, arXiv:2006.06676. Status: parity-tested; short runs only.
    """
    arg = parse_arg(arg)
    c = ml_collections.ConfigDict(stylegan2.preset("cifar"))
    c.augment = dict(name="ada", pipe="bgc", target=0.6, kimg=500.0)
    c.data = dict(source="tfds", name="cifar10", resolution=32, labels=True)
    c.conditional = True
    c.log_every_kimg, c.sample_every_kimg, c.save_every_kimg = 10.0, 200.0, 200.0
    c.eval_every_kimg, c.eval = 400.0, dict(images=5000, held_out=dict(split="test"))
    if arg.smoke:
        c.data = dict(source="avatars", identities=12, resolution=32, labels="style")
        c.g.channel_base, c.g.channel_max, c.g.w_dim = 64, 8, 8
        c.d.channel_base, c.d.channel_max = 64, 8
        c.batch, c.total_kimg = 8, 0.032
        c.eval_every_kimg, c.eval = 0.032, dict(images=8, reference=8, batch=8)
    return c
