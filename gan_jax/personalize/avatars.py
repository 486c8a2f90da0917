"""A photograph or a drawing -> avatars of that person, one in each style of a translator."""

import collections
import math
import pathlib
from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np

import gan_jax
from gan_jax import models
from gan_jax.data import decode, faces, generated, geometry
from gan_jax.data.images import as_rgb, grid, save_png, save_sheet, to_float, to_uint8
from gan_jax.data.lettering import with_names
from gan_jax.data.quarantine import ImageRejected
from gan_jax.inference import loading
from gan_jax.inference.sampler import Sampler
from gan_jax.runtime.text import file_name, shown

WIDER, UP = 1.1, 0.06  # times the face's square, and how much higher: hair belongs to an avatar
SHOWN = 128  # pixels of a picture on the sheet


def load(model: str, side: int, trusted: Sequence[str] = ()) -> Sampler:
    """A translator into several styles, drawing at `side` pixels or a little more where it draws in
    a palette.

    Raises:
        ValueError: as loading.load_sampler; or it has one style only.
    """
    sampler = loading.load_sampler(model, command="stylize", trusted=trusted)
    if not sampler.classes:
        raise ValueError(f"{model}: it has one style; use gan-jax stylize.")
    how = models.traits(sampler.game.g)
    if how.palette and "times" in how.sampling_settings:
        times = math.ceil(side / min(sampler.shape[:2]))
        return loading.load_sampler(
            model, command="stylize", trusted=trusted, overrides=[f"g.times={times}"]
        )
    return sampler


def make(
    sampler: Sampler,
    files: Sequence[pathlib.Path],
    out: pathlib.Path,
    *,
    styles: Sequence[str] = (),
    side: int = 256,
    face: int = 1,
    seed: int = 0,
    log: Callable[[str], None] = print,
) -> list[pathlib.Path]:
    """Writes NAME_STYLE.png to `out` for each picture and style, and sheet/avatars.png; returns the
    files.

    The square around the face is taken, upright, where a detector is installed and finds one, else
    the middle square of the picture.

    Args:
        styles: names; none: all.
        side: pixels of the avatars.
        face: of several which, 1 the largest.
        seed: another seed, another variant of each style.
    Raises:
        ValueError: no such style or face, or no picture could be read; two avatars would have one
            name, or the name of a file that is not generated.
    """
    labels = [sampler.label(name, "--style") for name in styles] or range(len(sampler.classes))
    names = [sampler.classes[label] for label in labels]
    places = {
        file: {name: out / file_name(f"{file.stem}_{name}", ".png", []) for name in names}
        for file in files
    }
    check_places(out, [place for each in places.values() for place in each.values()])
    if face > 1 and not faces.installed():
        raise ValueError(f"--face={face}: no faces are found without a detector: {faces.INSTALL}")
    if not faces.installed():
        log(f"the middle square of each picture is taken; to find faces: {faces.INSTALL}")
    mark, made, rows = generated.xmp(f"gan_jax {gan_jax.__version__}"), [], []
    wanted = sampler.styles_from_noise(seed, np.asarray(labels, np.int32), len(names))
    for file in files:

        def say(line, file=file):
            log(f"{shown(str(file))}: {line}")

        try:
            picture = as_rgb(decode.decode(file, channels=None, remark=say))
        except ImageRejected as reason:
            say(f"left out, {reason}")
            continue
        try:
            square = _square(picture, face, sampler.shape[:2], say)
        except ValueError as error:
            raise ValueError(f"{shown(str(file))}: {error}") from error
        x = jnp.asarray(to_float(square)[None])
        # one by one, for at 1024 pixels the colors' shares of one take a gigabyte
        drawn = [to_uint8(sampler.restyle(x, style[None]))[0] for style in wanted]
        avatars = [geometry.fit(each, (side, side), "stretch") for each in drawn]
        for name, avatar in zip(names, avatars, strict=True):
            made.append(places[file][name])
            save_png(made[-1], avatar, mark)
        cells = [geometry.fit(each, (SHOWN, SHOWN), "stretch") for each in (square, *avatars)]
        rows.append(with_names(grid(np.stack(cells), len(cells)), [shown(file.stem), *names]))
    if not made:
        raise ValueError(f"{', '.join(map(str, files))}: no picture could be read.")
    place = save_sheet(out, "avatars.png", np.concatenate(rows), mark)
    log(f"{len(made)} avatars in {out}, all of them on {place}")
    return made


def check_places(out: pathlib.Path, places: Sequence[pathlib.Path]) -> None:
    """Raises ValueError where two avatars would have one name, or that of another file."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out={out}: it is no folder.")
    twice = [place.name for place, n in collections.Counter(places).items() if n > 1]
    if twice:
        raise ValueError(f"two of the pictures would become {twice[0]}: give each its own name.")
    for place in places:
        if place.exists() and generated.KIND.encode() not in place.read_bytes():
            raise ValueError(f"{place}: it is there, and no avatar. Give another --out.")


def _square(
    picture: np.ndarray, which: int, size: tuple[int, int], log: Callable[[str], None]
) -> np.ndarray:
    """What an avatar is drawn of, uint8 [*size, 3]."""
    found = faces.find(picture) if faces.installed() else []
    if not found and faces.installed():
        log("no face found, its middle square is taken")
    if not found:
        return geometry.fit(picture, size, "center")
    if which > len(found):
        raise ValueError(f"--face={which}: {len(found)} found.")
    if len(found) > 1:
        log(f"{len(found)} faces, of which number {which} by size is taken; --face takes another")
    face, (height, width) = found[which - 1], picture.shape[:2]
    side = min(WIDER * face.side, height, width)  # within the picture
    x = np.clip(face.x, side / 2, width - side / 2)
    y = np.clip(face.y - UP * face.side, side / 2, height - side / 2)
    return faces.cut_out(picture, face._replace(x=float(x), y=float(y), side=side), min(size))
