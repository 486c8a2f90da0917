import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """A DCGAN on 10,000 embedded portraits in ten drawing styles, 32x32: what other games from
    noise are compared with.

    Status: trained, about ten minutes on two CPU cores.
    """
    arg = parse_arg(arg, batch=32)
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "noise_to_image", "dcgan"
    c.g = dict(width=32, up="folded")
    c.d = dict(width=64, block="single", norm="none", slope=0.1, spectral_norm=True)
    c.game = dict(z_dim=64, loss="hinge")
    c.data = dict(source="avatars", resolution=32, labels="style")
    c.opt_g = c.opt_d = dict(
        name="adam", lr=5e-4, b1=0.0, b2=0.99, schedule="linear", decay_from_kimg=64.0
    )
    c.batch, c.total_kimg = arg.batch, 128.0
    c.log_every_kimg, c.sample_every_kimg = 2.0, 8.0
    c.save_every_kimg, c.ema_halflife_kimg = 16.0, 4.0
    c.eval_every_kimg = 16.0
    c.eval = dict(images=1000, reference=2000, held_out=dict(split="test"))
    if arg.smoke:
        c.data.identities = 12
        c.g.width = c.d.width = 4
        c.batch, c.total_kimg = 8, 0.032
        c.eval_every_kimg, c.eval = 0.032, dict(images=8, reference=8, batch=8)
    return c
