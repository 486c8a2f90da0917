import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """AnimeGANv2 at the authors' scale: photographs into a set of drawings, 256x256.

    --config configs/cartoon_anime.py:photos=FOLDER,style=FOLDER. Its weights are those of the style
    "Hayao". Chen et al. 2020. Status: not yet run.
    """
    arg = parse_arg(arg, batch=12, photos="sets/photos/train", style="sets/film/train")
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "animegan", "animegan"
    epoch = 6.656  # thousands of photographs, the authors' set
    c.game = dict(
        content=1.5,
        style=2.5,
        color=15.0,
        tv=1.0,
        critic=(1.2, 1.2, 1.2, 0.8),
        content_kimg=10 * epoch,
    )
    window = dict(source="folder", resolution=256, crop="random")
    c.data = dict(
        source="unpaired", a=dict(window, path=arg.photos), b=dict(window, path=arg.style)
    )
    adam = dict(name="adam", b1=0.5, b2=0.999)
    # after the first phase the rate falls in one step
    fall = dict(schedule="linear", decay_from_kimg=10 * epoch, decay_kimg=0.012, final_lr=2e-5)
    c.opt_g, c.opt_d = dict(adam, lr=2e-4, **fall), dict(adam, lr=4e-5)
    c.batch, c.total_kimg = arg.batch, 101 * epoch
    c.log_every_kimg, c.sample_every_kimg = 1.0, epoch
    c.save_every_kimg, c.ema_halflife_kimg = epoch, 0.001
    if arg.smoke:
        c.g, c.d = dict(width=4, blocks=1), dict(width=4, levels=1)
        c.game = dict(features="efflite0", layer="stage1", content_kimg=0.004)
        avatars = dict(source="avatars", labels=None, identities=24, resolution=32)
        c.data = dict(
            source="unpaired",
            a=dict(avatars, styles=("dylan",)),
            b=dict(avatars, styles=("personas",)),
        )
        c.batch, c.total_kimg = 4, 0.016
    return c
