"""How well pictures that were made small are enlarged again, beside filters; and how fast."""

import pathlib
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from gan_jax import pretrained
from gan_jax.data.images import as_array, as_picture, as_rgb
from gan_jax.data.scan import scan
from gan_jax.data.source import open_source
from gan_jax.inference import restore
from gan_jax.inference.stylize import as_pixels
from gan_jax.metrics import pixels

Method = Callable[[UInt8[np.ndarray, "h w 3"]], UInt8[np.ndarray, "H W 3"]]
FILTERS = {"bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}


SMALLEST = 48  # pixels a side: what is left within the border has windows of SSIM


class Pair(NamedTuple):
    """A picture, uint8 [H, W, 3], and the same made small."""

    large: np.ndarray
    small: np.ndarray


def read(
    paths: Sequence[pathlib.Path], portraits: int, side: int
) -> list[UInt8[np.ndarray, "_ _ 3"]]:
    """Pictures of files and folders; or so many held-back portraits, drawn `side` pixels large.

    Raises:
        ValueError: neither, or a file that can't be read.
    """
    if portraits:
        settings = {"resolution": side, "channels": 3, "labels": None, "split": "test"}
        held = open_source({"source": "avatars"} | settings)
        rows = np.linspace(0, len(held) - 1, portraits).round().astype(int)
        return list(held.load(rows, np.zeros(portraits, np.uint32))["image"])
    files = [file for path in paths for file in (scan(path)[0] if path.is_dir() else [path])]
    if not files:
        raise ValueError("give pictures, or --portraits.")
    return [as_rgb(as_pixels(file, "input")) for file in files]


def pairs(pictures: Sequence[np.ndarray], times: int, side: int) -> list[Pair]:
    """The middle of pictures uint8 [H, W, 3], at most `side` pixels a side and multiples of
    `times`, and each made `times` as small by Pillow's bicubic filter, which sees all pixels."""
    found = []
    for number, picture in enumerate(pictures, 1):
        if min(*picture.shape[:2], side) < SMALLEST:
            height, width = picture.shape[:2]
            raise ValueError(
                f"picture {number} of {len(pictures)}: {width}x{height}, at --side {side}; both"
                f" must be {SMALLEST} or more."
            )
        height, width = (min(side, n) // times * times for n in picture.shape[:2])
        top, left = ((n - m) // 2 for n, m in zip(picture.shape[:2], (height, width), strict=True))
        large = picture[top : top + height, left : left + width]
        small = as_picture(large).resize((width // times, height // times), FILTERS["bicubic"])
        found.append(Pair(large, as_array(small)))
    return found


def filters(times: int) -> dict[str, Method]:
    """The controls: filters that enlarge."""

    def method(kind):
        def enlarge(small):
            height, width = (times * n for n in small.shape[:2])
            return as_array(as_picture(small).resize((width, height), kind))

        return enlarge

    return {name: method(kind) for name, kind in FILTERS.items()}


def measure(
    found: Sequence[Pair], methods: Mapping[str, Method], times: int
) -> dict[str, dict[str, float]]:
    """Of each method the mean over pictures: "psnr" (RGB), "psnr_y" and "ssim_y" (luma), all
    without a border of `times` pixels; "lpips" (AlexNet) of the whole; "seconds_a_megapixel" of the
    small pictures, compiling left out."""
    net, values = pretrained.load("lpips_alex"), {}
    for name, method in methods.items():
        rows, seconds, seen = [], 0.0, 0
        for large, small in found:
            method(small)  # compiles
            began = time.monotonic()
            made = method(small)
            seconds, seen = seconds + time.monotonic() - began, seen + small[..., 0].size
            inside = np.s_[times:-times, times:-times]
            a, b = made[inside][None], large[inside][None]
            luma = [pixels.luma(x) for x in (a, b)]
            one, two = (net.apply(net.params, x[None]).features for x in (made, large))
            rows.append(
                {
                    "psnr": pixels.psnr(a, b)[0],
                    "psnr_y": pixels.psnr(*luma)[0],
                    "ssim_y": pixels.ssim(*luma)[0],
                    "lpips": jnp.square(one - two).sum(),
                }
            )
        values[name] = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
        values[name]["seconds_a_megapixel"] = seconds / seen * 1e6
    return values


def speed(model: str, side: int, rounds: int) -> dict[str, float]:
    """Of a picture of side x side pixels through a network: milliseconds, the median and range of
    `rounds`, and the process's peak memory in MiB."""
    import resource  # of POSIX alone

    enlarger, file = restore.load(model)
    restorer, times = restore.Restorer(enlarger, file), []
    x = np.random.default_rng(0).random((1, side, side, 3), np.float32)
    for _ in range(rounds + 1):
        began = time.perf_counter()
        jax.block_until_ready(restorer.run(x, restorer.native))
        times.append(1e3 * (time.perf_counter() - began))
    return {
        "ms": statistics.median(times[1:]),
        "ms_range": [min(times[1:]), max(times[1:])],
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
