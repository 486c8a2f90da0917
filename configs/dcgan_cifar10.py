import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """DCGAN on CIFAR-10 as in PyTorch-StudioGAN.

    Two critic steps an iteration, 200,000 iterations. Status: not yet run.
    """
    arg = parse_arg(arg, batch=64)
    c = ml_collections.ConfigDict()
    c.algorithm = "noise_to_image"
    c.model, c.g = "dcgan", dict(width=64, up="transposed")
    c.d = dict(width=64, block="double", norm="batch")
    c.game = dict(z_dim=128, loss="non_saturating", n_critic=2)
    c.data = dict(source="tfds", name="cifar10", resolution=32, flip=True)
    c.opt_g = c.opt_d = dict(name="adam", lr=2e-4, b1=0.5, eps=1e-6)
    c.batch, c.total_kimg = arg.batch, 12_800.0
    c.log_every_kimg, c.sample_every_kimg, c.save_every_kimg = 10.0, 200.0, 200.0
    c.eval_every_kimg, c.eval = 400.0, dict(images=5000, held_out=dict(split="test"))
    if arg.smoke:
        c.data = dict(source="avatars", identities=12, resolution=32, labels=None)
        c.g.width = c.d.width = 4
        c.batch, c.total_kimg = 8, 0.032
        c.eval_every_kimg, c.eval = 0.032, dict(images=8, reference=8, batch=8)
    return c
