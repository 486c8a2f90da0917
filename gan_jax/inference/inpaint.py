"""Holes in pictures filled by a network: which pixels, in what part of the picture, and how what is
drawn there joins the rest."""

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, UInt8, UInt16
from scipy import ndimage

from gan_jax.algorithms import inpaint as lama_game
from gan_jax.algorithms import migan as migan_game
from gan_jax.algorithms.base import Game
from gan_jax.checkpoint import shared
from gan_jax.data import geometry
from gan_jax.data.images import as_rgb, in_channels, quantized, shallow, to_float
from gan_jax.data.quarantine import ImageRejected
from gan_jax.inference import loading, tiling
from gan_jax.inference.restore import filled as visible
from gan_jax.inference.sampler import Sampler
from gan_jax.inference.stylize import Look
from gan_jax.inference.stylize_pictures import Sheet
from gan_jax.interop import lama, migan
from gan_jax.interop.arrays import some
from gan_jax.interop.marks import whose
from gan_jax.models import lama as lama_nets
from gan_jax.models import migan as migan_nets
from gan_jax.runtime import text, weights
from gan_jax.state import PyTree

NOTHING = Look("", np.zeros(0, np.float32))
AROUND = 1.0  # what is seen around a hole, to each side, in the hole's longer side
LEAST_AROUND = 16  # pixels
ENLARGED = 4  # a network sees windows of at most so many times the side that it was trained at
CELL = 256  # pixels of a cell of the contact sheet, at most
OFFICIAL_SIDE = 256  # pixels, of the windows that LaMa was trained on
MOST_CANDIDATES = 64
CHECKS = 8  # pixels of the checkered ground that shows a hole

Mask = Bool[np.ndarray, "H W"]
Picture = UInt8[np.ndarray, "H W C"] | UInt16[np.ndarray, "H W C"]


def load(model: str | pathlib.Path, trusted: Iterable[str] = ()) -> Sampler:
    """A run of a game that fills holes, a shared model or one of the zoo by its name; or a file of
    LaMa's or MI-GAN's official network (interop.lama, interop.migan).

    Args:
        trusted: dotted paths of modules that may be imported where a run names them.
    Raises:
        ValueError: no such run or file, or another network.
    """
    place = pathlib.Path(model)
    if not place.exists() and shared.find(place) is None:
        known = ", ".join(loading.models_for("inpaint"))
        raise ValueError(f"--model={model}: no such run or file. Or one of {known}.")
    if not place.is_file():
        return loading.load_sampler(place, command="inpaint", trusted=trusted)
    arrays = weights.read(place)
    try:
        game, variables, shape = _official(arrays)
    except ValueError as error:
        raise ValueError(f"{place}: {error}{whose(arrays)}") from error
    params, mutable = variables["params"], {k: x for k, x in variables.items() if k != "params"}
    ema = {"params": {"g": params}, "mutable": {"g": mutable}}
    return Sampler(game, jax.device_put(ema), shape, (), place, 1)


def fills(arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether the arrays of a file are named as LaMa's or MI-GAN's."""
    return migan.FIRST in arrays or any(name.endswith(lama.FIRST) for name in arrays)


def _official(arrays: Mapping[str, np.ndarray]) -> tuple[Game, PyTree, tuple[int, int, int]]:
    """(game, variables of its generator, shape of the pictures it was trained on) of an official
    network's arrays by name. Raises ValueError: another network's."""
    if any(name.endswith(lama.FIRST) for name in arrays):
        net, variables = lama.of(arrays)
        game = lama_game.Algorithm(net, lama_nets.Discriminator())
        return game, variables, (OFFICIAL_SIDE, OFFICIAL_SIDE, 4)
    if migan.FIRST in arrays:
        net, variables = migan.of(arrays)
        game = migan_game.Algorithm(net, migan_nets.Discriminator(net.shape))
        return game, variables, net.shape
    raise ValueError(
        "neither the official LaMa nor the official MI-GAN for use: it has"
        f" {text.shown(some(list(arrays)))}. Known are files such as big-lama.pt and"
        " migan_256_places2.pt."
    )


class Holes(NamedTuple):
    """What is to be filled, alike in all pictures of a job. Where nothing is said, the pixels of a
    picture that are not opaque.

    Attributes:
        file: uint8 [H, W] of 0 to 255, white where it is missing; of the pictures' size.
        boxes: (left, top, width, height) in pixels.
        key: RGB of a color that marks what is missing; None: none does.
        tolerance: by how much each of R, G, B may differ from it.
        grow: pixels that holes are made larger by on each side.
    """

    file: np.ndarray | None = None
    boxes: tuple[tuple[int, int, int, int], ...] = ()
    key: tuple[int, int, int] | None = None
    tolerance: int = 0
    grow: int = 0

    @property
    def given(self) -> bool:
        """Whether anything is said, so that a picture's alpha stays what it is."""
        return self.file is not None or bool(self.boxes) or self.key is not None

    def of(self, picture: Picture) -> Mask:
        """True where the picture, uint8 or uint16, is to be filled.

        Raises:
            ImageRejected: as `found`; nothing of it is missing.
        """
        missing = self.found(picture)
        if not missing.any():
            raise ImageRejected(
                "nothing of it is to be filled: no transparent pixel, none that is white in a mask,"
                " in a box or of the key color"
            )
        return missing

    def found(self, picture: Picture) -> Mask:
        """The same, where nothing may be missing.

        Raises:
            ImageRejected: a mask of another size, a box outside; all of it is missing.
        """
        picture = shallow(picture)
        height, width = picture.shape[:2]
        missing, clear = np.zeros((height, width), bool), np.zeros((height, width), bool)
        if picture.shape[-1] == 4:
            clear = picture[..., 3] == 0
            missing |= (picture[..., 3] < 255) & (not self.given)
        if self.file is not None:
            if self.file.shape != missing.shape:
                have = "x".join(map(str, self.file.shape[::-1]))
                raise ImageRejected(
                    f"it is {width}x{height}, its mask {have}; make both of one size"
                )
            missing |= self.file >= 128
        for left, top, wide, high in self.boxes:
            if left >= width or top >= height or left + wide <= 0 or top + high <= 0:
                raise ImageRejected(
                    f"the box {left},{top},{wide},{high} lies outside of its {width}x{height}"
                )
            missing[max(top, 0) : top + high, max(left, 0) : left + wide] = True
        if self.key is not None:
            away = np.abs(in_channels(picture[..., :3], 3).astype(int) - self.key)
            missing |= (away <= self.tolerance).all(-1) & ~clear
        if self.grow:
            missing = ndimage.binary_dilation(missing, iterations=self.grow)
        if missing.all():
            raise ImageRejected("all of it is missing, and nothing left to go by")
        return missing


class Inpainter:
    """A run of a game that fills holes, ready for pictures of any size; in the place of a
    Stylizer.

    Args:
        sampler: of the run.
        holes: what is to be filled.
        feather: pixels over which what is drawn is blended into the picture around it.
        frames: whether pictures are a clip's, of which some may have nothing to be filled: those
            stay as they are.
    Raises:
        ValueError: a number out of its range.
    Attributes:
        found: None, for no faces are looked for.
        deep, keeps: as a Stylizer's.
        reduced: by how much windows were made smaller for the network, the most of all pictures so
            far; 1: none was.
    """

    found: int | None = None
    deep, keeps = True, True
    tile = 1  # frames of clips go one by one

    def __init__(self, sampler: Sampler, holes: Holes, *, feather: int = 2, frames: bool = False):
        if holes.grow < 0 or feather < 0:
            raise ValueError(f"--grow={holes.grow}, --feather={feather}: they must be 0 or more.")
        if not 0 <= holes.tolerance <= 255:
            raise ValueError(f"--tolerance={holes.tolerance}: it must be 0 to 255.")
        self.sampler, self.holes, self.feather, self.frames = sampler, holes, feather, frames
        self.reduced = 1.0

    def __call__(self, pictures: np.ndarray, look: Look = NOTHING) -> np.ndarray:
        """uint8 or uint16 [n, H, W, 1, 3 or 4] of any size -> filled, with the same channels, but
        without alpha where that said what is missing.

        look: one of `candidates`, or NOTHING.
        Raises ImageRejected as `Holes.of`.
        """
        find = self.holes.found if self.frames else self.holes.of
        return np.stack([self.filled(picture, find(picture), look) for picture in pictures])

    def candidates(self, n: int) -> list[Look]:
        """n ways to fill the holes, "1" to "n", the first by the network's own noise.

        Raises ValueError where the network has none.
        """
        if not 1 <= n <= MOST_CANDIDATES:
            raise ValueError(f"--candidates={n}: it must be 1 to {MOST_CANDIDATES}.")
        if n == 1:
            return [NOTHING]
        found = jax.tree_util.tree_leaves_with_path(self.sampler.ema["params"]["g"])
        strengths = [x for path, x in found if path[-1].key == "strength"]
        if not any(np.any(x) for x in strengths):
            raise ValueError(
                f"--candidates={n}: {self.sampler.step} fills a hole in one way only, for it draws"
                " no noise. MI-GAN's networks do, once they are trained."
            )
        return [Look(str(i), NOTHING.style) for i in range(1, n + 1)]

    def filled(self, picture: Picture, missing: Mask, look: Look = NOTHING) -> np.ndarray:
        """One picture [H, W, 1, 3 or 4] with what is missing drawn.

        Holes that see each other's surroundings are filled together, others one after the other.
        """
        made, sampler = shown(picture).copy(), self.sampler
        if look.name not in ("", "1"):
            sampler = with_noise(sampler, int(look.name))
        least = max(sampler.shape[:2]) if sampler.fixed_size else 0
        for part in windows(missing, least):
            made[part] = self.drawn(made[part], missing[part], sampler)
        return joined(picture, made, missing, self.feather, keeps_alpha=self.holes.given)

    def drawn(self, colors: np.ndarray, missing: Mask, sampler: Sampler) -> np.ndarray:
        """A window's colors [h, w, 3] as the network draws them, all of it."""
        height, width = missing.shape
        if sampler.fixed_size:
            size = sampler.shape[:2]
            scale = max(1.0, height / size[0], width / size[1])
        else:
            scale = max(1.0, max(height, width) / (ENLARGED * max(sampler.shape[:2])))
            size = tuple(max(1, round(n / scale)) for n in (height, width))
        self.reduced = max(self.reduced, scale)
        most = np.iinfo(colors.dtype).max
        alpha = np.where(missing, 0, most)[..., None].astype(colors.dtype)
        rgba = np.concatenate([colors, alpha], -1)
        small = geometry.fit(rgba, size, "stretch")
        # what a filter mixed with a hole is missing too; of a size that is given, by more than half
        known = small[..., 3:] > (most // 2 if sampler.fixed_size else most - 1)
        small = np.where(known, small, small.dtype.type(0))
        small[..., 3] = np.where(known[..., 0], most, 0)
        multiple = 1 if sampler.fixed_size else sampler.multiple
        padded = tiling.pad_symmetric(to_float(small[None]), multiple)
        made = np.asarray(sampler.restyle(padded, np.zeros((1, 0), np.float32)))
        drawn = quantized((made[0, : size[0], : size[1], :3] + 1) / 2, colors.dtype)
        return geometry.fit(drawn, (height, width), "stretch")


def with_noise(sampler: Sampler, seed: int) -> Sampler:
    """The same with other noise than its own in each layer."""
    mutable = sampler.ema["mutable"]["g"]
    leaves, tree = jax.tree.flatten(mutable["noise"])
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    drawn = [jax.random.normal(key, x.shape) for key, x in zip(keys, leaves, strict=True)]
    noise = {"noise": jax.tree.unflatten(tree, drawn)}
    ema = sampler.ema | {"mutable": sampler.ema["mutable"] | {"g": mutable | noise}}
    return dataclasses.replace(sampler, ema=ema)


def shown(picture: Picture) -> Picture:
    """The colors [H, W, 3] of a picture, those of clear pixels the nearest others'."""
    return visible(picture) if picture.shape[-1] == 4 else in_channels(picture, 3)


def joined(
    picture: Picture,
    made: Picture,
    missing: Mask,
    feather: int,
    *,
    keeps_alpha: bool,
) -> np.ndarray:
    """The picture with what was made, [H, W, 3], in its place where it is missing, blended over
    `feather` pixels around; [H, W, as it has, or 3 where its alpha is not kept]."""
    soft, channels = softened(missing, feather)[..., None], min(picture.shape[-1], 3)
    mixed = np.rint(soft * made + (1 - soft) * shown(picture)).astype(picture.dtype)
    blended = in_channels(mixed, channels)
    found = np.where(soft > 0, blended, picture[..., :channels])
    keeps = keeps_alpha and picture.shape[-1] == 4
    return np.concatenate([found, picture[..., 3:]], -1) if keeps else found


def windows(missing: Mask, least: int = 0) -> list[tuple[slice, slice]]:
    """Parts of the picture, (rows, columns), that hold all that is missing, each with what lies
    around it; parts that overlap are one.

    least: pixels. Where it is not 0, a hole's part is square and of such sides at least, as far as
        the picture goes.
    """
    labels, _ = ndimage.label(missing, np.ones((3, 3), bool))
    boxes = []
    for hole in ndimage.find_objects(labels):
        longer = max(map(_length, hole))
        around = max(LEAST_AROUND, round(AROUND * longer))
        side = max(least, longer + 2 * around) if least else 0
        spans = zip(hole, missing.shape, strict=True)
        boxes.append([_span(s, around, side, size) for s, size in spans])
    merged: list = []
    while boxes:
        box = boxes.pop()
        near = [other for other in (*boxes, *merged) if _overlap(box, other)]
        if not near:
            merged.append(box)
            continue
        for other in near:
            (boxes if other in boxes else merged).remove(other)
        ends = [list(zip(*side, strict=True)) for side in zip(box, *near, strict=True)]
        boxes.append([(min(starts), max(stops)) for starts, stops in ends])
    return [tuple(slice(*side) for side in box) for box in sorted(merged)]


def _span(hole: slice, around: int, side: int, size: int) -> tuple[int, int]:
    """Where a hole's part of the picture begins and ends along an axis of `size`: with so much
    around it, or `side` long."""
    if not side:
        return max(0, hole.start - around), min(size, hole.stop + around)
    start = max(0, min(size - side, (hole.start + hole.stop - side) // 2))
    return start, min(size, start + side)


def _length(part: slice) -> int:
    return part.stop - part.start


def _overlap(a, b) -> bool:
    return all(x[0] < y[1] and y[0] < x[1] for x, y in zip(a, b, strict=True))


def softened(missing: Mask, feather: int) -> np.ndarray:
    """f32 [H, W]: 1 in holes, falling to 0 over `feather` pixels around them."""
    if not feather:
        return missing.astype(np.float32)
    away = ndimage.distance_transform_edt(~missing)
    return np.clip(1 - away / (feather + 1), 0, 1).astype(np.float32)


def sheet(holes: Holes, candidates: int = 1) -> Sheet:
    """How a contact sheet shows a picture and its results: with its holes on a checkered ground,
    and filled."""

    def cells(pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
        before, *after = pictures
        missing = holes.of(before)
        y, x = np.indices(missing.shape) // CHECKS
        ground = np.where((y + x) % 2, 200, 245).astype(np.uint8)[..., None]
        torn = np.where(missing[..., None], ground, as_rgb(before))
        scale = min(1, CELL / max(missing.shape))
        size = tuple(max(1, round(n * scale)) for n in missing.shape)
        return [geometry.fit(p, size, "stretch") for p in (torn, *map(as_rgb, after))]

    names = ("filled",) if candidates == 1 else map(str, range(1, candidates + 1))
    return Sheet(cells, ("to be filled", *names), of_one=True)
