import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """R3GAN on the embedded portraits, conditional on their drawing style.

    Status: trained; after seven minutes on two CPU cores (kid_efflite0 0.360) head-like outlines,
    not yet faces.
    """
    arg = parse_arg(arg, batch=16)
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "r3gan", "r3gan"
    c.g = c.d = dict(widths=(64, 64, 64, 32), cardinality=(8, 8, 8, 4), blocks=1)
    c.game = dict(z_dim=64, gamma=0.05, gamma_final=0.005, decay_kimg=36.0)
    c.augment = dict(name="ada", pipe=("bgc", "cutout"), multipliers=(("color", 0.5),))
    c.augment.update(target=None, p=0.3, rise_kimg=36.0)
    c.data = dict(source="avatars", resolution=32, labels="style")
    c.conditional = True
    c.opt_g = c.opt_d = dict(
        name="adam", lr=4e-4, final_lr=1e-4, b1=0.0, b2=0.9, final_b2=0.99, schedule="cosine"
    )
    c.batch, c.total_kimg = arg.batch, 36.0
    c.ema_halflife_kimg, c.ema_rise_kimg, c.ema_rampup = 2.0, 36.0, None
    c.log_every_kimg, c.sample_every_kimg, c.save_every_kimg = 2.0, 6.0, 6.0
    c.eval_every_kimg = 6.0
    c.eval = dict(images=1000, reference=2000, held_out=dict(split="test"))
    if arg.smoke:
        c.data.identities, c.data.resolution = 12, 16
        c.g = c.d = dict(widths=(4,) * 3, cardinality=(2,) * 3, blocks=1)
        c.batch, c.total_kimg = 8, 0.032
        c.eval_every_kimg, c.eval = 0.032, dict(images=8, reference=8, batch=8)
    return c
