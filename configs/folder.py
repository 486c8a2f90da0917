import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """A projected GAN at 64x64 on your own pictures, thirty or many: --config.data.path=photos.

    Its critic sees the pixels, later a pretrained network's feature maps too, augmented where there
    are fewer than 10,000 pictures; drawings get a palette. An hour on one CPU core.
    data.labels=True takes sub-folders as classes. Status: trained, on a hundred portraits.
    """
    arg = parse_arg(arg, batch=16)
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "projected", "dcgan"
    c.g = dict(width=32, up="folded", patch=2, palette=0)
    c.d = dict(width=32, pixels=64, pixels_spectral_norm=False, smallest=7)
    c.game = dict(z_dim=64, features_side=64, gamma=0.5, pixels_kimg=60.0)
    c.from_data = ("augment", "g.palette")
    c.data = dict(source="folder", path="photos", resolution=64, flip=True)
    c.augment = dict(name="diffaugment", policy="color,translation,cutout")
    c.opt_g = c.opt_d = dict(
        name="adam", lr=5e-4, b1=0.0, b2=0.99, schedule="linear", decay_from_kimg=80.0
    )
    c.batch, c.total_kimg = arg.batch, 160.0
    c.save_every_kimg, c.ema_halflife_kimg = 5.0, 2.0
    # by another network than the critic's
    c.eval_every_kimg = 80.0
    c.eval = dict(metrics=("kid", "memorisation"), images=500, reference=2000, features="vgg16")
    if arg.smoke:
        c.data.resolution = 32
        c.g.width, c.d.width, c.d.pixels = 4, 2, 2
        c.game.features_side, c.game.pixels_kimg = 32, 0.016
        c.batch, c.total_kimg = 8, 0.032
        c.eval_every_kimg = 0.032
        c.eval = dict(
            metrics=("kid", "memorisation"), images=8, reference=8, batch=8, features="alexnet"
        )
    return c
