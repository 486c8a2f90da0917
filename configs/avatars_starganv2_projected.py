import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """StarGAN v2 on the embedded portraits: ten drawing styles, with smooth contours.

    Its critic is Projected GAN's, on feature maps of EfficientNet-Lite0, and one on the pixels.
    Status: trained, an hour on one CPU core. Contours are smooth, but faces less complete and
    styles less distinct than those of `avatars_starganv2`.
    """
    arg = parse_arg(arg, batch=16)
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "starganv2", "starganv2"
    c.g = dict(width=32, widest=192, levels=2, patch=2, palette=16)
    c.d = dict(width=32, pixels=64, smallest=7)
    c.networks = dict(
        mapping=dict(features=32, width=128),
        encoder=dict(features=32, width=16, widest=64, patch=2),
    )
    c.game = dict(
        z_dim=16, gamma=0.0, style=0.1, diversity=0.0, cycle=0.0, color=30.0, together=True,
        features="efflite0", features_side=64,
    )  # fmt: skip
    c.augment = dict(name="diffaugment", policy="translation,cutout")
    c.data = dict(source="avatars", resolution=64, labels="style")
    adam = dict(name="adam", b1=0.0, b2=0.99, weight_decay=1e-4)
    fall = dict(schedule="linear", decay_from_kimg=40.0)
    c.opt_g = dict(adam, lr=1e-3, **fall, networks=dict(mapping=dict(lr=1e-4)))
    c.opt_d = dict(adam, lr=4e-4, **fall)
    c.batch, c.total_kimg = arg.batch, 80.0
    c.log_every_kimg, c.sample_every_kimg = 1.0, 4.0
    c.save_every_kimg, c.ema_halflife_kimg = 4.0, 1.0
    c.eval_every_kimg = 80.0
    c.eval = dict(
        features="vgg16,efflite0",  # the critic's own comes second
        images=1000,
        reference=2000,
        held_out=dict(split="test"),
        validation=dict(split="validation"),
    )
    if arg.smoke:
        c.data.identities, c.data.resolution = 12, 32
        c.g = dict(width=4, widest=8, levels=1, patch=2, palette=4)
        c.d = dict(width=2, pixels=2, smallest=7)
        c.networks = dict(
            mapping=dict(features=4, width=8), encoder=dict(features=4, width=4, widest=8, patch=2)
        )
        c.game.features_side = 32
        c.batch, c.total_kimg = 8, 0.032
        c.eval_every_kimg, c.eval = 0.032, dict(features="vgg16", images=8, reference=8, batch=8)
    return c
