import ml_collections

from gan_jax.algorithms import r3gan
from gan_jax.config import parse_arg


def get_config(arg=None):
    """R3GAN at 256x256 on FFHQ or any folder of pictures, by the official preset.

    Huang et al. 2024, arXiv:2501.05441. Status: parity-tested; short runs only.
    --config.data.path=photos; ":side=64" gives the preset of 64x64. The official run had 8 GPUs and
    computed most of the networks in bfloat16: dtype="bfloat16" does; accumulate=8 or
    g.remat=d.remat=True save memory. Published figures are of pictures resized by a box filter.
    """
    arg = parse_arg(arg, side=256)
    c = ml_collections.ConfigDict(r3gan.preset(f"FFHQ-{arg.side}"))
    c.data = dict(source="folder", path="ffhq", resolution=arg.side, resize="box", flip=True)
    c.log_every_kimg, c.sample_every_kimg, c.save_every_kimg = 4.0, 200.0, 200.0
    c.eval_every_kimg, c.eval = 400.0, dict(images=5000)
    if arg.smoke:
        c.data = dict(source="avatars", identities=12, resolution=16, labels=None)
        c.g = c.d = dict(widths=(4,) * 3, cardinality=(2,) * 3, blocks=1)
        c.batch, c.total_kimg = 8, 0.032
        c.eval_every_kimg, c.eval = 0.032, dict(images=8, reference=8, batch=8)
    return c
