import ml_collections

from gan_jax.algorithms import stylegan2
from gan_jax.config import parse_arg


def get_config(arg=None):
    """StyleGAN2 at 256x256 on FFHQ or any folder of pictures.

    Karras et al. 2020, arXiv:2006.06676, without augmentation. Status: parity-tested; short runs
    only. --config.data.path=photos; ":preset=paper512,resolution=512" and so on for the
    other presets of algorithms/stylegan2.py; "auto" goes by resolution and devices. Published
    figures are of pictures resized by a box filter.
    """
    arg = parse_arg(arg, preset="paper256", resolution=256, devices=1)
    c = ml_collections.ConfigDict(stylegan2.preset(arg.preset, arg.resolution, arg.devices))
    c.data = dict(source="folder", path="ffhq", resolution=arg.resolution, resize="box", flip=True)
    c.conditional = False
    c.log_every_kimg, c.sample_every_kimg, c.save_every_kimg = 4.0, 200.0, 200.0
    c.eval_every_kimg, c.eval = 400.0, dict(images=5000)
    if arg.smoke:
        c.data = dict(source="avatars", identities=12, resolution=32, labels=None)
        c.g.channel_base, c.g.channel_max, c.g.w_dim = 64, 8, 8
        c.d.channel_base, c.d.channel_max = 64, 8
        c.batch, c.total_kimg = 8, 0.032
        c.eval_every_kimg, c.eval = 0.032, dict(images=8, reference=8, batch=8)
    return c
