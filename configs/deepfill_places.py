import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """DeepFill v2 at 256x256 on photographs, Places2 for one: holes of any form filled.

    Yu et al. 2019, arXiv:1806.03589. Data: a folder with train/ and val/, of which windows of 256
    pixels are seen; holes are a box and brush strokes together. --config.data.of.path=photos.
    Differs: pictures are drawn by the average of G's weights, officially by the last ones; windows
    are cut of pictures made as small as a window, officially of whole ones; the length of training
    is not official.
    Status: short runs only.
    """
    arg = parse_arg(arg, batch=16, path="places")
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "deepfill", "deepfill"
    c.g, c.d = dict(width=48), dict(width=64)
    c.game = dict(pixels=1.0, adversarial=1.0)
    photos = dict(source="folder", path=f"{arg.path}/train", resolution=256, crop="random")
    c.data = dict(source="masked", of=photos, masks="deepfill")
    c.opt_g = c.opt_d = dict(name="adam", lr=1e-4, b1=0.5, b2=0.999)
    c.batch, c.total_kimg = arg.batch, 16_000.0
    c.log_every_kimg, c.sample_every_kimg, c.save_every_kimg = 1.6, 64.0, 160.0
    c.ema_halflife_kimg, c.eval_every_kimg = 10.0, 320.0
    held_out = dict(of=dict(path=f"{arg.path}/val", crop="center"))
    c.eval = dict(metrics=("fidelity", "lpips"), images=1000, held_out=held_out)
    if arg.smoke:
        avatars = dict(source="avatars", labels=None, identities=24, resolution=32)
        c.data = dict(source="masked", of=avatars, masks="deepfill")
        c.g, c.d = dict(width=8), dict(width=4)
        c.batch, c.total_kimg, c.eval_every_kimg = 4, 0.016, 0.016
        held_out = dict(of=dict(split="validation"))
        c.eval = dict(metrics=("fidelity",), images=4, held_out=held_out)
    return c
