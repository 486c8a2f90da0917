"""A picture, a folder or a video in a style: python tools/stylize.py runs/starganv2 me.jpg --out
styled --style dylan.

Without --style every style the checkpoint knows is drawn, and a picture's or a folder's results
stand side by side on one contact sheet, the first column the pictures as they were. A video keeps
its sound and its timing (needs the package av). Ctrl-C leaves what is done playable, and the same
command goes on from there.
"""

import argparse
import collections
import contextlib
import functools
import math
import pathlib
import sys
import time

from gan_jax.runtime import cli
from gan_jax.runtime.text import file_name, shown

FRAMES = 8  # of a video, translated together, where they have no more pixels than one tile
SHEET_SIDE = 256  # of a picture on the contact sheet, at most
NO_FACE = 3  # exit status
SHEET_ROWS = 50  # of the contact sheet, the first so many pictures


def main() -> None:
    parser = cli.Parser(__doc__)
    parser.add_argument(
        "checkpoint",
        help=(
            "a run's workdir (its newest valid checkpoint), one step's folder, or what"
            " tools/export.py wrote"
        ),
    )
    parser.add_argument("input", type=pathlib.Path, help="an image, a folder of images, or a video")
    parser.add_argument(
        "--out",
        required=True,
        type=pathlib.Path,
        help="folder for NAME_STYLE.png or .mp4, and sheet/sheet.png",
    )
    parser.add_argument(
        "--style",
        action="append",
        default=[],
        metavar="NAME",
        help="may be repeated (default: all)",
    )
    parser.add_argument(
        "--reference",
        type=pathlib.Path,
        metavar="IMAGE",
        help="take the style of this picture, which is of --style",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="another seed, another variant of a style (default %(default)s)",
    )
    parser.add_argument(
        "--strength",
        type=float,
        default=1.0,
        help="0 as it was, 1 in full style (default %(default)s)",
    )
    parser.add_argument(
        "--side",
        type=int,
        metavar="N",
        help="first make the shorter side N pixels (default: as it is)",
    )
    parser.add_argument(
        "--tile",
        type=int,
        default=1024,
        help="larger pictures go in tiles of this side (default %(default)s)",
    )
    parser.add_argument(
        "--overlap",
        type=int,
        default=64,
        help="pixels that neighbouring tiles share (default %(default)s)",
    )
    parser.add_argument(
        "--faces",
        action="store_true",
        help=(
            "style each face by itself, upright, and put it back; leave the rest (exit status"
            f" {NO_FACE}: no face at all)"
        ),
    )
    cli.trusts_code(parser)
    flags = parser.parse_args()
    if flags.side is not None and not 1 <= flags.side <= 8192:
        raise ValueError(f"--side={flags.side}: it must be 1 to 8192 pixels.")
    if not flags.input.exists():
        raise ValueError(f"{flags.input}: no such file or folder.")
    if flags.reference is not None and len(flags.style) != 1:
        raise ValueError("--reference: say by --style, once, which style the picture is of.")

    from gan_jax.inference import export
    from gan_jax.inference.stylize import Stylizer

    sampler = export.load_translator(flags.checkpoint, flags.trust_code)
    clip = None if flags.input.is_dir() else clip_in(flags.input)
    stylizer = Stylizer(
        sampler,
        strength=flags.strength,
        tile=flags.tile,
        overlap=flags.overlap,
        buckets=clip is None or flags.faces,
    )
    if flags.reference is not None:
        looks = [stylizer.look_of(_reference(flags.reference), flags.style[0])]
    else:
        looks = stylizer.looks(list(dict.fromkeys(flags.style)), flags.seed)
    if flags.faces:
        stylizer = Faces(stylizer)
    flags.out.mkdir(parents=True, exist_ok=True)
    if clip is not None:
        for line in clip.notes():
            print(f"{clip.path}: {line}")
        made = films(stylizer, clip, looks, flags)
    else:
        made = pictures(stylizer, looks, flags)
    if not made:  # of --faces
        print(f"{flags.input}: no face found; without --faces all of it is styled")
        sys.exit(NO_FACE)


def clip_in(path: pathlib.Path):
    """The video that a file holds, whatever it is called; None where it is a picture.

    Raises:
        ValueError: it is neither.
    """
    from gan_jax.data import clips, image_file
    from gan_jax.data.quarantine import ImageRejected

    try:
        image_file.header(path)
        return None
    except ImageRejected as reason:
        try:
            return clips.open_clip(path)
        except ValueError as error:
            if path.suffix.lower() in image_file.SUFFIXES:
                raise ValueError(f"{path}: {reason}.") from error
            raise


class Faces:
    """A stylizer of the faces in pictures, each cut out at the size the network was trained at."""

    def __init__(self, whole):
        self.whole, self.sampler = whole, whole.sampler
        self.found = self.total = 0  # faces in the last pictures, and in all

    def __call__(self, pictures, look):
        import numpy as np

        from gan_jax.data import faces

        size = max(self.sampler.shape[:2])
        done = [
            faces.restyled(picture, lambda x: self.whole(x, look), size) for picture in pictures
        ]
        self.found = sum(count for _, count in done)
        self.total += self.found
        return np.stack([picture for picture, _ in done])


def pictures(stylizer, looks, flags: argparse.Namespace) -> bool:
    """Every image in every look as a PNG, or as the animation it is; with several of either,
    sheet/sheet.png.

    Whether any was made.
    """
    from gan_jax.data import decode, lettering
    from gan_jax.data.images import save_png, save_sheet
    from gan_jax.data.quarantine import ImageRejected, Quarantine, Remarks
    from gan_jax.data.sources import folder
    from gan_jax.inference import video_file

    files, passed = (
        folder.scan(flags.input) if flags.input.is_dir() else ([flags.input], collections.Counter())
    )
    for line in folder.passed_over(passed):
        print(line)
    if flags.input.is_dir() and not flags.out.samefile(
        flags.input
    ):  # what an earlier run made is no input
        files = [
            file for file in files if not file.resolve().is_relative_to(flags.out.resolve())
        ] or files
    originals = {_identity(file) for file in files}
    stems = collections.Counter(file.with_suffix("") for file in files)
    quarantine, remarks, rows, made, began = (
        Quarantine(),
        Remarks(),
        [],
        set(),
        time.monotonic(),
    )
    for number, file in enumerate(files):
        name = (
            file.relative_to(flags.input).with_suffix("")
            if flags.input.is_dir()
            else pathlib.Path(file.stem)
        )
        if stems[file.with_suffix("")] > 1:  # x.png beside x.jpg
            name = name.with_name(f"{name.name}_{file.suffix[1:]}")
        try:
            moving = decode.animation(file)
            if moving:
                frames = functools.partial(decode.frames, file)
            else:
                still = decode.decode(
                    file, channels=None, remark=functools.partial(remarks.add, file.name)
                )
                frames = lambda still=still: [(still, 0)]
            row = [_resized(next(iter(frames()))[0], flags.side)]
            for look in looks:
                out = flags.out / name.with_name(
                    _named(
                        name.name,
                        look,
                        video_file.ANIMATIONS[moving.format] if moving else ".png",
                        stylizer,
                    )
                )
                keep_original(out, originals)
                styled, faces = [], 0
                for picture, time_shown in frames():
                    styled.append(
                        (stylizer(_resized(picture, flags.side)[None], look)[0], time_shown)
                    )
                    faces += flags.faces and stylizer.found
                if flags.faces and not faces:
                    print(f"{shown(str(file))}: no face found, nothing is made of it")
                    break
                row.append(styled[0][0])
                if moving:
                    out.parent.mkdir(parents=True, exist_ok=True)
                    video_file.write_animation(out, styled, moving.format, moving.loop)
                else:
                    save_png(out, row[-1])
                made.add(out)
            else:
                if len(rows) < SHEET_ROWS:
                    rows.append([_small(x) for x in row])
        except ImageRejected as reason:
            if not flags.input.is_dir():
                raise ValueError(f"{file}: {reason}.") from reason
            quarantine.add(file.relative_to(flags.input).as_posix(), reason)
        if len(files) > 1:
            rate = (number + 1) / (time.monotonic() - began)
            print(
                f"\r{number + 1}/{len(files)} pictures, {rate:.1f} pictures/s", end="", flush=True
            )
    if len(files) > 1:
        print()
    for line in (*quarantine.lines(), *remarks.lines()):
        print(line)
    if len(quarantine) == len(files):
        raise ValueError(f"{flags.input}: none of its {len(files)} images can be read.")
    faceless = len(files) - len(quarantine) - len(made) // len(looks)
    if faceless:
        print(f"no face in {faceless} of {len(files) - len(quarantine)} pictures")
    if not made:
        return False
    if len(rows) > 1 or len(looks) > 1:
        labels, said = lettering.labels(["", *(look.name for look in looks)])
        place = save_sheet(flags.out, "sheet.png", lettering.sheet(rows, labels))
        for line in said:
            print(f"{place}: {line}")
        if len(made) > len(rows) * len(looks):
            print(f"{place} has the first {len(rows)} pictures")
    print(
        f"{len(made)} picture{'s' if len(made) > 1 else ''} in {flags.out}, by"
        f" {stylizer.sampler.step}"
    )
    return True


def keep_original(out: pathlib.Path, originals: set[tuple[int, int]]) -> None:
    """Raises ValueError where a result would take the place of a picture or clip that went in."""
    if out.exists() and _identity(out) in originals:
        raise ValueError(
            f"--out={out.parent}: {out.name} there is one of those that go in, and would be lost."
            " Give another folder."
        )


def films(stylizer, clip, looks, flags: argparse.Namespace) -> bool:
    """The clip in every look, as MP4. Whether any was made."""
    from gan_jax.runtime import workdir

    outs = [flags.out / _named(clip.path.stem, look, ".mp4", stylizer) for look in looks]
    with contextlib.ExitStack() as held:
        for out in outs:
            keep_original(out, {_identity(clip.path)})
            held.enter_context(workdir.making(out))
        whole = []
        for look, out in zip(looks, outs, strict=True):
            parts = film(stylizer, clip, look, out, flags)
            if parts is None:
                return False
            whole.append(parts)
        for parts in (
            whole
        ):  # not before the last is made: the same command passes over those that are whole
            parts.forget()
    return True


def film(stylizer, clip, look, out: pathlib.Path, flags: argparse.Namespace):
    """The clip in one look, as MP4: the video_parts.Parts it was made of, or None where `--faces`
    finds none."""
    import numpy as np

    from gan_jax.data import clips
    from gan_jax.inference import video_parts
    from gan_jax.metrics import flicker

    frames_made = 0
    if flags.faces:
        stylizer.total = 0
    parts = video_parts.Parts(out, clip, _job(stylizer.sampler.step, clip, look, flags))
    if parts.whole:
        print(f"{out}: made before")
        return parts
    done = parts.done
    if done:
        print(f"{out}: going on after frame {done}")
    if parts.dropped:
        print(
            f"{out}: beginning anew, for {parts.dropped} frames were made by another checkpoint,"
            " style or setting"
        )
    began, number, waiting, changes = time.monotonic(), 0, [], flicker.Changes()
    together = (
        1
        if flags.faces
        else max(1, min(FRAMES, flags.tile**2 // math.prod(_fitted(clip.size, flags.side))))
    )

    def flush():
        nonlocal frames_made
        if waiting:
            frames_made += len(waiting)
            frames = np.stack([_resized(frame, flags.side) for frame, _ in waiting])
            styled = stylizer(frames, look)
            if flags.faces and stylizer.found:
                parts.mark()
            for before, after, (_, at) in zip(frames, styled, waiting, strict=True):
                parts.add(after, at)
                changes.add(before, after)
            waiting.clear()

    stopped, faults = None, clips.Faults()
    try:
        for number, (frame, at) in enumerate(clip.frames(faults), 1):
            if number <= done:
                continue
            waiting.append((frame, at))
            if len(waiting) == together:
                flush()
                rate = (number - done) / (time.monotonic() - began)
                left = f", {(clip.count - number) / rate:.0f} s left" if clip.count > number else ""
                print(
                    f"\r{number}/{clip.count or '?'} frames, {rate:.1f} frames/s{left}   ",
                    end="",
                    flush=True,
                )
        flush()
    except KeyboardInterrupt as signal:
        stopped = signal
    except OSError:  # of the disk: it may refuse what would be written now
        print(
            f"\n{out}: {parts.done} frames are kept; once that is mended, the same command goes on"
            " after them"
        )
        raise
    except (RuntimeError, ValueError):
        parts.finish_part()
        print(f"\n{out}: {parts.done} frames are kept")
        raise
    print()
    for line in faults.lines():
        print(f"{clip.path}: {line}")
    parts.finish_part()
    if stopped and not parts.done:
        raise stopped
    if flags.faces and not parts.marked:
        if stopped:
            print(
                f"{out}: no face in the first {parts.done} frames; the same command goes on after"
                " them"
            )
            raise stopped
        parts.forget()
        return None
    silent = parts.join(whole=not stopped)
    if silent:
        print(f"{out}: the sound ends early, for it can't be read on ({silent})")
    so_far = ", up to where it was stopped; the same command goes on" if stopped else ""
    print(f"{parts.done if stopped else number} frames in {out}{so_far}")
    if flags.faces:
        print(f"{stylizer.total} faces in {frames_made} frames")
    _say_changes(changes.values())
    if stopped:
        raise stopped
    return parts


def _say_changes(found: dict[str, float]) -> None:
    """How much a film changes from frame to frame, as flicker.Changes has it; nothing where it has
    nothing."""
    if found:
        still = (
            f"; {found['still']:.2f} where that stands still"
            if math.isfinite(found["still"])
            else ""
        )
        both = f"{found['output']:.2f} of 255, the original by {found['input']:.2f}"
        print(f"from frame to frame it changes by {both}{still}")


def _job(step: pathlib.Path, clip, look, flags: argparse.Namespace) -> dict:
    """All that decides a video's pictures."""
    stat = clip.path.stat()
    return {
        "input": [str(clip.path.resolve()), stat.st_size, stat.st_mtime_ns],
        "step": str(step.resolve()),
        "weights": max(file.stat().st_mtime_ns for file in step.iterdir()),
        "style": [float(x) for x in look.style],
    } | {name: vars(flags)[name] for name in ("strength", "side", "tile", "overlap", "faces")}


def _named(stem: str, look, ending: str, stylizer) -> str:
    """A result's file name."""
    if not look.name:
        return file_name(stem, ending)
    return file_name(
        f"{stem}_{look.name}", ending, [f"{stem}_{name}" for name in stylizer.sampler.classes]
    )


def _identity(file: pathlib.Path) -> tuple[int, int]:
    """What two paths of one file share."""
    return (stat := file.stat()).st_dev, stat.st_ino


def _reference(file: pathlib.Path):
    """The picture whose style is taken."""
    from gan_jax.data import decode
    from gan_jax.data.quarantine import ImageRejected

    try:
        return decode.decode(
            file, channels=None, remark=lambda words: print(f"{file}: with {words}")
        )
    except ImageRejected as reason:
        raise ValueError(f"--reference={file}: {reason}.") from reason


def _resized(picture, side: int | None):
    """uint8 [H, W, C] with a shorter side of `side`."""
    from gan_jax.data import geometry

    return (
        picture
        if side is None
        else geometry.fit(picture, _fitted(picture.shape[:2], side), "stretch")
    )


def _fitted(size: tuple[int, int], side: int | None) -> tuple[int, int]:
    """(H, W) with a shorter side of `side`."""
    scale = 1 if side is None else side / min(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _small(picture):
    """For the sheet: a longer side of SHEET_SIDE at most."""
    from gan_jax.data import geometry

    h, w = picture.shape[:2]
    scale = min(1, SHEET_SIDE / max(h, w))
    return geometry.fit(picture, (max(1, round(h * scale)), max(1, round(w * scale))), "stretch")


if __name__ == "__main__":
    cli.tool(main)
