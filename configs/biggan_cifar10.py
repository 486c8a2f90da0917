import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """BigGAN on CIFAR-10, conditional on its classes, with StudioGAN's settings.

    Brock et al. 2018, arXiv:1809.11096. Status: parity-tested; short runs only.
    Differs: the average starts with the run, its half-life that of StudioGAN's 0.9999 a step after
    a ramp.
    """
    arg = parse_arg(arg, batch=64)
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "noise_to_image", "biggan"
    c.g = dict(width=96, arch="studiogan", attention=16, embedding=128, eps=1e-4)
    c.d = dict(width=96, arch="studiogan", attention=16)
    c.game = dict(z_dim=80, loss="hinge", n_critic=5)
    c.conditional = True
    c.data = dict(source="tfds", name="cifar10", resolution=32, flip=True, labels=True)
    c.opt_g = c.opt_d = dict(name="adam", lr=2e-4, b1=0.5, b2=0.999, eps=1e-6)
    c.batch, c.total_kimg, c.ema_halflife_kimg = arg.batch, 6_400.0, 444.0
    c.log_every_kimg, c.sample_every_kimg, c.save_every_kimg = 10.0, 200.0, 200.0
    c.eval_every_kimg, c.eval = 400.0, dict(images=5000, held_out=dict(split="test"))
    if arg.smoke:
        c.data = dict(source="avatars", identities=12, resolution=32, labels="style")
        c.g.width = c.d.width = 4
        c.g.embedding = 8
        c.batch, c.total_kimg = 8, 0.032
        c.eval_every_kimg, c.eval = 0.032, dict(images=8, reference=8, batch=8)
    return c
