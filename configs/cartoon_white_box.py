import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """White-box cartoonization at the paper's scale: photographs into cartoons, 256x256.

    --config configs/cartoon_white_box.py:photos=FOLDER,style=FOLDER. Wang & Yu 2020. Status:
    not yet run.
    """
    arg = parse_arg(arg, batch=16, photos="sets/photos/train", style="sets/film/train")
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "white_box", "white_box"
    c.game = dict(surface=0.1, texture=1.0, tv=1e4, first_kimg=800.0)
    window = dict(source="folder", resolution=256, crop="random")
    c.data = dict(
        source="unpaired", a=dict(window, path=arg.photos), b=dict(window, path=arg.style)
    )
    c.opt_g = c.opt_d = dict(name="adam", lr=2e-4, b1=0.5, b2=0.99)
    c.batch, c.total_kimg = arg.batch, 2400.0
    c.log_every_kimg, c.sample_every_kimg = 2.0, 50.0
    c.save_every_kimg, c.ema_halflife_kimg = 50.0, 0.001
    if arg.smoke:
        c.g, c.d = dict(width=4, blocks=1), dict(width=4, levels=1)
        c.game = dict(features="efflite0", layer="stage1", first_kimg=0.004)
        avatars = dict(source="avatars", labels=None, identities=24, resolution=32)
        c.data = dict(
            source="unpaired",
            a=dict(avatars, styles=("dylan",)),
            b=dict(avatars, styles=("personas",)),
        )
        c.batch, c.total_kimg = 4, 0.016
    return c
