import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """A projected GAN at 64x64 on your own pictures, thirty or many: --config.data.path=photos.

    Its critics see the pixels and a pretrained network's feature maps, augmented where there are
    fewer than 10,000 pictures; drawings get a palette. An hour on two CPU cores. data.labels=True
    takes sub-folders as classes. Status: not yet run with its critic on the pixels.
    """
    arg = parse_arg(arg, batch=16)
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "projected", "dcgan"
    c.g = dict(width=32, up="folded", patch=2, palette=0)
    c.d = dict(width=32, pixels=64, smallest=7)
    c.game = dict(z_dim=64, features_side=64)
    c.from_data = ("augment", "g.palette")
    c.data = dict(source="folder", path="photos", resolution=64, flip=True)
    c.augment = dict(name="diffaugment", policy="color,translation,cutout")
    c.opt_g = dict(name="adam", lr=5e-4, b1=0.0, b2=0.99, schedule="linear", decay_from_kimg=75.0)
    c.opt_d = dict(c.opt_g, lr=3e-4)
    c.batch, c.total_kimg = arg.batch, 150.0
    c.save_every_kimg, c.ema_halflife_kimg = 5.0, 2.0
    # by another network than the critic's
    c.eval_every_kimg = 50.0
    c.eval = dict(metrics=("kid", "memorisation"), images=500, reference=2000, features="vgg16")
    if arg.smoke:
        c.data.resolution = 32
        c.g, c.d = dict(width=4, up="folded", patch=2, palette=0), dict(width=2, pixels=2)
        c.game.features_side = 32
        c.batch, c.total_kimg = 8, 0.032
        c.eval_every_kimg = 0.032
        c.eval = dict(
            metrics=("kid", "memorisation"), images=8, reference=8, batch=8, features="alexnet"
        )
    return c
