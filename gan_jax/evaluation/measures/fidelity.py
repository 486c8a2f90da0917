"""Likeness of one picture to another, pixel by pixel: of translations to their truth, and of any
pictures to others of the same names."""

import dataclasses
from collections.abc import Callable

import numpy as np

from gan_jax.evaluation.gather import Given
from gan_jax.evaluation.images import Images
from gan_jax.evaluation.measures.base import Measure, Needs, Result, Value
from gan_jax.metrics import pixels
from gan_jax.pretrained import Net, perceptual

CHUNK = 256  # pictures of the size of the data, loaded at a time


@dataclasses.dataclass(frozen=True)
class PairMeasure:
    """A likeness of two pictures. distance: (a, b, net) -> f64 [n], of uint8 or f64 [n, H, W, C].

    by_features: whether a net sees the pictures, so that its name belongs to the value's.
    """

    better: int
    about: str
    distance: Callable[[np.ndarray, np.ndarray, Net | None], np.ndarray]
    by_features: bool = False


def _of_pixels(function: Callable) -> Callable:
    return lambda a, b, net: function(a, b)


def _lpips(a: np.ndarray, b: np.ndarray, net: Net) -> np.ndarray:
    return perceptual.distance(net(a).features, net(b).features)


PAIRS = {  # name -> likeness of two pictures
    "mae": PairMeasure(-1, "mean absolute error, of 255", _of_pixels(pixels.mae)),
    "psnr": PairMeasure(1, "peak signal-to-noise ratio, in dB", _of_pixels(pixels.psnr)),
    "ssim": PairMeasure(1, "structural similarity, 1 for equal pictures", _of_pixels(pixels.ssim)),
    "ms_ssim": PairMeasure(
        1, "structural similarity at five scales, 1 for equal pictures", _of_pixels(pixels.ms_ssim)
    ),
    "lpips": PairMeasure(-1, "perceptual distance, 0 for equal pictures", _lpips, by_features=True),
}
OF_TRANSLATIONS = ("psnr", "ssim", "mae")


def compute(given: Given) -> Result:
    return Result(likeness(given.translations, given.sets.truth, given.sets.contents))


def likeness(fake: Images, truth: Images, contents: Images) -> dict[str, float]:
    """PSNR (dB), SSIM, MAE (of 255) against the true translations: means over the pictures;
    "_input": of copying the input. Of truths that are opaque, colors alone are compared.

    PSNR's mean leaves out pictures equal to their truth, whose PSNR is infinite.
    """
    found: dict[str, list] = {}
    for ids in np.split(np.arange(fake.count), range(CHUNK, fake.count, CHUNK)):
        wanted = truth.load(ids % truth.count)
        sides = {"": fake.load(ids), "_input": contents.load(ids % contents.count)}
        if wanted.shape[-1] == 4 and (wanted[..., 3] == 255).all():
            wanted = wanted[..., :3]
            sides = {suffix: images[..., :3] for suffix, images in sides.items()}
        for suffix, images in sides.items():
            for name in OF_TRANSLATIONS:
                one = PAIRS[name].distance(images, wanted, None)
                found.setdefault(name + suffix, []).append(one)
    joined = {name: np.concatenate(parts) for name, parts in found.items()}
    return {name: float(x[np.isfinite(x)].mean()) for name, x in joined.items()}


def _values() -> dict[str, Value]:
    own = {
        name: Value(PAIRS[name].better, f"to the true translation: {PAIRS[name].about}")
        for name in OF_TRANSLATIONS
    }
    copied = {
        f"{name}_input": Value(0, "the same of the untouched input", control_of=name)
        for name in OF_TRANSLATIONS
    }
    return own | copied


MEASURES = (
    Measure(
        name="fidelity",
        about="PSNR, SSIM, MAE against the true translation, beside those of copying the input",
        needs=Needs(translator=True, truth=True, side=pixels.SSIM_SIDE),
        values=_values(),
        compute=compute,
        order=110,
    ),
)
