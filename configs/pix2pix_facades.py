import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """pix2pix at 256x256: label maps of facades into photographs.

    Isola et al. 2017, arXiv:1611.07004. Status: parity-tested; short runs only.
    Data: the authors' facades, files of a photograph (left) and its labels (right). 200 epochs of
    400 pictures, batch 1, at which a batch norm is an instance norm; pictures are cut from 286
    pixels.
    Differs: pictures are drawn by the average of G's weights (half-life: 100 pictures), not by the
    last ones.
    """
    arg = parse_arg(arg, batch=1, path="facades")
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "pix2pix", "pix2pix"
    c.g, c.d = dict(width=64, levels=8, norm="instance"), dict(width=64, levels=3, norm="instance")
    c.game = dict(l1=100.0)
    view = dict(
        source="folder",
        path=f"{arg.path}/train",
        resolution=256,
        crop="random",
        enlarge=286 / 256,
        flip=True,
    )
    c.data = dict(source="paired", a=dict(view, half="right"), b=dict(view, half="left"))
    c.opt_g = c.opt_d = dict(
        name="adam", lr=2e-4, b1=0.5, b2=0.999, schedule="linear", decay_from_kimg=40.0
    )
    c.batch, c.total_kimg = arg.batch, 80.0
    c.log_every_kimg, c.sample_every_kimg = 0.4, 4.0
    c.save_every_kimg, c.ema_halflife_kimg = 8.0, 0.1
    held_out = dict(a=dict(path=f"{arg.path}/val"), b=dict(path=f"{arg.path}/val"))
    c.eval_every_kimg = 8.0
    c.eval = dict(metrics=("kid", "style", "fidelity"), images=100, held_out=held_out)
    if arg.smoke:
        c.g.update(width=4, levels=4)
        c.d.update(width=4, levels=1)
        avatars = dict(source="avatars", labels=None, identities=24, resolution=32)
        c.data = dict(
            source="paired",
            a=dict(avatars, styles=("dylan",)),
            b=dict(avatars, styles=("personas",)),
        )
        c.batch, c.total_kimg, c.eval_every_kimg = 2, 0.016, 0.016
        c.eval = dict(metrics=("kid", "style", "fidelity"), images=4, reference=8, batch=4)
    return c
