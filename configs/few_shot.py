import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """A DCGAN on a few dozen pictures, from a run of folder.py on many like them.

    --config.data.path=few --config.init_from=runs/many. The networks are those of folder.py, so
    that all weights are taken over; lower learning rates, DiffAugment and LeCam hold the critic
    back. Status: short runs only; how well depends on your pictures.
    """
    arg = parse_arg(arg, batch=16)
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "noise_to_image", "dcgan"
    c.g = dict(width=32, up="folded")
    c.d = dict(width=32, block="single", norm="none", slope=0.1, spectral_norm=True)
    c.game = dict(z_dim=64, loss="hinge", lecam=0.3, lecam_start=100)
    c.augment = dict(name="diffaugment", policy="color,translation,cutout")
    c.data = dict(source="folder", path="photos", resolution=64, flip=True)
    c.opt_g = c.opt_d = dict(name="adam", lr=2e-4, b1=0.0, b2=0.99)
    c.batch, c.total_kimg = arg.batch, 16.0
    c.log_every_kimg, c.sample_every_kimg, c.save_every_kimg = 0.5, 2.0, 2.0
    c.ema_halflife_kimg, c.ema_rampup = 2.0, None
    c.eval_every_kimg, c.eval = 4.0, dict(metrics=("kid", "memorisation"), images=500)
    if arg.smoke:
        c.data.resolution = 32
        c.g.width = c.d.width = 4
        c.batch, c.total_kimg = 8, 0.032
        c.eval_every_kimg, c.eval = 0.032, dict(metrics=("kid",), images=8, reference=8, batch=8)
    return c
