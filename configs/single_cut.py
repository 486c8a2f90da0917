import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """CUT of one picture: a photograph in the manner of one other (SinCUT).

    --config configs/single_cut.py:photo=me.jpg,style=painting.jpg. Park et al. 2020,
    arXiv:2007.15651, section 4.3. Status: parity-tested; short runs only.
    Differs: the residual generator and patch critic, not StyleGAN2's, at their learning rate.
    """
    arg = parse_arg(arg, batch=8, photo="photo.jpg", style="style.jpg", side=256)
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "cut", "cut"
    c.g, c.d = dict(width=32, blocks=4), dict(width=32, levels=3, norm="none")
    c.networks = dict(heads=dict(features=64))
    c.game = dict(
        loss="non_saturating",
        nce=4.0,
        taps=(0, 4, 8, 12),
        patches=16,
        across=True,
        identity=False,
        l1=1.0,
        gamma=1.0,
    )
    window = dict(source="single", resolution=64, side=arg.side, flip=True)
    c.data = dict(source="unpaired", a=dict(window, path=arg.photo), b=dict(window, path=arg.style))
    c.opt_g = c.opt_d = dict(
        name="adam", lr=2e-4, b1=0.0, b2=0.99, schedule="linear", decay_from_kimg=16.0
    )
    c.batch, c.total_kimg = arg.batch, 32.0
    c.log_every_kimg, c.sample_every_kimg = 1.0, 4.0
    c.save_every_kimg, c.ema_halflife_kimg = 8.0, 1.0
    if arg.smoke:
        c.g, c.d = dict(width=4, blocks=1), dict(width=4, levels=1, norm="none")
        c.networks, c.game.patches = dict(heads=dict(features=8)), 4
        avatars = dict(source="avatars", labels=None, identities=24, resolution=32)
        c.data = dict(
            source="unpaired",
            a=dict(avatars, styles=("dylan",)),
            b=dict(avatars, styles=("personas",)),
        )
        c.batch, c.total_kimg = 4, 0.016
    return c
