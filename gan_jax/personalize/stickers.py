"""Drawings with alpha -> sticker packs that messengers take: clean edges, an outline, sizes within
their limits, names, a manifest and a contact sheet."""

import dataclasses
import io
import json
import math
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageSequence
from PIL.PngImagePlugin import PngInfo
from scipy import ndimage

import gan_jax
from gan_jax.data import generated
from gan_jax.data.images import as_array, as_picture, composite, grid, save_sheet
from gan_jax.runtime import registry
from gan_jax.runtime.files import replace_bytes, replace_text

SIDE = 512  # pixels of a sticker, as both messengers want it
MARGIN = 16  # pixels around a sticker
OUTLINE = 8  # pixels of its white outline
BLEED = 8  # pixels that colors reach beyond the edge, where alpha is 0
FAINT = 8  # of 255: alpha below is 0
SPECK = 0.01  # share of the drawing's area, below which an island goes
GROUNDS = ((0, 0, 0), (255, 255, 255))  # of the contact sheet, beside checks
CHECK = 16  # pixels a side
MANIFEST, SHEET = "pack.json", "pack.png"


@dataclasses.dataclass(frozen=True)
class Messenger:
    """What a messenger takes.

    Attributes:
        format: of Pillow, of its stickers.
        most_bytes, animated_bytes: of a still and of an animated sticker.
        fewest, most: stickers a pack.
        tray: pixels and bytes of the pack's own icon, PNG; None: it has none.
        seconds: of an animation, at most.
        least_ms: how long a frame is shown at the least.
    """

    format: str
    most_bytes: int
    animated_bytes: int
    fewest: int
    most: int
    tray: tuple[int, int] | None
    seconds: float
    least_ms: int


MESSENGERS = {
    "whatsapp": Messenger("WEBP", 100 * 1024, 500 * 1024, 3, 30, (96, 50 * 1024), 10.0, 8),
    "telegram": Messenger("WEBP", 512 * 1024, 0, 1, 120, None, 0.0, 0),
}
"""By the developers' pages of both, 2025. Telegram's animated stickers are Lottie (TGS) or video
(WebM), which are not written here."""


def cleaned(drawing: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 4], alpha straight -> the same, fit for any ground: what is faint is clear,
    islands are gone, holes smaller than a speck closed, and colors reach a little beyond the edge,
    where programs that resize look for them.

    Raises:
        ValueError: nothing is left.
    """
    alpha = np.where(drawing[..., 3] < FAINT, 0, drawing[..., 3])
    parts, n = ndimage.label(alpha > 0)
    sizes = np.bincount(parts.ravel())[1:]
    if not n:
        raise ValueError("the drawing is all clear: there is nothing to make a sticker of.")
    kept = np.flatnonzero(sizes >= min(SPECK * sizes.sum(), sizes.max())) + 1
    alpha = np.where(np.isin(parts, kept), alpha, 0)
    holes, n = ndimage.label(alpha < 128)
    edge = np.unique(np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]]))
    small = np.flatnonzero(np.bincount(holes.ravel(), minlength=n + 1) < SPECK * sizes.sum())
    closed = np.isin(holes, np.setdiff1d(small, [0, *edge]))
    alpha = np.where(closed, 255, alpha)
    sure = (alpha >= 250) & ~closed
    sure = sure if sure.any() else alpha > 0
    far, nearest = ndimage.distance_transform_edt(~sure, return_indices=True)
    color = drawing[..., :3][tuple(nearest)]
    color = np.where((far <= BLEED)[..., None], color, 0)
    color = np.where(sure[..., None], drawing[..., :3], color)
    return np.concatenate([color, alpha[..., None]], 2).astype(np.uint8)


def box_of(drawings: Sequence[np.ndarray]) -> tuple[slice, slice]:
    """The rows and columns that any of some cleaned drawings uint8 [H, W, 4] reaches."""
    drawn = np.any([x[..., 3] > 0 for x in drawings], 0)
    rows, columns = (np.flatnonzero(drawn.any(axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def framed(
    drawing: np.ndarray,
    box: tuple[slice, slice] | None = None,
    side: int = SIDE,
    outline: int = OUTLINE,
    margin: int = MARGIN,
) -> np.ndarray:
    """A cleaned drawing uint8 [H, W, 4] -> [side, side, 4]: cut to what is drawn, brought to fill
    the square but for the margin, in its middle, with a white outline.

    Args:
        box: what is cut to; None: to `box_of` it. Of the frames of an animation all have one box.
        outline, margin: pixels; 0: none.
    """
    part = drawing[box_of([drawing]) if box is None else box]
    room = side - 2 * (margin + outline)
    scale = room / max(part.shape[:2])
    size = tuple(max(1, round(n * scale)) for n in part.shape[:2])
    values = part.astype(np.float32)
    values[..., :3] *= values[..., 3:] / 255  # premultiplied, so that resizing mixes what is seen
    bands = [
        np.asarray(Image.fromarray(values[..., k]).resize(size[::-1], Image.Resampling.LANCZOS))
        for k in range(4)
    ]
    values = np.stack(bands, -1)
    # the filter overshoots alike in color and alpha: divided first, clipped then
    color = np.clip(255 * values[..., :3] / np.maximum(values[..., 3:], 1), 0, 255)
    values[..., 3:] = np.clip(values[..., 3:], 0, 255)
    values[..., :3] = color * values[..., 3:] / 255
    whole = np.zeros((side, side, 4), np.float32)
    top, left = ((side - n) // 2 for n in size)
    whole[top : top + size[0], left : left + size[1]] = values
    if outline:
        far = ndimage.distance_transform_edt(whole[..., 3] < 128)
        behind = 255 * np.clip(outline + 0.5 - far, 0, 1)[..., None]
        clear = 1 - whole[..., 3:] / 255
        whole[..., :3] += behind * clear
        whole[..., 3:] += behind * clear
    alpha = whole[..., 3:]
    color = np.where(alpha > 0, 255 * whole[..., :3] / np.maximum(alpha, 1e-3), 0)
    made = np.concatenate([np.clip(color, 0, 255), np.clip(alpha, 0, 255)], 2)
    return cleaned(np.rint(made).astype(np.uint8))


def encoded(
    frames: Sequence[np.ndarray], messenger: Messenger, milliseconds: int = 0, maker: str = ""
) -> tuple[bytes, int]:
    """(WebP file of uint8 frames [512, 512, 4], its quality): the best quality that the limit
    holds.

    Raises:
        ValueError: none holds it; the messenger takes no animation, or one so long.
    """
    moving = len(frames) > 1
    limit = messenger.animated_bytes if moving else messenger.most_bytes
    if moving:
        if not limit:
            raise ValueError("this messenger takes no animated WebP stickers.")
        long = len(frames) * milliseconds / 1000
        if long > messenger.seconds or milliseconds < messenger.least_ms:
            raise ValueError(
                f"{len(frames)} frames of {milliseconds} ms: it takes {messenger.seconds:g} s at"
                f" most, and frames of {messenger.least_ms} ms or more."
            )
    pictures = [as_picture(frame) for frame in frames]
    for quality in (95, 90, 85, 80, 70, 60, 50, 40, 30, 20, 10):
        file = io.BytesIO()
        options = {"quality": quality, "method": 4, "exact": True, "xmp": generated.xmp(maker)}
        if moving:
            options |= {
                "save_all": True, "append_images": pictures[1:], "duration": milliseconds,
                "loop": 0,
            }  # fmt: skip
        pictures[0].save(file, "WEBP", **options)
        if file.tell() <= limit:
            return file.getvalue(), quality
    raise ValueError(
        f"{file.tell():,} bytes at the lowest quality, and {limit:,} are allowed: fewer frames, or"
        " a simpler drawing."
    )


def tray_icon(sticker: np.ndarray, side: int, most_bytes: int, maker: str = "") -> bytes:
    """A sticker as the pack's icon: PNG of side x side pixels, of fewer colors until the limit
    holds. Raises ValueError where none does."""
    small = framed(sticker, side=side, outline=0, margin=side // 32)
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", generated.xmp(maker).decode())
    for colors in (None, 256, 64, 16):
        picture = as_picture(small)
        if colors is not None:
            picture = picture.quantize(colors, Image.Quantize.FASTOCTREE)
        file = io.BytesIO()
        picture.save(file, "PNG", optimize=True, pnginfo=info)
        if file.tell() <= most_bytes:
            return file.getvalue()
    raise ValueError(f"the tray icon takes {file.tell():,} bytes, and {most_bytes:,} are allowed.")


@dataclasses.dataclass(frozen=True)
class Sticker:
    """One of a pack.

    Attributes:
        name: of its file.
        emoji: that stand for it, as messengers ask for.
        frames: uint8 [H, W, 4], alpha straight, of a still one.
        about: what it was drawn from, for the manifest.
    """

    name: str
    emoji: tuple[str, ...]
    frames: tuple[np.ndarray, ...]
    about: dict


def write_pack(
    stickers: Sequence[Sticker],
    out: pathlib.Path,
    messenger: str,
    about: dict,
    *,
    outline: int = OUTLINE,
    milliseconds: int = 60,
    log: Callable[[str], None] = print,
) -> list[pathlib.Path]:
    """Writes a pack to the folder `out`: a file a sticker, tray.png where the messenger has one,
    pack.json, and sheet/pack.png, where each stands on black, on white and on checks.

    Returns the stickers' files. Files are replaced; others in the folder stay.
    Raises:
        ValueError: too few or too many stickers for a pack, or one that no quality brings under the
            limit: names it.
    """
    kind = check_count(messenger, len(stickers))
    maker, made, rows, listed = f"gan_jax {gan_jax.__version__}", {}, [], []
    for sticker in stickers:
        try:
            clean = [cleaned(frame) for frame in sticker.frames]
            box = box_of(clean)
            frames = [framed(frame, box, outline=outline) for frame in clean]
            data, quality = encoded(frames, kind, milliseconds, maker)
        except ValueError as error:
            raise ValueError(f"{sticker.name}: {error}") from error
        file = out / f"{sticker.name}.webp"
        made[file] = data
        rows.append(frames[0])
        listed.append(
            {
                "file": file.name,
                "emoji": list(sticker.emoji),
                "bytes": len(data),
                "quality": quality,
                "frames": len(frames),
                **sticker.about,
            }
        )
    icon = out / "tray.png"
    if kind.tray is not None:
        made[icon] = tray_icon(rows[0], *kind.tray, maker)
    for file in files_of(out):  # of an earlier pack
        file.unlink(missing_ok=True)
    for file, data in made.items():
        replace_bytes(file, data)
    manifest = {"messenger": messenger, "generated": True, "made_by": maker, **about}
    text = json.dumps(manifest | {"stickers": listed}, indent=1, ensure_ascii=False)
    replace_text(out / MANIFEST, text + "\n")
    sheet = save_sheet(out, SHEET, contact_sheet(rows), generated.xmp(maker))
    sizes = [entry["bytes"] for entry in listed]
    log(
        f"{len(rows)} stickers in {out}, {min(sizes) / 1024:.0f} to {max(sizes) / 1024:.0f} KiB;"
        f" all of them on {sheet}"
    )
    return [file for file in made if file != icon]


def check_count(messenger: str, count: int) -> Messenger:
    """A messenger. Raises ValueError where there is none of that name, or its packs have not so
    many stickers."""
    kind = registry.choose(MESSENGERS, messenger, "messenger")
    if not kind.fewest <= count <= kind.most:
        raise ValueError(
            f"{count} stickers: a pack of {messenger} has {kind.fewest} to {kind.most}."
        )
    return kind


def files_of(pack: pathlib.Path) -> list[pathlib.Path]:
    """The files that `write_pack` wrote to a folder, by its manifest; those that are there. Raises
    ValueError where the manifest is not as it writes it."""
    if not (pack / MANIFEST).is_file():
        return []
    try:
        listed = json.loads((pack / MANIFEST).read_text("utf-8"))["stickers"]
        names = [pathlib.Path(entry["file"]).name for entry in listed]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{pack / MANIFEST} is not as `gan-jax stickers` writes it.") from error
    found = [pack / name for name in (*names, "tray.png", MANIFEST)]
    found += [folder / SHEET for folder in pack.glob("sheet*")]
    return [file for file in found if file.is_file()]


def contact_sheet(stickers: Sequence[np.ndarray], side: int = 128, cols: int = 4) -> np.ndarray:
    """uint8 [512, 512, 4] each -> one picture: every sticker on black, on white and on checks."""
    rows, columns = np.indices((side, side)) // CHECK
    board = np.where(((rows + columns) % 2)[..., None], 204, 255).astype(np.uint8)
    cells = []
    for sticker in stickers:
        small = as_array(as_picture(sticker).resize((side, side), Image.Resampling.LANCZOS))
        alpha = small[..., 3:].astype(np.float32) / 255
        checked = np.rint(small[..., :3] * alpha + board * (1 - alpha)).astype(np.uint8)
        cells.append(np.concatenate([*(composite(small, g) for g in GROUNDS), checked], 1))
    return grid(np.stack(cells), min(cols, math.ceil(math.sqrt(len(cells)))))


def check_pack(folder: pathlib.Path) -> list[str]:
    """What a messenger would refuse of a pack, a line each; none: nothing.

    The files are looked at anew, by what the messengers' developers publish: format, size in pixels
    and in bytes, transparency, number of stickers, frames' times, the tray icon, emoji.
    """
    found = json.loads((folder / MANIFEST).read_text("utf-8"))
    name, wrong = found["messenger"], []
    kind, listed = MESSENGERS[name], found["stickers"]
    if not kind.fewest <= len(listed) <= kind.most:
        wrong.append(f"{len(listed)} stickers, not {kind.fewest} to {kind.most}")
    for entry in listed:
        file = folder / entry["file"]
        with Image.open(file) as picture:
            times = []
            for frame in ImageSequence.Iterator(picture):
                frame.load()  # which reads how long it is shown
                times.append(frame.info.get("duration", 0))
            limit = kind.animated_bytes if len(times) > 1 else kind.most_bytes
            if len(times) > 1 and min(times) < kind.least_ms:
                wrong.append(f"{file.name}: a frame of {min(times)} ms, below {kind.least_ms}")
            if len(times) > 1 and sum(times) > 1000 * kind.seconds:
                wrong.append(f"{file.name}: {sum(times) / 1000:g} s, over {kind.seconds:g}")
            picture.seek(0)
            if picture.format != kind.format:
                wrong.append(f"{file.name}: {picture.format}, not {kind.format}")
            if picture.size != (SIDE, SIDE):
                wrong.append(f"{file.name}: {picture.size}, not {SIDE} x {SIDE}")
            if file.stat().st_size > limit:
                wrong.append(f"{file.name}: {file.stat().st_size:,} bytes, over {limit:,}")
            alpha = np.asarray(picture.convert("RGBA"))[..., 3]
            if alpha.min() > 0:
                wrong.append(f"{file.name}: nothing of it is clear")
        if not 1 <= len(entry["emoji"]) <= (3 if name == "whatsapp" else 20):
            wrong.append(f"{file.name}: {len(entry['emoji'])} emoji")
    if kind.tray is not None:
        side, most = kind.tray
        with Image.open(folder / "tray.png") as picture:
            if picture.size != (side, side) or picture.format != "PNG":
                wrong.append(f"tray.png: {picture.format} {picture.size}")
        if (folder / "tray.png").stat().st_size > most:
            wrong.append("tray.png: too large")
    return wrong
