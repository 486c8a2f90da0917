import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """A DCGAN at 64x64 on your own pictures: --config.data.path=photos.

    data.labels=True takes sub-folders as classes. Fewer than 1,000 pictures are augmented; for
    fewer than 100 see few_shot.py. Status: short runs only; how well depends on your pictures.
    """
    arg = parse_arg(arg, batch=32)
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "noise_to_image", "dcgan"
    c.g = dict(width=32, up="folded")
    c.d = dict(width=32, block="single", norm="none", slope=0.1, spectral_norm=True)
    c.game = dict(z_dim=64, loss="hinge")
    c.data = dict(
        source="folder", path="photos", resolution=64, crop="random", flip=True, rotate_degrees=5.0
    )
    c.augment, c.augment_below = dict(name="diffaugment", policy="color,translation,cutout"), 1000
    c.opt_g = c.opt_d = dict(name="adam", lr=5e-4, b1=0.0, b2=0.99)
    c.batch, c.total_kimg = arg.batch, 500.0
    c.save_every_kimg, c.ema_halflife_kimg = 5.0, 5.0
    c.eval_every_kimg, c.eval = 25.0, dict(images=500, reference=2000)
    if arg.smoke:
        c.data.resolution = 32
        c.g.width = c.d.width = 4
        c.batch, c.total_kimg = 8, 0.032
        c.eval_every_kimg, c.eval = 0.032, dict(images=8, reference=8, batch=8)
    return c
