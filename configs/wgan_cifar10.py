import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """The first WGAN on CIFAR-10: weights clipped to 0.01, RMSProp, five critic steps.

    Arjovsky et al. 2017, arXiv:1701.07875. Status: not yet run.
    Differs: five critic steps from the start; the authors' program takes 100 in each of the first
    25 iterations and in every 500th.
    """
    arg = parse_arg(arg, batch=64)
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "noise_to_image", "dcgan"
    c.g = dict(width=64, initializer="normal")
    c.d = dict(width=64, block="single", norm="batch", slope=0.2, initializer="normal")
    c.game = dict(z_dim=100, loss="wasserstein", n_critic=5)
    c.data = dict(source="tfds", name="cifar10", resolution=32, flip=True)
    c.opt_g = dict(name="rmsprop", lr=5e-5, b2=0.99)
    c.opt_d = dict(name="rmsprop", lr=5e-5, b2=0.99, clip_weight=0.01)
    c.batch, c.total_kimg = arg.batch, 6_400.0
    c.log_every_kimg, c.sample_every_kimg, c.save_every_kimg = 10.0, 200.0, 200.0
    c.eval_every_kimg, c.eval = 400.0, dict(images=5000, held_out=dict(split="test"))
    if arg.smoke:
        c.data = dict(source="avatars", identities=12, resolution=32, labels=None)
        c.g.width = c.d.width = 4
        c.batch, c.total_kimg = 8, 0.032
        c.eval_every_kimg, c.eval = 0.032, dict(images=8, reference=8, batch=8)
    return c
