import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """SNGAN with projection on CIFAR-10, conditional on its classes.

    Miyato et al. 2018, arXiv:1802.05957. Status: parity-tested; short runs only.
    `data.labels=False` makes it unconditional.
    """
    arg = parse_arg(arg, batch=64)
    c = ml_collections.ConfigDict()
    c.algorithm = "noise_to_image"
    c.model, c.g, c.d = "sngan", dict(width=64), dict(width=64, spectral_norm=True)
    c.game = dict(z_dim=128, loss="hinge", n_critic=5)
    c.data = dict(source="tfds", name="cifar10", resolution=32, flip=True, labels=True)
    c.opt_g = c.opt_d = dict(name="adam", lr=2e-4, b1=0.0, b2=0.9, schedule="linear")
    c.batch, c.total_kimg = arg.batch, 6_400.0
    c.log_every_kimg, c.sample_every_kimg, c.save_every_kimg = 10.0, 200.0, 200.0
    c.eval_every_kimg, c.eval = 400.0, dict(images=5000, held_out=dict(split="test"))
    if arg.smoke:
        c.data = dict(source="avatars", identities=12, resolution=32, labels="style")
        c.g.width = c.d.width = 4
        c.batch, c.total_kimg = 8, 0.032
        c.eval_every_kimg, c.eval = 0.032, dict(images=8, reference=8, batch=8)
    return c
