import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """Projected GAN at 256x256 on FFHQ or any folder of pictures, by the official settings.

    Sauer et al. 2021, arXiv:2111.01007. Status: parity-tested; short runs only.
    --config.data.path=photos. The official run had 8 GPUs.
    """
    arg = parse_arg(arg, batch=64)
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "projected", "fastgan"
    c.game = dict(z_dim=256)
    c.augment = dict(name="diffaugment", policy="color,translation,cutout")
    c.data = dict(source="folder", path="ffhq", resolution=256, flip=True)
    c.opt_g = c.opt_d = dict(name="adam", lr=2e-4, b1=0.0, b2=0.99)
    c.batch, c.total_kimg, c.ema_halflife_kimg = arg.batch, 25_000.0, arg.batch * 10 / 32
    c.log_every_kimg, c.sample_every_kimg, c.save_every_kimg = 4.0, 200.0, 200.0
    c.eval_every_kimg, c.eval = 400.0, dict(images=5000, features="vgg16")
    if arg.smoke:
        c.data = dict(source="avatars", identities=12, resolution=32, labels=None)
        c.g, c.d = dict(width=4), dict(width=2)
        c.game.features, c.game.features_side = "alexnet", 80  # compiles fast
        c.batch, c.total_kimg = 8, 0.032
        c.eval_every_kimg, c.eval = 0.032, dict(images=8, reference=8, batch=8)
    return c
