import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """BigGAN on ImageNet at 128x128 with the paper's settings.

    Brock et al. 2018, arXiv:1809.11096. Status: parity-tested; short runs only.
    165,000 iterations of 2,048 images, two D steps each: made for many accelerators. `accumulate`
    cuts a batch into parts, as BigGAN-PyTorch does with 8; dtype="bfloat16" and
    g.remat=d.remat=True save memory. Needs ImageNet prepared by TensorFlow Datasets.
    Differs: the average's half-life, that of the paper's 0.9999 a step, has a ramp at the start.
    """
    arg = parse_arg(arg, batch=2048)
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "noise_to_image", "biggan"
    c.g, c.d = dict(width=96, attention=64, embedding=128), dict(width=96, attention=64)
    c.game = dict(z_dim=120, loss="hinge", n_critic=2, orthogonal=1e-4, standing_passes=100)
    c.conditional = True
    c.data = dict(source="tfds", name="imagenet2012", resolution=128, flip=True, labels=True)
    c.opt_g = dict(name="adam", lr=5e-5, b1=0.0, b2=0.999, eps=1e-6)
    c.opt_d = dict(name="adam", lr=2e-4, b1=0.0, b2=0.999, eps=1e-6)
    c.batch, c.total_kimg, c.ema_halflife_kimg = arg.batch, 337_920.0, 14_200.0
    c.accumulate = 8
    c.log_every_kimg, c.sample_every_kimg = 200.0, 2_000.0
    c.save_every_kimg, c.workers = 2_000.0, 16
    c.eval_every_kimg, c.eval = 10_000.0, dict(images=50_000, held_out=dict(split="validation"))
    if arg.smoke:
        c.data = dict(source="avatars", identities=12, resolution=32, labels="style")
        c.g, c.d = dict(width=4, attention=16, embedding=8), dict(width=4, attention=16)
        c.game.z_dim, c.game.standing_passes = 16, 2
        c.accumulate, c.workers = 2, 0
        c.batch, c.total_kimg = 8, 0.032
        c.eval_every_kimg, c.eval = 0.032, dict(images=8, reference=8, batch=8)
    return c
