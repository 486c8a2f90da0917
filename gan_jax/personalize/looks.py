"""A drawing, or a few -> a base that draws everybody in their look: read, inverted, taught, looked
at, and written as a shared model, which is used as any base is."""

import dataclasses
import pathlib
import tempfile
from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np

import gan_jax
from gan_jax import checkpoint
from gan_jax.checkpoint import shared
from gan_jax.data import generated
from gan_jax.data.images import as_rgb, grid, save_sheet, to_uint8
from gan_jax.inference import loading, share
from gan_jax.nn import alpha
from gan_jax.personalize import encoder as encoders
from gan_jax.personalize.base import Base
from gan_jax.personalize.inversion import Inversion
from gan_jax.personalize.one_shot import OneShot
from gan_jax.personalize.pictures import Pictures
from gan_jax.runtime.files import replace_text
from gan_jax.runtime.text import shown
from gan_jax.state import PyTree

SHOWN = 10  # samples on the sheet, of seeds 0, 1, ...
CELL = 128  # pixels a side, about, of a picture on the sheet
LOOK = 25  # steps between two lines of progress


def make(
    one_shot: OneShot,
    pictures: Pictures,
    out: pathlib.Path,
    *,
    inversion_steps: int = 200,
    seed: int = 0,
    log: Callable[[str], None] = print,
) -> Base:
    """Teaches the look of `pictures` to the base and writes the folder `out`: a shared model, and
    sheet/look.png (references, what the base draws of their codes, and the same once taught; below,
    samples before and after). Returns the new base.

    Args:
        inversion_steps: of the inversion to a style for each layer, at most.
        log: takes lines of progress and of what was found.
    Raises:
        ValueError: as check_place.
    """
    base = one_shot.base
    check_place(out, base)
    parts = weights_of(base)
    for line in pictures.notes:
        log(line)
    n = len(pictures)
    log(f"{n} drawing{'s' if n > 1 else ''}; inverting to w+ on {base.sampler.step}")

    def of_inversion(step, near):
        log(f"  step {step}/{inversion_steps}: LPIPS {near.mean():.3f}")

    encoder = encoders.of(base)
    begin = None if encoder is None else encoder(pictures.values)
    search = Inversion(base, "w+", inversion_steps)
    found = search(pictures.values, seed=seed, begin=begin, log=of_inversion)
    random = ", ".join(str(k) for k in np.flatnonzero(one_shot.mask))
    log(f"teaching the look; of layers 0 to {base.layers - 1} random: {random}")

    def of_teaching(step, near):
        if step % LOOK == 0:
            log(f"  step {step}/{one_shot.steps}: LPIPS {near:.3f}")

    taught = one_shot(pictures.values, found.ws, seed=seed, log=of_teaching)
    log(
        f"LPIPS of mixed codes to the drawing: {taught.start.mean():.3f} before,"
        f" {taught.distance.mean():.3f} after ({taught.net.split()[0]})"
    )
    made = write(out, base, taught.params, page(one_shot, pictures), parts)
    file = sheet(out, one_shot, pictures, found.ws, taught.params)
    log(f"{out}: {(out / shared.WEIGHTS).stat().st_size / 1e6:.2f} MB; pictures in {file}")
    return made


def check_place(out: pathlib.Path, base: Base) -> None:
    """Raises ValueError where a look can't be written: another thing than a shared model stands
    there, or the base itself."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out={out}: it is no folder.")
    own = shared.is_shared(out) and not (out / "checkpoints").exists()
    if out.exists() and not own and any(out.iterdir()):
        raise ValueError(f"--out={out}: it holds other files. Give a new folder.")
    if out.resolve() == base.sampler.step.resolve():
        raise ValueError(f"--out={out}: it is the base itself. Give a new folder.")


def weights_of(base: Base) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict]:
    """(leaves, unused leaves, meta) of a base, as shared.write takes them. Raises ValueError where
    the base can't be shared."""
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place) / "base"
        share.share(base.sampler, folder)
        leaves, meta = shared.read(folder, ("ema/",))
    unused = {name: leaves.pop(name) for name in meta["unused"]}
    return leaves, unused, meta


def write(
    out: pathlib.Path,
    base: Base,
    params: PyTree,
    words: str,
    parts: tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray], Mapping],
) -> Base:
    """Writes the base with other weights of its generator as a shared model, without critic;
    returns it as a base.

    Args:
        words: for its page.
        parts: weights_of(base).
    """
    leaves, unused, meta = parts
    own = checkpoint.named({"ema": {"params": {"g": params}}})
    leaves = {name: np.asarray(own.get(name, x)) for name, x in leaves.items()}
    shared.write(out, leaves, unused, meta)
    made = loading.load_sampler(out)
    ema = base.ema | {"params": base.ema["params"] | {"g": params}}
    found = {
        "bytes": (out / shared.WEIGHTS).stat().st_size,
        "rounding": share.difference(dataclasses.replace(base.sampler, ema=ema), made),
        "critic": 0,
    }
    count = sum(x.size for x in leaves.values())
    replace_text(out / shared.CARD, share.card(made, out.name, words, dict(meta) | found, count))
    return Base(made)


def page(one_shot: OneShot, pictures: Pictures) -> str:
    """What a look's page says of how it was made."""
    base = one_shot.base
    layers = ", ".join(map(str, np.flatnonzero(one_shot.mask)))
    lines = [
        f"The look of {len(pictures)} drawing{'s' if len(pictures) > 1 else ''}, taught to"
        f" {base.name} (SHA-256 {base.sha256}). Images and steps below are that base's.",
        "",
        f"**Command.** `gan-jax look`, {one_shot.steps} steps, learning rate {one_shot.lr:g},"
        f" random layers {layers} of {base.layers}, strength {one_shot.strength:g}"
        f"{', colors kept' if one_shot.keep_colors else ''}.",
        "",
        "**Drawings**, whose licenses and the base's hold for what it draws:",
        "",
    ]
    for name, digest in zip(pictures.names, pictures.hashes, strict=True):
        lines.append(f"* `{shown(name)}` (SHA-256 {digest})")
    return "\n".join(lines)


def sheet(
    out: pathlib.Path, one_shot: OneShot, pictures: Pictures, ws: np.ndarray, params: PyTree
) -> pathlib.Path:
    """Writes out/sheet/look.png: in the first row each reference, what the base draws of its code
    and what it draws once taught; then samples before and after, a column a class where there are
    any. Returns the file."""
    base = one_shot.base
    classes = len(base.sampler.classes)
    y = np.arange(SHOWN, dtype=np.int32) % max(classes, 1)
    z = base.sampler.latents(range(SHOWN))
    new = np.asarray(base.repeat(base.map(z, y if classes else None)))
    few = ws[: SHOWN // 3]
    before, after = (_cells(base, np.concatenate([few, new]), x) for x in (base.params, params))
    straight = to_uint8(np.asarray(alpha.straight(jnp.asarray(pictures.values[: len(few)]))))
    own = np.stack([as_rgb(_enlarged(x)) for x in straight])
    first = np.stack([own, before[: len(few)], after[: len(few)]], 1).reshape(-1, *own.shape[1:])
    white = np.full((SHOWN - len(first), *own.shape[1:]), 255, np.uint8)
    rows = np.concatenate([first, white, before[len(few) :], after[len(few) :]])
    mark = generated.xmp(f"gan_jax {gan_jax.__version__}")
    return save_sheet(out, "look.png", grid(rows, SHOWN), mark)


def _cells(base: Base, ws: np.ndarray, params: PyTree) -> np.ndarray:
    """Pictures for the sheet, uint8 [n, h, w, 3], over white."""
    times = _times(base.shape[0])
    if base.draws_colors and times > 1:
        return np.stack([as_rgb(x) for x in base.large(ws, times, params)])
    return np.stack([as_rgb(_enlarged(x)) for x in base.pictures(ws, params)])


def _enlarged(picture: np.ndarray) -> np.ndarray:
    """uint8 [H, W, C], each pixel as a square, CELL pixels a side or about."""
    times = _times(len(picture))
    return picture.repeat(times, 0).repeat(times, 1)


def _times(side: int) -> int:
    return max(1, CELL // side)
