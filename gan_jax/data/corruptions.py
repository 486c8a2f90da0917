"""Corruptions at graded strengths, for curves of robustness: uint8 [n, H, W, C] in, the same out;
alpha stays as it is."""

import dataclasses
import io
from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy import ndimage

from gan_jax.data.images import as_array, as_picture, rounded
from gan_jax.runtime import registry


@dataclasses.dataclass(frozen=True)
class Corruption:
    """One kind: `apply(colors uint8 [H, W, 1 or 3], strength, rng)` -> the same shape, any
    numbers."""

    apply: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
    unit: str  # of its strengths, for an axis
    clean: float  # the strength at which nothing happens
    strengths: tuple[float, ...]  # graded, mild first


def corrupt(images: np.ndarray, kind: str, strength: float, ids: np.ndarray) -> np.ndarray:
    """images: uint8 [n, H, W, C], corrupted one by one; what is random derives from each one's
    number in `ids` alone."""
    corruption = registry.choose(CORRUPTIONS, kind, "corruption")
    if strength == corruption.clean:
        return images
    colors, result = (1 if images.shape[-1] == 1 else 3), images.copy()
    for i, image in zip(ids, result, strict=True):
        changed = corruption.apply(
            image[..., :colors], strength, np.random.default_rng([int(i), 0x6E6F])
        )
        image[..., :colors] = rounded(changed)
    return result


def noise(image, sigma, rng):
    return image + rng.normal(0, sigma, image.shape)


def blur(image, sigma, rng):
    return ndimage.gaussian_filter(image.astype(np.float64), (sigma, sigma, 0), mode="nearest")


def jpeg(image, loss, rng):
    """Through a JPEG file of quality 100 - loss."""
    file = io.BytesIO()
    as_picture(image).save(file, "JPEG", quality=round(100 - loss))
    return as_array(Image.open(file))


def downscale(image, factor, rng):
    """Down by averaging and up again by bicubic interpolation; no side below one pixel."""
    h, w = image.shape[:2]
    small = as_picture(image).resize(
        (max(1, round(w / factor)), max(1, round(h / factor))), Image.Resampling.BOX
    )
    return as_array(small.resize((w, h), Image.Resampling.BICUBIC))


def darken(image, share, rng):
    return image * (1 - share)


CORRUPTIONS = {
    "noise": Corruption(noise, "standard deviation, gray levels of 255", 0, (5, 10, 25, 50)),
    "blur": Corruption(blur, "standard deviation, pixels", 0, (0.5, 1, 2, 3)),
    "jpeg": Corruption(jpeg, "100 - quality", 0, (10, 40, 70, 90)),
    "downscale": Corruption(downscale, "times smaller and back", 1, (1.5, 2, 4, 8)),
    "brightness": Corruption(darken, "share of brightness taken", 0, (0.1, 0.25, 0.5, 0.75)),
}
