import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """CUT on the embedded portraits: one drawing style into another.

    Status: parity-tested; short runs only; made for two CPU cores.
    """
    arg = parse_arg(arg, batch=4, origin="avataaars", style="adventurer")
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "cut", "cut"
    c.g, c.d = dict(width=24, blocks=4), dict(width=24, levels=2)
    c.networks = dict(heads=dict(features=64))
    c.game = dict(patches=64, taps=(0, 4, 8, 12, 15))
    avatars = dict(source="avatars", resolution=64, labels=None, flip=True)
    c.data = dict(
        source="unpaired",
        a=dict(avatars, styles=(arg.origin,)),
        b=dict(avatars, styles=(arg.style,)),
    )
    c.opt_g = c.opt_d = dict(
        name="adam", lr=2e-4, b1=0.5, b2=0.999, schedule="linear", decay_from_kimg=8.0
    )
    c.batch, c.total_kimg = arg.batch, 16.0
    c.log_every_kimg, c.sample_every_kimg = 0.5, 4.0
    c.save_every_kimg, c.ema_halflife_kimg = 4.0, 1.0
    held_out = dict(a=dict(split="test"), b=dict(split="test"))
    validation = dict(a=dict(split="validation"), b=dict(split="validation"))
    c.eval_every_kimg = 8.0
    c.eval = dict(metrics=("kid", "style"), images=100, held_out=held_out, validation=validation)
    if arg.smoke:
        c.g, c.d = dict(width=4, blocks=1), dict(width=4, levels=1)
        c.networks, c.game = dict(heads=dict(features=8)), dict(patches=8, taps=(0, 4, 8, 12))
        for side in (c.data.a, c.data.b):
            side.identities, side.resolution = 24, 32
        c.batch, c.total_kimg, c.eval_every_kimg = 4, 0.016, 0.016
        c.eval = dict(metrics=("kid",), images=4, reference=8, batch=4)
    return c
