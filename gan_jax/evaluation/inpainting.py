"""How well holes are filled, beside methods without a network, by the share of a picture that is
missing."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, UInt8

from gan_jax import pretrained
from gan_jax.data.images import rounded
from gan_jax.data.source import Source, open_source
from gan_jax.inference.inpaint import Holes, Inpainter
from gan_jax.inference.sampler import Sampler
from gan_jax.metrics import pixels

BUCKETS = (0.0, 0.2), (0.2, 0.4), (0.4, 0.6)  # shares that are missing
Pixels = UInt8[np.ndarray, "H W 3"]
Method = Callable[[Pixels, Bool[np.ndarray, "H W"]], Pixels]
"""(colors, 0 in holes; True in holes) -> colors, the same outside of holes."""


class Torn(NamedTuple):
    """A picture, and what of it is missing."""

    whole: Pixels
    missing: Bool[np.ndarray, "H W"]


def pictures(data: Mapping, masks: str, share: tuple[float, float], count: int) -> Iterator[Torn]:
    """At most `count` pictures of `data`, settings as config.data has them, evenly picked, with
    holes of data.masks' kind `masks` of which a share within `share` is missing: the same every
    time.

    Raises:
        ValueError: the data can't be opened; no such masks.
    """
    settings = {"source": "masked", "of": dict(data), "masks": masks, "missing": share}
    source: Source = open_source(settings)
    rows = np.linspace(0, len(source) - 1, min(count, len(source))).round().astype(int)
    for row in rows:
        batch = source.load(np.array([row]), np.zeros(1, np.uint64))
        yield Torn(batch["target"][0, ..., :3], batch["image"][0, ..., 3] == 0)


def mean_color(colors: Pixels, missing: np.ndarray) -> Pixels:
    """The mean of what is there."""
    made = colors.copy()
    made[missing] = rounded(colors[~missing].mean(0))
    return made


def telea(colors: Pixels, missing: np.ndarray) -> Pixels:
    """Telea 2004, as OpenCV has it, with a radius of 3 pixels."""
    try:
        import cv2
    except ImportError as error:
        raise ValueError(
            "Telea's method is OpenCV's: pip install opencv-python-headless."
        ) from error
    return cv2.inpaint(colors, missing.astype(np.uint8), 3, cv2.INPAINT_TELEA)


def biharmonic(colors: Pixels, missing: np.ndarray) -> Pixels:
    """Damelin & Hoang 2017, as scikit-image has it."""
    try:
        from skimage.restoration import inpaint_biharmonic
    except ImportError as error:
        raise ValueError(
            "the biharmonic method is scikit-image's: pip install scikit-image."
        ) from error
    return rounded(255 * inpaint_biharmonic(colors / 255, missing, channel_axis=-1))


CONTROLS: dict[str, Method] = {
    "mean_color": mean_color,
    "telea": telea,
    "biharmonic": biharmonic,
}


def of(sampler: Sampler) -> Method:
    """A run as a method."""
    return Inpainter(sampler, Holes(), feather=0).filled


def measure(torn: list[Torn], methods: Mapping[str, Method]) -> dict[str, dict[str, float]]:
    """Of each method the mean over pictures: "psnr", "ssim" and "l1" (of 255) of the result, which
    is the picture outside of holes; "psnr_hole" and "l1_hole" of the pixels in holes alone; "lpips"
    (AlexNet) of the result."""
    net, values = pretrained.load("lpips_alex"), {}
    features = [net.apply(net.params, one.whole[None]).features for one in torn]
    for name, method in methods.items():
        rows = []
        for one, wanted in zip(torn, features, strict=True):
            colors = np.where(one.missing[..., None], 0, one.whole)
            made = np.where(one.missing[..., None], method(colors, one.missing), one.whole)
            a, b = made[None], one.whole[None]
            hole_a, hole_b = (x[one.missing][None, None] for x in (made, one.whole))
            found = net.apply(net.params, a).features
            rows.append(
                {
                    "psnr": pixels.psnr(a, b)[0],
                    "ssim": pixels.ssim(a, b)[0],
                    "l1": pixels.mae(a, b)[0],
                    "psnr_hole": pixels.psnr(hole_a, hole_b)[0],
                    "l1_hole": pixels.mae(hole_a, hole_b)[0],
                    "lpips": jnp.square(found - wanted).sum(),
                }
            )
        values[name] = {
            key: float(np.mean([row[key] for row in rows if np.isfinite(row[key])]))
            for key in rows[0]
        }
    return values
