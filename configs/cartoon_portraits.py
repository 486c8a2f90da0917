import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """White-box cartoonization on two CPU cores: photographs into flat vector drawings.

    --config configs/cartoon_portraits.py:style=FOLDER for other drawings. `gan-jax prepare` makes
    sets/photos and sets/portraits. Its windows are of 96 pixels, its feature map is VGG16's
    conv3_3, and its generator starts as the photograph itself. Status: short runs only.
    """
    arg = parse_arg(
        arg, batch=4, photos="sets/photos/train", style="sets/portraits/train/adventurer"
    )
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "white_box", "white_box"
    c.g, c.d = dict(width=24, residual=True), dict(width=16)
    c.game = dict(surface=1.0, texture=2.0, content=40.0, structure=300.0, tv=1e4, layer="conv3_3")
    window = dict(source="folder", resolution=96, crop="random", flip=True)
    c.data = dict(
        source="unpaired",
        a=dict(window, path=arg.photos, enlarge=2.5),
        b=dict(window, path=arg.style, enlarge=2.0),
    )
    c.opt_g = c.opt_d = dict(name="adam", lr=2e-4, b1=0.5, b2=0.99)
    c.batch, c.total_kimg = arg.batch, 16.0
    c.log_every_kimg, c.sample_every_kimg = 0.2, 2.0
    c.save_every_kimg, c.ema_halflife_kimg = 1.0, 0.2
    if arg.smoke:
        c.g, c.d = dict(width=4, blocks=1, residual=True), dict(width=4, levels=1)
        c.game.update(features="efflite0", layer="stage1")
        avatars = dict(source="avatars", labels=None, identities=24, resolution=32)
        c.data = dict(
            source="unpaired",
            a=dict(avatars, styles=("dylan",)),
            b=dict(avatars, styles=("personas",)),
        )
        c.batch, c.total_kimg = 4, 0.016
    return c
