import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """Real-ESRNet x4: RRDBNet without a critic, what realesrgan_x4 starts from.

    Wang et al. 2021, arXiv:2107.10833. Status: parity-tested; short runs only.
    Data: a folder of large photographs (the paper: DIV2K, Flickr2K, OST). Windows of 256 pixels;
    batch 48, 1,000,000 iterations; G learns from sharpened pictures.
    Differs: no pool of pairs, for every choice is made for each picture; see
    gan_jax/data/degradations.py.
    """
    arg = parse_arg(arg, batch=48, path="photos")
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "super_resolution", "rrdb"
    c.g, c.d = dict(width=64, blocks=23, growth=32), dict(width=64)
    c.game = dict(pixels=1.0, perceptual=0.0, adversarial=0.0, sharpen=True)
    view = dict(source="folder", path=arg.path, resolution=256, crop="random", flip=True)
    c.data = dict(source="degraded", of=dict(view, labels=False), kind="second_order", times=4)
    c.opt_g = c.opt_d = dict(name="adam", lr=2e-4, b1=0.9, b2=0.99)
    c.batch, c.total_kimg = arg.batch, 48_000.0
    c.log_every_kimg, c.sample_every_kimg = 5.0, 100.0
    c.save_every_kimg, c.ema_halflife_kimg = 240.0, 33.0
    c.ema_rampup, c.workers = None, 8
    if arg.smoke:
        c.g, c.d = dict(width=4, blocks=1, growth=2), dict(width=2)
        c.data.of = dict(source="avatars", labels=None, identities=24, resolution=32)
        c.batch, c.total_kimg, c.workers = 4, 0.016, 0
    return c
