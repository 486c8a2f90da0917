import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """LaMa on the embedded portraits, 64x64: holes filled, on two CPU cores.

    Three eighths of the official width and four of its nine blocks; in place of the perceptual term
    what is drawn in holes is compared with the truth pixel by pixel, and the critic has a tenth of
    its weight, for with all of it flat colors get grain. Holes are LaMa's strokes and boxes.
    Status: short runs only.
    """
    arg = parse_arg(arg, batch=16)
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "inpaint", "lama"
    c.g, c.d = dict(width=24, levels=3, blocks=4), dict(width=32, levels=3)
    c.game = dict(missing=60.0, adversarial=1.0, feature_matching=10.0)
    portraits = dict(source="avatars", labels=None, resolution=64, flip=True)
    c.data = dict(source="masked", of=portraits, masks="lama")
    c.opt_g = dict(name="adam", lr=1e-3, b1=0.9, b2=0.999, clip_norm=1.0)
    c.opt_d = dict(name="adam", lr=1e-4, b1=0.9, b2=0.999, clip_norm=1.0)
    c.batch, c.total_kimg = arg.batch, 60.0
    c.log_every_kimg, c.sample_every_kimg, c.save_every_kimg = 2.0, 10.0, 10.0
    c.ema_halflife_kimg, c.eval_every_kimg = 5.0, 20.0
    c.eval = dict(
        metrics=("fidelity", "lpips"), images=240, held_out=dict(of=dict(split="validation"))
    )
    if arg.smoke:
        c.g, c.d = dict(width=4, levels=1, blocks=1), dict(width=4, levels=1)
        c.data.of.update(identities=24, resolution=32)
        c.batch, c.total_kimg, c.eval_every_kimg = 4, 0.016, 0.016
        c.eval.update(images=4, metrics=("fidelity",))
    return c
