import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """StyleGAN2 on the embedded portraits, conditional on their drawing style.

    Status: trained; after eight minutes on two CPU cores (kid_efflite0 0.284) distinct styles, but
    within a style all heads nearly alike.
    """
    arg = parse_arg(arg, batch=32)
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "stylegan2", "stylegan2"
    c.g = dict(w_dim=128, map_layers=2, channel_base=1024, channel_max=64)
    c.d = dict(channel_base=1024, channel_max=64)
    c.game = dict(z_dim=64, gamma=0.5)
    c.data = dict(source="avatars", resolution=32, labels="style")
    c.conditional = True
    c.opt_g = c.opt_d = dict(name="adam", lr=2.5e-3, b1=0.0, b2=0.99)
    c.batch, c.total_kimg = arg.batch, 64.0
    c.log_every_kimg, c.sample_every_kimg = 2.0, 8.0
    c.save_every_kimg, c.ema_halflife_kimg = 8.0, 2.0
    c.eval_every_kimg = 8.0
    c.eval = dict(images=1000, reference=2000, held_out=dict(split="test"))
    if arg.smoke:
        c.data.identities = 12
        c.g = dict(w_dim=8, map_layers=2, channel_base=64, channel_max=8)
        c.d = dict(channel_base=64, channel_max=8)
        c.batch, c.total_kimg = 8, 0.032
        c.eval_every_kimg, c.eval = 0.032, dict(images=8, reference=8, batch=8)
    return c
