import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """StarGAN v2 on AFHQ at 256x256: cats, dogs and wild animals into each other.

    Choi et al. 2020, arXiv:1912.01865. Status: parity-tested; short runs only.
    Data: a folder with train/ and val/, in each a folder a style: cat, dog, wild. 100,000
    iterations of 8.
    Differs: windows of 1 / 1.1 of the side are cut from all pictures; the official code leaves each
    picture whole with probability 0.5 and cuts the others' windows at random, 0.8 to 1 of the area,
    one side 0.9 to 1.1 of the other, made square.
    """
    arg = parse_arg(arg, batch=8, path="afhq")
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "starganv2", "starganv2"
    c.g, c.d = dict(width=64, widest=512, levels=4), dict(width=64, widest=512)
    c.networks = dict(
        mapping=dict(features=64, width=512), encoder=dict(features=64, width=64, widest=512)
    )
    c.game = dict(z_dim=16, diversity=2.0, diversity_kimg=800.0)
    c.data = dict(
        source="folder",
        path=f"{arg.path}/train",
        labels=True,
        resolution=256,
        crop="random",
        enlarge=1.1,
        flip=True,
    )
    c.opt_g = c.opt_d = dict(name="adam", lr=1e-4, b1=0.0, b2=0.99, weight_decay=1e-4)
    c.opt_g.networks = dict(mapping=dict(lr=1e-6))
    c.batch, c.total_kimg = arg.batch, 800.0
    c.log_every_kimg, c.sample_every_kimg, c.save_every_kimg = 1.0, 20.0, 40.0
    c.ema_halflife_kimg, c.ema_rampup = 5.5, None
    c.eval_every_kimg, c.eval = 80.0, dict(images=2000, held_out=dict(path=f"{arg.path}/val"))
    if arg.smoke:
        c.data = dict(source="avatars", identities=12, resolution=32)
        c.g, c.d = dict(width=4, widest=8, levels=2), dict(width=4, widest=8)
        c.networks = dict(
            mapping=dict(features=4, width=8), encoder=dict(features=4, width=4, widest=8)
        )
        c.batch, c.total_kimg = 8, 0.032
        c.eval_every_kimg, c.eval = 0.032, dict(images=8, reference=8, batch=8)
    return c
