import ml_collections

from gan_jax.config import parse_arg


def get_config(arg=None):
    """Real-ESRGAN's losses on the embedded portraits, drawn at 128 pixels: four times as large.

    A compact network (SRVGGNetCompact) and a narrow U-Net critic, on windows of 64 pixels, so that
    it trains on two CPU cores. Small pictures are made by the bicubic filter alone; with
    --config.data.kind=second_order by Real-ESRGAN's blur, noise and JPEG. Status: trained.
    """
    arg = parse_arg(arg, batch=8)
    c = ml_collections.ConfigDict()
    c.algorithm, c.model = "super_resolution", "srvgg"
    c.g, c.d = dict(width=64, layers=16, initializer="he"), dict(width=24)
    c.game = dict(pixels=1.0, perceptual=1.0, adversarial=0.1, pixels_kimg=40.0)
    portraits = dict(source="avatars", labels=None, resolution=128)
    c.data = dict(source="degraded", of=portraits, times=4, crop=64)
    c.opt_g = c.opt_d = dict(name="adam", lr=2e-4, b1=0.9, b2=0.99)
    c.batch, c.total_kimg = arg.batch, 50.0
    c.log_every_kimg, c.sample_every_kimg, c.save_every_kimg = 1.0, 10.0, 10.0
    c.ema_halflife_kimg, c.ema_rampup = 4.0, None
    c.eval_every_kimg = 25.0
    c.eval = dict(
        metrics=("fidelity", "lpips"), images=240, held_out=dict(of=dict(split="validation"))
    )
    if arg.smoke:
        c.g, c.d = dict(width=8, layers=1), dict(width=4)
        c.game.update(pixels_kimg=0.0, features="efflite0", layers=("stage1",))
        c.game.update(layer_weights=(1.0,))
        c.data.of.update(identities=24, resolution=64)
        c.data.crop = 32
        c.batch, c.total_kimg, c.eval_every_kimg = 4, 0.016, 0.016
        c.eval.update(images=4, metrics=("fidelity",))
    return c
