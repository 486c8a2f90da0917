import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """A drawing style of heads from about ten pictures, over a base that stays: a small file each.

    As `portraits_few`, but `portraits` itself is frozen: a further mapping and affines learn the
    style (DoRM), of the critic the last layers. Pictures lie in one folder in --config.data.path.
    Status: trained, on ten portraits.
    """
    arg = parse_arg(arg, batch=8)
    c = ml_collections.ConfigDict()
    c.init_from, c.init_class, c.ema_rampup = "portraits", "big-ears", None
    c.algorithm, c.model = "projected", "style_dcgan"
    c.g = dict(w_dim=128, map_layers=2, width=32, patch=2, palette=16, remodulation=(0.05,))
    c.d = dict(width=32, pixels=64, pixels_spectral_norm=False, smallest=7)
    c.game = dict(z_dim=64, features_side=64, gamma=0.5, pixels_kimg=6.0)
    c.data = dict(source="folder", path="few", resolution=64, channels=4, labels=True, flip=True)
    c.augment = dict(name="diffaugment", policy="translation,cutout")
    adam = dict(name="adam", b1=0.0, b2=0.99)
    c.opt_g = dict(adam, lr=2e-3, frozen=("mapping", "synthesis", "colors"))
    c.opt_d = dict(adam, lr=2e-4, networks=dict(pixels=dict(frozen=("Conv_0", "Conv_1"))))
    c.batch, c.total_kimg = arg.batch, 6.0
    c.log_every_kimg, c.sample_every_kimg = 0.5, 1.0
    c.save_every_kimg, c.ema_halflife_kimg = 1.0, 0.5
    if arg.smoke:
        c.batch, c.total_kimg = 2, 0.008
    return c
