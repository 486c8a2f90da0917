import ml_collections

from gan_jax.algorithms import r3gan
from gan_jax.config import parse_arg


def get_config(arg=None):
    """R3GAN on CIFAR-10, conditional on its classes, by the official preset.

    Huang et al. 2024, arXiv:2501.05441. Status: parity-tested; short runs only.
    """
    arg = parse_arg(arg)
    c = ml_collections.ConfigDict(r3gan.preset("CIFAR10"))
    c.data = dict(source="tfds", name="cifar10", resolution=32, flip=True, labels=True)
    c.log_every_kimg, c.sample_every_kimg, c.save_every_kimg = 10.0, 200.0, 200.0
    c.eval_every_kimg, c.eval = 400.0, dict(images=5000, held_out=dict(split="test"))
    if arg.smoke:
        c.data = dict(source="avatars", identities=12, resolution=16, labels="style")
        c.g = c.d = dict(widths=(4,) * 3, cardinality=(2,) * 3, blocks=1)
        c.batch, c.total_kimg = 8, 0.032
        c.eval_every_kimg, c.eval = 0.032, dict(images=8, reference=8, batch=8)
    return c
