import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """MI-GAN at 256x256 on FFHQ: holes filled by a network small enough for phones.

    Sargsyan et al. 2023 (ICCV). Data: a folder with train/ and val/; holes are Co-Mod-GAN's, boxes
    and brush strokes. --config.data.of.path=faces, or ":path=faces".
    Differs: no large network to learn from, but an L1 of the true pictures (algorithms/migan.py).
    G learns as slowly as officially, as if it had a lazy step in four.
    Status: parity-tested; short runs only.
    """
    arg = parse_arg(arg, batch=32, path="ffhq")
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "migan", "migan"
    c.g = dict(channel_base=32768, channel_max=512)
    c.d = dict(channel_base=32768, channel_max=512, mbstd_group=4)
    c.game = dict(known=10.0, pixels=2.0, gamma=10.0, r1_every=16)
    faces = dict(source="folder", path=f"{arg.path}/train", resolution=256, flip=True)
    c.data = dict(source="masked", of=faces, masks="comodgan")
    c.opt_g = dict(name="adam", lr=1e-3 * 4 / 5, b1=0.0, b2=0.99 ** (4 / 5))
    c.opt_d = dict(name="adam", lr=1e-3, b1=0.0, b2=0.99)
    c.batch, c.total_kimg = arg.batch, 50_000.0
    c.log_every_kimg, c.sample_every_kimg, c.save_every_kimg = 4.0, 200.0, 500.0
    c.ema_halflife_kimg, c.ema_rampup, c.eval_every_kimg = 20.0, None, 500.0
    held_out = dict(of=dict(path=f"{arg.path}/val", flip=False))
    c.eval = dict(metrics=("fidelity", "lpips"), images=1000, held_out=held_out)
    if arg.smoke:
        avatars = dict(source="avatars", labels=None, identities=24, resolution=32)
        c.data = dict(source="masked", of=avatars, masks="comodgan")
        c.g, c.d = (dict(channel_base=64, channel_max=8) for _ in range(2))
        c.batch, c.total_kimg, c.eval_every_kimg = 4, 0.016, 0.016
        held_out = dict(of=dict(split="validation"))
        c.eval = dict(metrics=("fidelity",), images=4, held_out=held_out)
    return c
