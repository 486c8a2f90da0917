"""Holes in pictures and videos filled: gan-jax inpaint photo.png --out whole.

What is filled is transparent in the picture, white in a mask (--mask), in a box (--box) or of a
color (--key). A sheet shows each picture with its holes and filled. Of a video the same place is
filled in every frame; Ctrl-C leaves what is done playable, and the same command goes on there.
"""

import argparse
import hashlib
import pathlib

from gan_jax.commands.restore import person_flags, redraw
from gan_jax.runtime import cli


def main(argv: list[str] | None = None) -> None:
    flags = parse(argv)

    import numpy as np

    from gan_jax.commands.stylize import check_names
    from gan_jax.inference import inpaint
    from gan_jax.inference.inputs import Inputs
    from gan_jax.inference.stylize_pictures import PictureJob
    from gan_jax.inference.stylize_video import VideoJob

    mask = None if flags.mask is None else read_mask(flags.mask)
    holes = inpaint.Holes(mask, tuple(flags.box), flags.key, flags.tolerance, flags.grow)
    if flags.person is not None:
        return redraw(flags, inpaint.sheet(holes), holes, feather=flags.feather)
    inputs = Inputs(flags.input)
    check_names(clip.path for clip in inputs.clips)
    sampler = inpaint.load(flags.model, flags.trust_code)
    inpainter = inpaint.Inpainter(sampler, holes, feather=flags.feather)
    looks = inpainter.candidates(flags.candidates)
    if inputs.clips and len(looks) > 1:
        raise ValueError(
            f"--candidates={flags.candidates}: of pictures, and {inputs.clips[0].path} is a video."
        )
    if inputs.pictures:
        sheet = inpaint.sheet(holes, len(looks))
        job = PictureJob(inpainter, looks, inputs.pictures, flags.out, sheet=sheet)
        job.run()
        inputs.failed |= job.failed
    of_clips = inpaint.Inpainter(sampler, holes, feather=flags.feather, frames=True)
    for clip in inputs.clips:
        with inputs.setting_aside(clip.path):
            if not holes.given:
                raise ValueError("say what is to be filled in its frames: --mask, --box or --key")
            holes.found(np.zeros((*clip.size, 3), np.uint8))
            for line in clip.notes():
                print(f"{clip.path}: {line}")
            pixels = None if mask is None else hashlib.sha256(mask.tobytes()).hexdigest()
            settings = {"mask": pixels, "box": flags.box, "key": flags.key, "grow": flags.grow}
            settings |= {"tolerance": flags.tolerance, "feather": flags.feather}
            VideoJob(of_clips, [inpaint.NOTHING], clip, flags.out, None, settings).run()
    reduced = max(inpainter.reduced, of_clips.reduced)
    if reduced > 1:
        print(
            f"around the largest hole the picture was made {reduced:.1f} times as small"
            " for the network, and what it drew enlarged: `gan-jax restore` makes that sharper"
        )
    inputs.check()


def read_mask(file: pathlib.Path):
    """uint8 [H, W] of a picture of a mask. Raises ValueError where it can't be read."""
    from gan_jax.data.images import composite, in_channels
    from gan_jax.inference.stylize import as_pixels

    pixels = as_pixels(file, "--mask")
    pixels = composite(pixels, (0, 0, 0)) if pixels.shape[-1] == 4 else pixels
    return in_channels(pixels, 1)[..., 0]


def box(text: str) -> tuple[int, int, int, int]:
    """left,top,width,height."""
    try:
        left, top, width, height = map(int, text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r}: give left,top,width,height, whole numbers of pixels, as in 10,20,30,40"
        ) from error
    if width < 1 or height < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: its width and height must be 1 or more")
    return left, top, width, height


def color(text: str) -> tuple[int, int, int]:
    """#rrggbb."""
    try:
        red, green, blue = bytes.fromhex(text.removeprefix("#"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: give a color as #00ff00") from error
    return red, green, blue


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__, "inpaint")
    add, path = parser.add_argument, pathlib.Path
    add("input", type=path, nargs="+", help="images, folders of images, and videos")
    add("--out", required=True, type=path, help="folder for NAME.png or .mp4, and sheet/")
    add(
        "--model",
        type=path,
        help="portraits-fill, for drawings of heads; a run of the games inpaint, deepfill or migan;"
        " or a file of LaMa's or MI-GAN's official network, such as big-lama.pt",
    )
    add("--mask", type=path, help="image of the pictures' size, white where they are filled")
    add(
        "--box",
        type=box,
        action="append",
        default=[],
        metavar="L,T,W,H",
        help="left, top, width, height in pixels; again for more; --box=-5,0,9,9 where it begins"
        " outside",
    )
    add("--key", type=color, metavar="#RRGGBB", help="color of what is filled")
    add("--tolerance", type=int, default=0, help="by how much each channel may differ from --key")
    add("--grow", type=int, default=0, help="pixels that holes are made larger by")
    add(
        "--feather",
        type=int,
        default=2,
        help="pixels over which the drawn is blended into the picture (default %(default)s)",
    )
    add(
        "--candidates",
        type=int,
        default=1,
        help="results of each picture, NAME_1.png ..., by a network that draws noise, as MI-GAN's"
        " do (default %(default)s)",
    )
    person_flags(parser)
    cli.trusts_code(parser)
    flags = parser.parse_args(argv)
    if (flags.model is None) == (flags.person is None):
        raise ValueError("give one of --model, a run or a file of weights, and --person.")
    if flags.candidates != 1 and flags.person is not None:
        raise ValueError(f"--candidates={flags.candidates}: of --model only, not of --person.")
    if flags.tolerance and flags.key is None:
        raise ValueError(f"--tolerance={flags.tolerance}: it is of --key, which is not given.")
    if flags.mask is not None and not flags.mask.exists():
        raise ValueError(f"{flags.mask}: no such file or folder.")
    return flags
