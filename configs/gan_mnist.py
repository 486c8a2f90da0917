import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """The original GAN on MNIST.

    Goodfellow et al. 2014, arXiv:1406.2661. Status: not yet run.
    Differs: Adam in place of the paper's momentum.
    """
    arg = parse_arg(arg, batch=128)
    c = ml_collections.ConfigDict()
    c.algorithm = "noise_to_image"
    c.model, c.g, c.d = "mlp", dict(widths=(256, 512, 1024)), dict(widths=(1024, 512, 256))
    c.game = dict(z_dim=100, loss="non_saturating")  # loss="minimax" is the game as first written
    c.data = dict(source="tfds", name="mnist", resolution=28, channels=1)
    c.opt_g = c.opt_d = dict(name="adam", lr=2e-4, b1=0.5)
    c.batch, c.total_kimg = arg.batch, 6_000.0
    c.log_every_kimg, c.sample_every_kimg, c.save_every_kimg = 10.0, 200.0, 200.0
    c.eval_every_kimg, c.eval = 400.0, dict(images=5000, held_out=dict(split="test"))
    if arg.smoke:
        c.data = dict(source="avatars", identities=12, resolution=28, channels=1, labels=None)
        c.g.widths = c.d.widths = (32,)
        c.batch, c.total_kimg = 8, 0.032
        c.eval_every_kimg, c.eval = 0.032, dict(images=8, reference=8, batch=8)
    return c
