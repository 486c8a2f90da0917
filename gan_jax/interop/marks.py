"""Whose network a file of weights is, by names of its arrays: for the error where another is
wanted."""

import re
from collections.abc import Iterable

MARKS = {
    r"ffc\.convl2l\.weight$": "LaMa's, for `gan-jax inpaint`",
    r"^encoder\.b\d+\.conv1\.conv1\.": "MI-GAN's, for `gan-jax inpaint`",
    r"\.rdb\d\.conv\d\.|\.RDB\d\.conv\d\.": "RRDBNet's (ESRGAN), for `gan-jax restore`",
    r"^upconv1\.weight$": "MSRResNet's, for `gan-jax restore`",
    r"^body\.\d+\.weight$": "SRVGGNetCompact's (Real-ESRGAN), for `gan-jax restore`",
    r"^stylegan_decoder\.": "GFPGAN's, which is not read",
    r"^fuse_convs_dict\.": "CodeFormer's, which is not read",
    r"\.residual_group\.(blocks|layers)\.": "SwinIR's or HAT's, which are not read",
    r"^synthesis\.b\d+\.conv1\.affine\.": "StyleGAN2's, for `gan-jax convert`",
    r"^layer\d\.\d\.conv\d\.weight$": "a ResNet's, a classifier",
}
"""A name of an array, but for what wraps them all -> whose it is."""
WRAPPERS = re.compile(r"^(?:(?:params_ema|params|state_dict|module|g|g_ema|generator)\.)*")


def whose(names: Iterable[str]) -> str:
    """ " It is LaMa's ...", to put behind an error; "" where it is none that is known."""
    bare = [WRAPPERS.sub("", name) for name in names]
    for mark, network in MARKS.items():
        if any(re.search(mark, name) for name in bare):
            return f" It is {network}."
    return ""
