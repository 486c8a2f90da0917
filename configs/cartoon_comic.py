import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """Photographs as drawings in ink, in their own colors: feed-forward perceptual style.

    --config configs/cartoon_comic.py:style=FOLDER for other drawings. `gan-jax prepare` makes
    sets/photos and sets/portraits. Only how light a pixel is is drawn. Johnson et al. 2016,
    arXiv:1603.08155; Gatys et al. 2016, arXiv:1606.05897. Status: trained, a quarter of an hour on
    one CPU core: the model cartoon-comic.
    """
    arg = parse_arg(
        arg, batch=2, photos="sets/photos/train", style="sets/portraits/train/adventurer"
    )
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "perceptual", "cut"
    c.g = dict(width=16, blocks=4)
    c.game = dict(content=5.0, style=10.0, tv=0.3, luma=True)
    c.game.style_layers = ("relu1_2", "relu2_2", "relu3_3")
    window = dict(source="folder", resolution=96, crop="random", flip=True)
    c.data = dict(
        source="unpaired",
        a=dict(window, path=arg.photos, enlarge=2.5),
        b=dict(window, path=arg.style, enlarge=1.0),
    )
    c.opt_g = dict(name="adam", lr=1e-3, b1=0.9, b2=0.999, schedule="linear", decay_from_kimg=2.0)
    c.batch, c.total_kimg = arg.batch, 4.0
    c.log_every_kimg, c.sample_every_kimg = 0.2, 1.0
    c.save_every_kimg, c.ema_halflife_kimg = 1.0, 0.1
    if arg.smoke:
        c.g = dict(width=4, blocks=1)
        c.game.update(features="efflite0", content_layer="stage1", style_layers=("stage1",))
        avatars = dict(source="avatars", labels=None, identities=24, resolution=32)
        c.data = dict(
            source="unpaired",
            a=dict(avatars, styles=("dylan",)),
            b=dict(avatars, styles=("personas",)),
        )
        c.batch, c.total_kimg = 4, 0.016
    return c
