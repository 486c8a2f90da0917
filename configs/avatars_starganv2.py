import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """StarGAN v2 on the embedded portraits: any of ten drawing styles into any other.

    Its critic has R1; after two thirds of the images Projected GAN's joins, on feature maps of
    EfficientNet-Lite0, for even areas and contours. Status: trained, two hours on one CPU core.
    """
    arg = parse_arg(arg, batch=8)
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "starganv2", "starganv2"
    c.g = dict(width=32, widest=192, levels=2, patch=2, palette=16)
    c.d = dict(width=48, widest=128, patch=2)
    c.networks = dict(
        mapping=dict(features=32, width=128),
        encoder=dict(features=32, width=16, widest=64, patch=2),
        heads=dict(width=32, smallest=7),
    )
    c.game = dict(z_dim=16, style=0.1, diversity=0.0, color=10.0, together=True)
    c.game.update(features="efflite0", features_side=64, features_from_kimg=48.0)
    c.data = dict(source="avatars", resolution=64, labels="style")
    adam = dict(name="adam", b1=0.0, b2=0.99, weight_decay=1e-4)
    adam.update(schedule="linear", decay_from_kimg=48.0)
    c.opt_g = dict(adam, lr=1e-3, networks=dict(mapping=dict(lr=1e-4)))
    c.opt_d = dict(adam, lr=4e-4)
    c.batch, c.total_kimg = arg.batch, 72.0
    c.log_every_kimg, c.sample_every_kimg = 1.0, 4.0
    c.save_every_kimg, c.ema_halflife_kimg = 8.0, 2.0
    c.eval_every_kimg = 72.0
    c.eval = dict(
        features="vgg16,efflite0",  # the second critic's own comes second
        images=1000,
        reference=2000,
        held_out=dict(split="test"),
        validation=dict(split="validation"),
    )
    if arg.smoke:
        c.data.identities, c.data.resolution = 12, 32
        c.g = dict(width=4, widest=8, levels=1, patch=2, palette=4)
        c.d = dict(width=4, widest=8, patch=2)
        c.networks = dict(
            mapping=dict(features=4, width=8), encoder=dict(features=4, width=4, widest=8, patch=2)
        )
        c.networks.heads = dict(width=2, smallest=7)
        c.game.features_side, c.game.features_from_kimg = 32, 0.0
        c.batch, c.total_kimg = 8, 0.032
        c.eval_every_kimg = 0.032
        c.eval = dict(features="alexnet", images=8, reference=8, batch=8)
    return c
