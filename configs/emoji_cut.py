import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """CUT, Google's emoji into Twitter's.

    `gan-jax prepare` makes sets/emoji of two emoji packages. Status: trained on one CPU core:
    docs/benchmarks/quality.md.
    """
    arg = parse_arg(arg, batch=4, path="sets/emoji")
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "cut", "cut"
    c.g, c.d = dict(width=24, blocks=4, residual=True, guided=8, flat=8), dict(width=24, levels=2)
    c.networks = dict(heads=dict(features=64))
    c.game = dict(patches=64, taps=(0, 4, 8, 12, 15))
    c.from_data = ("g.guided", "g.flat")
    c.data = dict(
        source="unpaired", a=side(f"{arg.path}/train/google"), b=side(f"{arg.path}/train/twitter")
    )
    c.opt_g = c.opt_d = dict(
        name="adam", lr=2e-4, b1=0.5, b2=0.999, schedule="linear", decay_from_kimg=4.0
    )
    c.batch, c.total_kimg = arg.batch, 8.0
    c.log_every_kimg, c.sample_every_kimg = 0.5, 4.0
    c.save_every_kimg, c.ema_halflife_kimg = 4.0, 1.0
    held_out = dict(
        source="paired",
        a=dict(path=f"{arg.path}/test/google"),
        b=dict(path=f"{arg.path}/test/twitter"),
    )
    validation = dict(
        source="paired",
        a=dict(path=f"{arg.path}/validation/google"),
        b=dict(path=f"{arg.path}/validation/twitter"),
    )
    c.eval_every_kimg = 4.0
    c.eval = dict(
        metrics=("kid", "style", "fidelity"),
        images=336,
        reference=3000,
        held_out=held_out,
        validation=validation,
    )
    if arg.smoke:
        c.g, c.d = dict(width=4, blocks=1, residual=True, guided=8, flat=8), dict(width=4, levels=1)
        c.networks = dict(heads=dict(features=8))
        c.game = dict(patches=8, taps=(0, 4, 8, 12))
        smoke(c, "unpaired")
    return c


def side(path):
    return dict(source="folder", path=path, resolution=64, flip=True)


def smoke(c, source):
    """The avatars, who need no files: a person in one style, and in another."""
    avatars = dict(source="avatars", labels=None, identities=24, resolution=32)
    c.data = dict(
        source=source, a=dict(avatars, styles=("dylan",)), b=dict(avatars, styles=("personas",))
    )
    c.batch, c.total_kimg, c.eval_every_kimg = 4, 0.016, 0.016
    c.eval = dict(metrics=("kid", "style"), images=4, reference=8, batch=4)
