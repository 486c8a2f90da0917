import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """A projected GAN on 10,000 embedded portraits in ten drawing styles, 64x64: the default.

    DCGAN's generator, in 16 flat colors. The critic sees the pixels, and after three quarters of
    the images the feature maps of EfficientNet-Lite0 too. Status: trained, eleven minutes on two
    CPU cores.
    """
    arg = parse_arg(arg, batch=16)
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "projected", "dcgan"
    c.g = dict(width=32, up="folded", patch=2, palette=16)
    c.d = dict(width=32, pixels=64, pixels_spectral_norm=False, smallest=7)
    c.game = dict(z_dim=64, features_side=64, gamma=0.5, pixels_kimg=48.0)
    c.data = dict(source="avatars", resolution=64, labels="style")
    c.augment = dict(name="diffaugment", policy="translation,cutout")
    c.opt_g = c.opt_d = dict(
        name="adam", lr=5e-4, b1=0.0, b2=0.99, schedule="linear", decay_from_kimg=40.0
    )
    c.batch, c.total_kimg = arg.batch, 64.0
    c.log_every_kimg, c.sample_every_kimg = 1.0, 4.0
    c.save_every_kimg, c.ema_halflife_kimg = 8.0, 1.0
    c.eval_every_kimg = 64.0
    # by another network than the critic's
    c.eval = dict(features="vgg16,efflite0", images=500, reference=1000)
    c.eval.held_out = dict(split="test")
    if arg.smoke:
        c.data.identities, c.data.resolution = 12, 32
        c.g.width = c.d.width = c.d.pixels = 4
        c.game.features_side, c.game.pixels_kimg = 32, 0.016
        c.batch, c.total_kimg = 8, 0.032
        c.eval_every_kimg = 0.032
        c.eval = dict(features="alexnet", images=8, reference=8, batch=8)
    return c
