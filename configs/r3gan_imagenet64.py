import ml_collections

from gan_jax.algorithms import r3gan
from gan_jax.config import parse_arg


def get_config(arg=None):
    """R3GAN on ImageNet at 64x64, conditional on its classes, by the official preset.

    Huang et al. 2024, arXiv:2501.05441. Status: parity-tested; short runs only.
    ":side=32" gives the preset of 32x32. The official run had 64 GPUs, batch 4096, most of the
    networks in bfloat16, as dtype="bfloat16" does; `accumulate` cuts a batch into parts. Needs
    ImageNet prepared by TensorFlow Datasets.
    """
    arg = parse_arg(arg, side=64)
    c = ml_collections.ConfigDict(r3gan.preset(f"ImageNet-{arg.side}"))
    c.data = dict(
        source="tfds",
        name="imagenet2012",
        resolution=arg.side,
        resize="box",
        flip=True,
        labels=True,
    )
    c.accumulate = 8
    c.log_every_kimg, c.sample_every_kimg = 200.0, 2_000.0
    c.save_every_kimg, c.workers = 2_000.0, 16
    c.eval_every_kimg, c.eval = 10_000.0, dict(images=50_000, held_out=dict(split="validation"))
    if arg.smoke:
        c.data = dict(source="avatars", identities=12, resolution=16, labels="style")
        c.g = c.d = dict(widths=(4,) * 3, cardinality=(2,) * 3, blocks=1)
        c.accumulate, c.workers = 1, 0
        c.batch, c.total_kimg = 8, 0.032
        c.eval_every_kimg, c.eval = 0.032, dict(images=8, reference=8, batch=8)
    return c
