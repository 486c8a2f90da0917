"""Pictures of any size through a translator: whole where they fit, else in overlapping tiles that
are blended."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from gan_jax.data import geometry
from gan_jax.data.images import composite, in_channels, rounded, to_float
from gan_jax.inference.export import Exported, Sampler
from gan_jax.runtime import registry

SMALLEST_TILE = 32  # pixels beside the overlaps


@dataclasses.dataclass(frozen=True)
class Look:
    """A style to give: its name, and its numbers f32 [S]."""

    name: str
    style: np.ndarray


class Stylizer:
    """A translator's checkpoint, ready for pictures.

    Args:
        sampler: a translator's run, or what was exported of it.
        strength: 0 leaves a picture as it is, 1 gives the translator's; a mixture of their pixels
            between.
        tile: pictures of more than tile x tile pixels are cut into tiles with such sides. overlap:
            of neighbours.
        buckets: whether sides are padded to multiples of sampler.multiple: of pictures of many
            sizes few are then compiled.
        background: RGB under transparent pixels while they are translated; the result has the
            picture's own alpha.
    Raises:
        ValueError: a number out of its range.
    """

    def __init__(
        self,
        sampler: Sampler | Exported,
        *,
        strength: float = 1.0,
        tile: int = 1024,
        overlap: int = 64,
        buckets: bool = True,
        background: tuple[int, int, int] = (255, 255, 255),
    ):
        if not 0 <= strength <= 1:
            raise ValueError(f"--strength={strength}: it must be within 0 (as it is) and 1.")
        if overlap < 0:
            raise ValueError(f"--overlap={overlap}: it must be at least 0.")
        if tile < 2 * overlap + SMALLEST_TILE:
            raise ValueError(
                f"--tile={tile}: with --overlap={overlap} it must be at least"
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
                f"--style {names[0]}: {self.sampler.step} has one style only; leave it out."
            )
        numbers = {name: number for number, name in enumerate(classes)}
        chosen = [registry.choose(numbers, name, "--style") for name in names] or list(
            numbers.values()
        )
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
                f"--reference: {self.sampler.step} takes no style from a picture; StarGAN v2's"
                " runs do."
            )
        number = registry.choose(
            {c: i for i, c in enumerate(self.sampler.classes)}, name, "--style"
        )
        x = to_float(geometry.fit(self._opaque(picture)[0], self.sampler.shape[:2]))[None]
        y = np.array([number], np.int32)
        return Look(
            self.sampler.classes[number], np.asarray(self.sampler.style_from_picture(x, y))[0]
        )

    def __call__(self, pictures: np.ndarray, look: Look) -> np.ndarray:
        """uint8 [n, H, W, 1, 3 or 4] of any size -> the same shape, in the look; alpha as it
        was."""
        if not self.strength:
            return pictures
        seen = [self._opaque(picture) for picture in pictures]
        x = to_float(np.stack([flat for flat, _ in seen]))
        through = lambda restyle: lambda x: self._run(restyle, x, look)
        parts = lambda whole: through(self.sampler.part_of(pad_to(whole, self.multiple)))
        styled = np.clip(
            in_tiles(through(self.sampler.restyle), parts, x, self.tile, self.overlap), -1, 1
        )
        mixed = (x + self.strength * (styled - x) + 1) * 127.5
        rows = zip(mixed, seen, pictures, strict=True)
        return np.stack([self._like(made, alpha, picture) for made, (_, alpha), picture in rows])

    def _run(self, restyle, x, look):
        """x f32 [n, h, w, C] through the network, padded."""
        h, w = x.shape[1:3]
        padded = pad_to(x, self.multiple)
        styles = np.repeat(look.style[None], len(x), 0)
        return np.asarray(restyle(padded, styles))[:, :h, :w]

    def _opaque(self, picture):
        """(picture uint8 [H, W, C] with the network's channels, its alpha [H, W, 1] where the
        network takes none)."""
        colors, alpha = picture[..., :3], picture[..., 3:] if picture.shape[-1] == 4 else None
        if self.channels == 4:
            full = np.full((*picture.shape[:2], 1), 255, np.uint8)
            return np.concatenate(
                [in_channels(colors, 3), full if alpha is None else alpha], -1
            ), None
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


def pad_to(x: np.ndarray, multiple: int) -> np.ndarray:
    """x [n, H, W, C] -> the next multiples, by reflection at the right and bottom (numpy's repeats
    as it must)."""
    more = [-n % multiple for n in x.shape[1:3]]
    return np.pad(x, ((0, 0), (0, more[0]), (0, more[1]), (0, 0)), "symmetric") if any(more) else x


Run = Callable[[np.ndarray], np.ndarray]  # f32 [n, h, w, C] -> the same shape


def in_tiles(
    run: Run, parts: Callable[[np.ndarray], Run], x: np.ndarray, tile: int, overlap: int
) -> np.ndarray:
    """run(x) where x f32 [n, H, W, C] has at most tile x tile pixels, else by tiles, blended where
    they overlap.

    Args:
        parts: x made small -> what to run on its tiles.
        tile: a tile's sides, or the picture's where that is less. overlap: pixels, at least, that
            neighbours share; of these the quarter next to a tile's edge, which knows least of what
            is beyond, is not used.
    """
    height, width = x.shape[1:3]
    if height * width <= tile * tile:
        return run(x)
    if not np.ptp(
        x, axis=(1, 2)
    ).any():  # of one colour, as a black frame: all that networks see of it is its edges
        made = run(x[:, :tile, :tile])
        return np.broadcast_to(
            made[:, made.shape[1] // 2, made.shape[2] // 2, None, None], x.shape
        ).copy()
    part = parts(shrunk(x, tile * tile))
    total, weights = np.zeros(x.shape, np.float32), np.zeros((height, width, 1), np.float32)
    sides = [min(tile, size) for size in (height, width)]
    for top in starts(height, sides[0], overlap):
        for left in starts(width, sides[1], overlap):
            place = np.s_[:, top : top + sides[0], left : left + sides[1]]
            down, across = (
                taper(top, sides[0], height, overlap),
                taper(left, sides[1], width, overlap),
            )
            weight = (down[:, None] * across[None])[..., None]
            total[place] += part(x[place]) * weight
            weights[place[1:]] += weight
    return total / weights


def taper(start: int, side: int, size: int, overlap: int) -> np.ndarray:
    """Weights f32 [side], along one axis, of a tile that begins at `start` of `size`: less towards
    edges with neighbours."""
    rise = np.clip((np.arange(side) + 0.5 - overlap / 4) / max(overlap / 2, 1e-6), 0, 1).astype(
        np.float32
    )
    first, last = start == 0, start + side == size
    return (1 if first else rise) * (1 if last else rise[::-1]) * np.ones(side, np.float32)


def shrunk(x: np.ndarray, pixels: int) -> np.ndarray:
    """x [n, H, W, C] -> [n, h, w, C] of about so many pixels at most, each the mean of a block of
    x's."""
    factor = math.ceil(math.sqrt(max(1, x.shape[1] * x.shape[2] / pixels)))
    n, h, w, c = x.shape
    down, across = min(factor, h), min(factor, w)
    return (
        x[:, : h // down * down, : w // across * across]
        .reshape(n, h // down, down, w // across, across, c)
        .mean((2, 4))
    )


def starts(size: int, side: int, overlap: int) -> Iterator[int]:
    """Where tiles of `side` begin that cover `size`, evenly, neighbours sharing at least
    `overlap`."""
    count = 1 if size <= side else math.ceil((size - overlap) / (side - overlap))
    return (round(i * (size - side) / max(1, count - 1)) for i in range(count))
