import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """CycleGAN at 256x256: horses into zebras and back.

    Zhu et al. 2017, arXiv:1703.10593. Status: parity-tested; short runs only.
    Data: TFDS cycle_gan/horse2zebra. 200 epochs of 1,334 pictures, batch 1, cut from 286 pixels;
    the learning rate falls from half on.
    Differs: pictures are drawn by the average of G's weights (half-life: 100 pictures), not by the
    last ones.
    """
    arg = parse_arg(arg, batch=1)
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "cyclegan", "cyclegan"
    c.g, c.d = dict(width=64, blocks=9), dict(width=64, levels=3)
    view = dict(
        source="tfds",
        name="cycle_gan/horse2zebra",
        resolution=256,
        crop="random",
        enlarge=286 / 256,
        flip=True,
    )
    c.data = dict(source="unpaired", a=dict(view, split="trainA"), b=dict(view, split="trainB"))
    c.opt_g = c.opt_d = dict(
        name="adam", lr=2e-4, b1=0.5, b2=0.999, schedule="linear", decay_from_kimg=133.0
    )
    c.batch, c.total_kimg = arg.batch, 267.0
    c.log_every_kimg, c.sample_every_kimg = 1.0, 10.0
    c.save_every_kimg, c.ema_halflife_kimg = 10.0, 0.1
    held_out = dict(a=dict(split="testA"), b=dict(split="testB"))
    c.eval_every_kimg, c.eval = 20.0, dict(metrics=("kid", "style"), images=120, held_out=held_out)
    if arg.smoke:
        c.g, c.d = dict(width=4, blocks=1), dict(width=4, levels=1)
        avatars = dict(source="avatars", labels=None, identities=24, resolution=32)
        c.data = dict(
            source="unpaired",
            a=dict(avatars, styles=("dylan",)),
            b=dict(avatars, styles=("personas",)),
        )
        c.batch, c.total_kimg, c.eval_every_kimg = 2, 0.016, 0.016
        c.eval = dict(metrics=("kid", "style"), images=4, reference=8, batch=4)
    return c
