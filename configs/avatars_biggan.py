import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """A small BigGAN on the embedded portraits, their ten drawing styles as classes.

    Sampling with truncation trades variety for likelier pictures. Status: trained, kid_efflite0
    0.225 after nine minutes on two CPU cores: docs/benchmarks/quality.md.
    """
    arg = parse_arg(arg, batch=32)
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "noise_to_image", "biggan"
    c.g = dict(width=24, arch="studiogan", attention=16, embedding=32)
    c.d = dict(width=40, arch="studiogan", attention=16)
    c.game = dict(z_dim=64, loss="hinge", orthogonal=1e-4, standing_passes=16)
    c.data = dict(source="avatars", resolution=32, labels="style")
    c.conditional = True
    c.opt_g = dict(name="adam", lr=2e-4, b1=0.0, b2=0.99, eps=1e-6)
    c.opt_d = dict(name="adam", lr=4e-4, b1=0.0, b2=0.99, eps=1e-6)
    c.batch, c.total_kimg = arg.batch, 40.0
    c.log_every_kimg, c.sample_every_kimg = 2.0, 8.0
    c.save_every_kimg, c.ema_halflife_kimg = 8.0, 2.0
    c.eval_every_kimg = 8.0
    c.eval = dict(images=1000, reference=2000, held_out=dict(split="test"))
    if arg.smoke:
        c.data.identities = 12
        c.g.width = c.d.width = 4
        c.game.standing_passes = 2
        c.batch, c.total_kimg = 8, 0.032
        c.eval_every_kimg, c.eval = 0.032, dict(images=8, reference=8, batch=8)
    return c
