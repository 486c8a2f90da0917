"""Pictures, folders and videos in a style: gan-jax stylize runs/starganv2 me.jpg --out styled
--style dylan.

Without --style every style the checkpoint knows is drawn, and a picture's or a folder's results
stand side by side on one contact sheet, the first column the pictures as they were. A video keeps
its sound and its timing (needs the package av). Ctrl-C leaves what is done playable, and the same
command goes on from there.
"""

import argparse
import collections
import pathlib

from gan_jax.runtime import cli

NO_FACE = 3  # exit status
SETTINGS = ("strength", "side", "tile", "overlap", "faces")  # that decide a video's pictures


def main(argv: list[str] | None = None) -> int | None:
    flags = parse(argv)

    from gan_jax.inference import loading, stylize
    from gan_jax.inference.inputs import Inputs
    from gan_jax.inference.stylize_pictures import FaceStylizer, PictureJob
    from gan_jax.inference.stylize_video import VideoJob

    sampler = loading.load(flags.checkpoint, command="stylize", trusted=flags.trust_code)
    inputs = Inputs(flags.input)
    check_names(clip.path for clip in inputs.clips)
    sizes = {"strength": flags.strength, "tile": flags.tile, "overlap": flags.overlap}
    stylizer = stylize.Stylizer(sampler, **sizes)
    of_clips = stylize.Stylizer(sampler, **sizes, buckets=flags.faces)
    if flags.reference is not None:
        looks = [stylizer.look_of(reference(flags.reference), flags.style[0])]
    else:
        looks = stylizer.looks(list(dict.fromkeys(flags.style)), flags.seed)
    if flags.faces:
        stylizer, of_clips = map(FaceStylizer, (stylizer, of_clips))
    made = []
    if inputs.pictures:
        job = PictureJob(stylizer, looks, inputs.pictures, flags.out, flags.side)
        made.append(job.run())
        inputs.failed |= job.failed
    for clip in inputs.clips:
        with inputs.setting_aside(clip.path):
            for line in clip.notes():
                print(f"{clip.path}: {line}")
            settings = {name: vars(flags)[name] for name in SETTINGS}
            made.append(VideoJob(of_clips, looks, clip, flags.out, flags.side, settings).run())
    inputs.check()
    if any(made):
        return None
    given = ", ".join(map(str, flags.input))
    print(f"{given}: no face found; without --faces all of it is styled")
    return NO_FACE


def check_names(clips) -> None:
    """Raises ValueError where two videos would become one file."""
    for name, count in collections.Counter(path.stem for path in clips).items():
        if count > 1:
            raise ValueError(f"two of the videos are named {name}: give each its own name.")


def reference(file: pathlib.Path):
    """The picture whose style is taken, uint8 [H, W, C]."""
    from gan_jax.data import decode
    from gan_jax.data.quarantine import ImageRejected

    def remark(words):
        print(f"{file}: with {words}")

    try:
        return decode.decode(file, channels=None, remark=remark)
    except ImageRejected as reason:
        raise ValueError(f"--reference={file}: {reason}.") from reason


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__, "stylize")
    add, path = parser.add_argument, pathlib.Path
    add(
        "checkpoint",
        help="a run's workdir (its newest valid checkpoint), one step's folder, what gan-jax share"
        " or export wrote, or a name of gan-jax models",
    )
    add("input", type=path, nargs="+", help="images, folders of images, and videos")
    add("--out", required=True, type=path, help="folder for NAME_STYLE.png or .mp4, and sheet/")
    add("--style", action="append", default=[], metavar="NAME", help="may be repeated; default all")
    add(
        "--reference",
        type=path,
        metavar="IMAGE",
        help="take the style of this picture, which is of --style",
    )
    add("--seed", type=int, default=0, help="another seed, another variant of a style (default 0)")
    help = "0 as it was, 1 in full style; between, colors before contours (default 1)"
    add("--strength", type=float, default=1.0, help=help)
    add("--side", type=int, metavar="N", help="first make the shorter side N pixels")
    add(
        "--tile",
        type=int,
        default=1024,
        help="larger pictures go in tiles of this side (default 1024)",
    )
    add("--overlap", type=int, default=64, help="pixels that neighboring tiles share (default 64)")
    add(
        "--faces",
        action="store_true",
        help="style each face by itself, upright, and put it back; leave the rest (exit status"
        f" {NO_FACE}: no face at all)",
    )
    cli.trusts_code(parser)
    flags = parser.parse_args(argv)
    if flags.side is not None and not 1 <= flags.side <= 8192:
        raise ValueError(f"--side={flags.side}: it must be 1 to 8192 pixels.")
    if flags.reference is not None and len(flags.style) != 1:
        raise ValueError("--reference: say by --style, once, which style the picture is of.")
    return flags
