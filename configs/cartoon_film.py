import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """AnimeGANv2 on two CPU cores: photographs in the look of an animated film.

    --config configs/cartoon_film.py:style=FOLDER for other drawings. `gan-jax prepare` makes
    sets/photos and sets/film. Its windows are of 96 pixels, its feature map is VGG16's conv3_3, and
    its generator starts as the photograph itself, without the first phase. Status: not yet run.
    """
    arg = parse_arg(arg, batch=4, photos="sets/photos/train", style="sets/film/train")
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "animegan", "animegan"
    c.g, c.d = dict(width=16, residual=True), dict(width=16)
    c.game = dict(layer="conv3_3")
    window = dict(source="folder", resolution=96, crop="random", flip=True, enlarge=2.5)
    c.data = dict(
        source="unpaired",
        a=dict(window, path=arg.photos),
        b=dict(window, path=arg.style),
    )
    c.opt_g = c.opt_d = dict(name="adam", lr=2e-4, b1=0.5, b2=0.999)
    c.batch, c.total_kimg = arg.batch, 16.0
    c.log_every_kimg, c.sample_every_kimg = 0.2, 2.0
    c.save_every_kimg, c.ema_halflife_kimg = 1.0, 0.2
    if arg.smoke:
        c.g, c.d = dict(width=4, blocks=1, residual=True), dict(width=4, levels=1)
        c.game = dict(features="efflite0", layer="stage1")
        avatars = dict(source="avatars", labels=None, identities=24, resolution=32)
        c.data = dict(
            source="unpaired",
            a=dict(avatars, styles=("dylan",)),
            b=dict(avatars, styles=("personas",)),
        )
        c.batch, c.total_kimg = 4, 0.016
    return c
