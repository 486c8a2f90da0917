import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """pix2pix on your own pairs of pictures, of equal names in two folders.

    --config pairs:path=mine for mine/a and mine/b, or --config.data.a.path=sketches
    --config.data.b.path=paintings. What the targets are like decides from_data's settings. Status:
    short runs only; how well depends on your pictures.
    """
    arg = parse_arg(arg, batch=8, path="pairs")
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "pix2pix", "cyclegan"  # whose generator can start as the identity
    c.g, c.d = dict(width=24, blocks=4, residual=True, guided=24, flat=8), dict(width=24, levels=2)
    c.from_data = ("g.guided", "g.flat")
    c.data = dict(source="paired", a=side(f"{arg.path}/a"), b=side(f"{arg.path}/b"))
    c.opt_g = c.opt_d = dict(
        name="adam", lr=4e-4, b1=0.5, b2=0.999, schedule="linear", decay_from_kimg=2.0
    )
    c.batch, c.total_kimg = arg.batch, 4.0
    c.log_every_kimg, c.sample_every_kimg = 0.5, 2.0
    c.save_every_kimg, c.ema_halflife_kimg = 2.0, 1.0
    c.eval_every_kimg = 2.0
    c.eval = dict(metrics=("kid", "style", "fidelity"), images=300, reference=3000)
    if arg.smoke:
        c.g = dict(width=4, blocks=1, residual=True, guided=24, flat=8)
        c.d = dict(width=4, levels=1)
        smoke(c, "paired")
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
    c.eval = dict(metrics=("kid", "style", "fidelity"), images=4, reference=8, batch=4)
