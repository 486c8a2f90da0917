"""A picture of any size in a translator's style: whole where it fits, else in overlapping tiles."""

import dataclasses
import os
import typing
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from gan_jax.data import decode, geometry
from gan_jax.data.images import composite, in_channels, rounded, to_float
from gan_jax.data.quarantine import ImageRejected
from gan_jax.inference import tiling
from gan_jax.nn.guided_filter import guided_mix
from gan_jax.runtime import registry

MOST_SEED = 2**32 - 1
SMALLEST_TILE = 32  # pixels beside the overlaps
Picture = str | os.PathLike | Image.Image | np.ndarray
"""A file, a Pillow image, or uint8 [H, W] or [H, W, C] with C = 1 (gray), 3 (RGB) or 4 (RGBA)."""


class Translates(typing.Protocol):
    """What Stylizer needs: a translator's Sampler, or Exported; see Sampler for what each is."""

    shape: tuple[int, ...]
    classes: tuple[str, ...]
    step: os.PathLike
    multiple: int
    least: int
    reads_styles: bool
    restyle: Callable
    part_of: Callable
    styles_from_noise: Callable
    style_from_picture: Callable | None


def stylize(
    sampler: Translates,
    picture: Picture,
    *,
    style: str | None = None,
    reference: Picture | None = None,
    seed: int = 0,
    strength: float = 1.0,
) -> np.ndarray:
    """A picture of any size in a style: uint8 [H, W, C] with the picture's channels and its alpha.

    Args:
        style: the class's name; may be left out where there is one style only.
        reference: take the style of this picture, which is of class `style`.
        seed: 0 to 4294967295; another seed, another variant of the style.
        strength: 0 as it was, 1 in full style; between, colors come first, contours later
            (nn.guided_filter.guided_mix).
    Raises:
        ValueError: no such style, none named where there are several, a strength or seed out of
            its range, or no picture.
    """
    seed = check_seed(seed)
    pixels = as_pixels(picture, "picture")
    stylizer = Stylizer(sampler, strength=strength)
    if reference is not None:
        look = stylizer.look_of(as_pixels(reference, "reference"), style or "")
    else:
        if style is None and len(sampler.classes) > 1:
            raise ValueError(f"style=None: name one. {registry.suggest('', sampler.classes)}")
        look = stylizer.looks([] if style is None else [style], seed)[0]
    return stylizer(pixels[None], look)[0]


def as_pixels(picture: Picture, name: str) -> np.ndarray:
    """uint8 [H, W, C], C = 1, 3 or 4. Raises ValueError, by `name`, where it is no such picture."""
    if isinstance(picture, np.ndarray):
        pixels = picture[..., None] if picture.ndim == 2 else picture
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4):
            raise ValueError(
                f"{name}: an array {pixels.dtype}{list(picture.shape)}; give uint8 [H, W, C] with 1"
                " (gray), 3 (RGB) or 4 (RGBA) channels."
            )
        return pixels
    if isinstance(picture, Image.Image):
        return np.asarray(_plain_mode(picture)).reshape(picture.height, picture.width, -1)
    try:
        return decode.decode(picture, channels=None)
    except ImageRejected as reason:
        raise ValueError(f"{name}={os.fspath(picture)}: {reason}.") from reason


def _plain_mode(image: Image.Image) -> Image.Image:
    """In mode L, RGB or RGBA."""
    if image.mode in ("L", "RGB", "RGBA"):
        return image
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def check_seed(seed: object, n: int = 1) -> int:
    """The seed, the first of n. Raises ValueError where one of them is no whole number of 32 bits:
    JAX would cut it to them."""
    whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if not whole or not 0 <= seed <= MOST_SEED + 1 - n:
        most = f"{MOST_SEED}" if n == 1 else f"{MOST_SEED + 1 - n}, for it and the {n - 1} after it"
        raise ValueError(f"seed={seed!r}: it must be a whole number from 0 to {most}.")
    return int(seed)


@dataclasses.dataclass(frozen=True)
class Look:
    """A style to give: its name, and its numbers f32 [S]."""

    name: str
    style: np.ndarray


class Stylizer:
    """A translator, ready for pictures of any size.

    Args:
        sampler: a translator's run, or what was exported of it.
        strength: 0 leaves a picture as it is, 1 gives the translator's; a guided mixture of them
            between (nn.guided_filter.guided_mix).
        tile: pictures of more than tile x tile pixels are cut into tiles with such sides. overlap:
            of neighbors.
        buckets: whether sides are padded to multiples of sampler.multiple: of pictures of many
            sizes few are then compiled.
        background: RGB under transparent pixels while they are translated; the result has the
            picture's own alpha.
    Raises:
        ValueError: a number out of its range.
    Attributes:
        found: faces in the last pictures, of a stylizer of faces; None: it styles all of a picture.
        deep: whether pictures may be uint16.
        keeps: whether pixels that are not drawn anew must stay as they are.
    """

    found: int | None = None
    deep, keeps = False, False

    def __init__(
        self,
        sampler: Translates,
        *,
        strength: float = 1.0,
        tile: int = 1024,
        overlap: int = 64,
        buckets: bool = True,
        background: tuple[int, int, int] = (255, 255, 255),
    ):
        if not 0 <= strength <= 1:
            raise ValueError(f"strength={strength}: it must be within 0 (as it is) and 1.")
        if overlap < 0:
            raise ValueError(f"overlap={overlap}: it must be at least 0.")
        if tile < 2 * overlap + SMALLEST_TILE:
            raise ValueError(
                f"tile={tile}: with overlap={overlap} it must be at least"
                f" {2 * overlap + SMALLEST_TILE}, twice the overlap and {SMALLEST_TILE}."
            )
        self.sampler, self.strength, self.tile, self.overlap = sampler, strength, tile, overlap
        self.channels = sampler.shape[2]
        self.multiple = sampler.multiple if buckets else sampler.least
        self.background = background

    def looks(self, names: Sequence[str], seed: int) -> list[Look]:
        """The styles called `names` (all where none are), each drawn from noise by `seed`.

        Raises:
            ValueError: a style that the checkpoint lacks; names those it has.
        """
        classes = self.sampler.classes
        if names and not classes:
            raise ValueError(
                f"style={names[0]!r}: {self.sampler.step} has one style only; leave it out."
            )
        numbers = {name: number for number, name in enumerate(classes)}
        chosen = [registry.choose(numbers, name, "style") for name in names]
        chosen = chosen or list(numbers.values())
        names = [classes[number] for number in chosen]
        y = np.array(chosen, np.int32) if classes else None
        styles = np.asarray(self.sampler.styles_from_noise(seed, y, max(1, len(names))))
        return [Look(name, style) for name, style in zip(names or [""], styles, strict=True)]

    def look_of(self, picture: np.ndarray, name: str) -> Look:
        """The style of a picture uint8 [H, W, C] of class `name`.

        Raises:
            ValueError: no such class, or a translator that reads no styles off pictures.
        """
        if not self.sampler.reads_styles:
            raise ValueError(
                f"reference: {self.sampler.step} takes no style from a picture; StarGAN v2's"
                " runs do."
            )
        classes = self.sampler.classes
        number = registry.choose({c: i for i, c in enumerate(classes)}, name, "style")
        x = to_float(geometry.fit(self._opaque(picture)[0], self.sampler.shape[:2])[None])
        style = self.sampler.style_from_picture(x, np.array([number], np.int32))
        return Look(classes[number], np.asarray(style)[0])

    def __call__(self, pictures: np.ndarray, look: Look) -> np.ndarray:
        """uint8 [n, H, W, 1, 3 or 4] of any size -> the same shape, in the look;
        alpha as it was."""
        if not self.strength:
            return pictures
        opaque = [self._opaque(picture) for picture in pictures]
        x = to_float(np.stack([flat for flat, _ in opaque]))

        def run(restyle):
            return lambda x: self._run(restyle, x, look)

        def parts(whole):
            return run(self.sampler.part_of(tiling.pad_symmetric(whole, self.multiple)))

        styled = tiling.in_tiles(run(self.sampler.restyle), parts, x, self.tile, self.overlap)
        rows = zip((np.clip(styled, -1, 1) + 1) * 127.5, opaque, pictures, strict=True)
        return np.stack([self._like(made, alpha, picture) for made, (_, alpha), picture in rows])

    def _run(self, restyle, x, look):
        """x f32 [n, h, w, C] through the network, padded, and mixed with what it was."""
        h, w = x.shape[1:3]
        padded = tiling.pad_symmetric(x, self.multiple)
        styles = np.repeat(look.style[None], len(x), 0)
        made = restyle(padded, styles)
        if self.strength < 1:
            made = _mixed(padded, made, self.strength)
        return np.asarray(made)[:, :h, :w]

    def _opaque(self, picture):
        """(picture uint8 [H, W, C] with the network's channels, its alpha [H, W, 1] where the
        network takes none)."""
        colors, alpha = picture[..., :3], picture[..., 3:] if picture.shape[-1] == 4 else None
        if self.channels == 4:
            opaque = np.full((*picture.shape[:2], 1), 255, np.uint8)
            alpha = opaque if alpha is None else alpha
            return np.concatenate([in_channels(colors, 3), alpha], -1), None
        if alpha is not None:
            colors = composite(picture, self.background)
        return in_channels(colors, self.channels), alpha

    def _like(self, made, alpha, picture):
        """The network's pixels, f32 in [0, 255], with the picture's channels and the alpha given.

        What they have of the background, where the picture is half transparent, is taken out again:
        laid on the background the result is what the network made, and on any other there is no
        halo.
        """
        channels = picture.shape[-1]
        if channels != 4 or alpha is None:
            return rounded(made) if channels == 4 else in_channels(rounded(made)[..., :3], channels)
        share = alpha.astype(np.float32) / 255
        behind = np.asarray(self.background, np.float32)
        made = in_channels(rounded(made), 3) if made.shape[-1] == 1 else made
        own = (made - (1 - share) * behind) / np.maximum(share, 1 / 255)
        return np.concatenate([rounded(np.where(share > 0, own, made)), alpha], -1)


@jax.jit
def _mixed(x, made, strength):
    return guided_mix(x, jnp.clip(made, -1, 1), strength)
