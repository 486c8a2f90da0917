import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """The base of personalization: the embedded portraits with alpha, by DCGAN with styles.

    It draws in 16 colors, and learns by `avatars`'s critics: pixels first, then feature maps too.
    Status: trained, 70 minutes on one CPU core; `portraits` is it, trained.
    """
    arg = parse_arg(arg, batch=16)
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "projected", "style_dcgan"
    c.g = dict(w_dim=128, map_layers=2, width=32, patch=2, palette=16)
    c.d = dict(width=32, pixels=64, pixels_spectral_norm=False, smallest=7)
    c.game = dict(z_dim=64, features_side=64, gamma=0.5, pixels_kimg=110.0)
    c.data = dict(source="avatars", resolution=64, channels=4, labels="style")
    c.augment = dict(name="diffaugment", policy="translation,cutout")
    adam = dict(name="adam", b1=0.0, b2=0.99, schedule="linear", decay_from_kimg=130.0)
    c.opt_g = c.opt_d = dict(adam, lr=5e-4)
    c.batch, c.total_kimg = arg.batch, 200.0
    c.log_every_kimg, c.sample_every_kimg = 1.0, 8.0
    c.save_every_kimg, c.ema_halflife_kimg = 8.0, 2.0
    c.eval_every_kimg = 200.0
    c.eval = dict(features="vgg16,efflite0", images=1000, reference=2000)
    c.eval.held_out = dict(split="test")
    if arg.smoke:
        c.data.identities, c.data.resolution = 12, 32
        c.g = dict(w_dim=8, map_layers=2, width=4, widest=8, patch=2, palette=4)
        c.d.width = c.d.pixels = 4
        c.game.features_side, c.game.pixels_kimg = 32, 0.016
        c.batch, c.total_kimg = 8, 0.032
        c.eval_every_kimg = 0.032
        c.eval = dict(features="alexnet", images=8, reference=8, batch=8)
    return c
