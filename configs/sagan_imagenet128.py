import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """SAGAN on ImageNet at 128x128 with the paper's settings.

    Zhang et al. 2018, arXiv:1805.08318. Status: parity-tested; short runs only.
    A million iterations of 256 images. Needs ImageNet prepared by TensorFlow Datasets.
    Differs: samples come from the average of G's weights, of BigGAN-PyTorch's half-life (0.9999 a
    step).
    """
    arg = parse_arg(arg, batch=256)
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "noise_to_image", "sngan"
    c.g = dict(width=64, spectral_norm=True, attention=64, initializer="xavier")
    c.d = dict(width=64, spectral_norm=True, attention=64, initializer="xavier")
    c.game = dict(z_dim=128, loss="hinge")
    c.conditional = True
    c.data = dict(source="tfds", name="imagenet2012", resolution=128, flip=True, labels=True)
    c.opt_g = dict(name="adam", lr=1e-4, b1=0.0, b2=0.9)
    c.opt_d = dict(name="adam", lr=4e-4, b1=0.0, b2=0.9)
    c.batch, c.total_kimg, c.ema_halflife_kimg = arg.batch, 256_000.0, 1_770.0
    c.log_every_kimg, c.sample_every_kimg = 100.0, 1_000.0
    c.save_every_kimg, c.workers = 1_000.0, 16
    c.eval_every_kimg, c.eval = 10_000.0, dict(images=50_000, held_out=dict(split="validation"))
    if arg.smoke:
        c.data = dict(source="avatars", identities=12, resolution=32, labels="style")
        c.g.width = c.d.width = 4
        c.g.attention = c.d.attention = 16
        c.workers = 0
        c.batch, c.total_kimg = 8, 0.032
        c.eval_every_kimg, c.eval = 0.032, dict(images=8, reference=8, batch=8)
    return c
