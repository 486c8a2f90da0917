import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """LaMa at 256x256 on Places: lama-fourier, nine blocks.

    Suvorov et al. 2022, arXiv:2109.07161. Status: parity-tested; short runs only.
    Data: a folder of photographs. Batch 30, 1,000,000 iterations.
    Differs: no perceptual term, whose network is not to be had here; windows are cut and mirrored,
    without the other augmentations; pictures are drawn by the average of G's weights (half-life:
    1,000 pictures), not by the last ones.
    """
    arg = parse_arg(arg, batch=30, path="places")
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "inpaint", "lama"
    c.g, c.d = dict(width=64, levels=3, blocks=9), dict(width=64, levels=4)
    c.game = dict()
    view = dict(source="folder", path=arg.path, resolution=256, crop="random", flip=True)
    c.data = dict(source="masked", of=dict(view, labels=False), masks="lama")
    c.opt_g = dict(name="adam", lr=1e-3, b1=0.9, b2=0.999, clip_norm=1.0)
    c.opt_d = dict(name="adam", lr=1e-4, b1=0.9, b2=0.999, clip_norm=1.0)
    c.batch, c.total_kimg = arg.batch, 30_000.0
    c.log_every_kimg, c.sample_every_kimg = 5.0, 100.0
    c.save_every_kimg, c.ema_halflife_kimg = 240.0, 1.0
    c.workers = 8
    if arg.smoke:
        c.g, c.d = dict(width=4, levels=2, blocks=1), dict(width=4, levels=2)
        c.data.of = dict(source="avatars", labels=None, identities=24, resolution=32)
        c.batch, c.total_kimg, c.workers = 4, 0.016, 0
    return c
