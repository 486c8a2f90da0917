import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """DCGAN on CelebA at 64x64 with the paper's settings.

    Radford et al. 2016, arXiv:1511.06434. Status: not yet run.
    Differs: z is normal, not uniform; D has batch norm after its first layer too, and a dense layer
    on the sum over space at its end; G ends in a 3x3 convolution.
    """
    arg = parse_arg(arg, batch=128)
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "noise_to_image", "dcgan"
    c.g = dict(width=64, widest=1024, up="transposed", initializer="normal")
    c.d = dict(width=64, widest=512, block="single", norm="batch", slope=0.2, initializer="normal")
    c.game = dict(z_dim=100, loss="non_saturating")
    c.data = dict(source="tfds", name="celeb_a", resolution=64, flip=True)
    c.opt_g = c.opt_d = dict(name="adam", lr=2e-4, b1=0.5)
    c.batch, c.total_kimg = arg.batch, 5_000.0
    c.log_every_kimg, c.sample_every_kimg, c.save_every_kimg = 10.0, 200.0, 200.0
    c.eval_every_kimg, c.eval = 400.0, dict(images=5000, held_out=dict(split="test"))
    if arg.smoke:
        c.data = dict(source="avatars", identities=12, resolution=64, labels=None)
        c.g.width = c.d.width = 2
        c.batch, c.total_kimg = 8, 0.032
        c.eval_every_kimg, c.eval = 0.032, dict(images=8, reference=8, batch=8)
    return c
