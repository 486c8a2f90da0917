"""Any folder of pictures against any other, whoever made them: gan-jax evaluate generated real.

Sets are compared by features (kid, precision_recall ...); with --pairs pictures of one name
(without ending) are, one by one (mae, psnr, ssim, ms_ssim, lpips).
"""

import argparse
import json
import pathlib

from gan_jax.runtime import cli

SHARED = ("resolution", "channels", "features", "weights")  # flags of both kinds of comparison


def main(argv: list[str] | None = None) -> None:
    flags = parse(argv)

    from gan_jax.evaluation import folders, record
    from gan_jax.runtime.files import replace_text

    if flags.out:  # before anything is measured
        flags.out.parent.mkdir(parents=True, exist_ok=True)
    how = {name: getattr(flags, name) for name in SHARED}
    how["features"] = flags.features or ("lpips_alex" if flags.pairs else "efflite0")
    how["metrics"] = flags.metrics.split(",") if flags.metrics else None
    try:
        if flags.pairs:
            how |= {"luma": flags.luma, "border": flags.border}
            found = folders.compare_pairs(flags.generated, flags.real, **how)
        else:
            how |= {
                name: getattr(flags, name) for name in ("labels", "resize", "reference", "seed")
            }
            how["pictures"] = flags.out and flags.out.parent
            found = folders.compare(flags.generated, flags.real, flags.held_out, **how)
    except ValueError as error:
        raise ValueError(str(error).replace("config.data.path=", "")) from error
    for line in record.lines(found):
        print(line)
    if flags.out:
        replace_text(flags.out, json.dumps(found, indent=1) + "\n")
        print(f"with the protocol in {flags.out}")


def parse(argv: list[str] | None) -> argparse.Namespace:
    from gan_jax import pretrained
    from gan_jax.evaluation import measures

    of_folders = [n for n, measure in measures.known().items() if not measure.needs.translator]
    parser = cli.Parser(__doc__, "evaluate")
    path, add = pathlib.Path, parser.add_argument
    add("generated", type=path, help="folder of pictures to measure")
    add("real", type=path, help="folder of pictures to measure by; with --pairs the truth")
    add("--held-out", type=path, help="real pictures the generator never saw: the control")
    add(
        "--metrics",
        help=f"as in kid,fid,memorisation, of: {', '.join(of_folders)} (default: all"
        " for which there is enough)",
    )
    add("--pairs", action="store_true", help="compare pictures of one name: x.png with x.jpg too")
    add("--luma", action="store_true", help="--pairs on Y of BT.601, as restoration papers do")
    add("--border", type=int, default=0, help="--pairs without so many pixels at each edge")
    add(
        "--resolution",
        type=int,
        help="resize to this side, cut from the middle (default: as they are)",
    )
    add("--channels", type=int, choices=(1, 3, 4), help="gray, RGB or RGBA (default: as they are)")
    add("--labels", action="store_true", help="sub-folders are classes")
    add(
        "--features",
        help="the net that sees them, or several, as in vgg16,efflite0, of:"
        f" {', '.join(pretrained.NETS)} (default: efflite0; with --pairs lpips_alex)",
    )
    add("--weights", help="file of the net's weights, where no installed package has them")
    add(
        "--resize",
        default="bicubic",
        help="filter to the net's size, bicubic or tf1_bilinear (default %(default)s)",
    )
    add(
        "--reference",
        type=int,
        default=10_000,
        help="real pictures used at most (default %(default)s)",
    )
    add("--seed", type=int, default=0, help="of which they are (default %(default)s)")
    add("--out", type=path, help="the record as JSON: numbers, curves and their protocol")
    return parser.parse_args(argv)
