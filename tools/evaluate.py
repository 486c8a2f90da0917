"""Any folder of pictures against any other: python tools/evaluate.py generated real. Whoever made
them.

Sets are compared by features (kid, precision_recall ...); with --pairs pictures of one name
(without ending) are, one by one (mae, psnr, ssim, ms_ssim, lpips).
"""

import argparse
import json
import pathlib

from gan_jax.runtime import cli
from gan_jax.runtime.text import shown

PAIR_METRICS = ("mae", "psnr", "ssim", "ms_ssim", "lpips")


def main() -> None:
    flags = parse()

    from gan_jax.evaluation import evaluator
    from gan_jax.runtime.files import replace_text

    if flags.out:  # before anything is measured
        flags.out.parent.mkdir(parents=True, exist_ok=True)
    try:
        record = pairs(flags) if flags.pairs else sets(flags)
    except ValueError as error:
        raise ValueError(str(error).replace("config.data.path=", "")) from error
    for line in evaluator.lines(record):
        print(line)
    if flags.out:
        replace_text(flags.out, json.dumps(record, indent=1) + "\n")
        print(f"with the protocol in {flags.out}")


def parse() -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    parser.add_argument("generated", type=pathlib.Path, help="folder of pictures to judge")
    parser.add_argument(
        "real", type=pathlib.Path, help="folder of pictures to judge by; with --pairs the truth"
    )
    parser.add_argument(
        "--held-out", type=pathlib.Path, help="real pictures the generator never saw: the control"
    )
    parser.add_argument(
        "--metrics",
        help=(
            "as in kid,fid,memorisation: names in docs/reference/measures.md (default: all for which there"
            " is enough)"
        ),
    )
    parser.add_argument(
        "--pairs", action="store_true", help="compare pictures of one name: x.png with x.jpg too"
    )
    parser.add_argument(
        "--luma", action="store_true", help="--pairs on Y of BT.601, as restoration papers do"
    )
    parser.add_argument(
        "--border", type=int, default=0, help="--pairs without so many pixels at each edge"
    )
    parser.add_argument(
        "--resolution",
        type=int,
        help="resize to this side, cut from the middle (default: as they are)",
    )
    parser.add_argument(
        "--channels", type=int, choices=(1, 3, 4), help="gray, RGB or RGBA (default: as they are)"
    )
    parser.add_argument("--labels", action="store_true", help="sub-folders are classes")
    parser.add_argument(
        "--features",
        default="efflite0",
        help="the net that sees them, a name in docs/how-to/evaluate.md (default %(default)s)",
    )
    parser.add_argument("--weights", help="file of the net's weights (efflite0 has its own)")
    parser.add_argument(
        "--resize",
        default="bicubic",
        help="filter to the net's size, bicubic or tf1_bilinear (default %(default)s)",
    )
    parser.add_argument(
        "--reference",
        type=int,
        default=10_000,
        help="real pictures used at most (default %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of which they are (default %(default)s)"
    )
    parser.add_argument(
        "--out", type=pathlib.Path, help="the record as JSON: numbers, curves and their protocol"
    )
    return parser.parse_args()


def sets(flags: argparse.Namespace) -> dict:
    """The record of one folder against another."""
    from gan_jax import pretrained
    from gan_jax.evaluation import evaluator, features
    from gan_jax.evaluation.measure import measure
    from gan_jax.evaluation.protocol import METRICS, TRANSLATORS, Protocol, Sets, lacking

    net = pretrained.load(flags.features, flags.weights, flags.resize)
    fitting = tuple(name for name in METRICS if name not in TRANSLATORS)
    asked = tuple(flags.metrics.split(",")) if flags.metrics else fitting
    how = {"reference": flags.reference, "features": flags.features, "seed": flags.seed}
    how |= {"weights": flags.weights, "resize": flags.resize}
    Protocol(metrics=asked, **how)  # what is wrong with it is said before a folder is opened
    folders = [folder for folder in (flags.generated, flags.real, flags.held_out) if folder]
    view = common(flags, folders)
    opened = [features.of_source(opened_folder(folder, view, flags.labels)) for folder in folders]
    compared = Sets(*opened)
    how |= {"images": compared.fake.count, "batch": min(32, compared.fake.count)}
    protocol = Protocol(metrics=asked, **how)
    if not flags.metrics:
        reasons = {metric: lacking(protocol, metric, compared, net) for metric in fitting}
        for reason in filter(None, reasons.values()):
            print(f"left out: {reason}")
        asked = tuple(metric for metric, reason in reasons.items() if not reason)
        if not asked:
            raise ValueError("nothing can be measured: the reasons stand above.")
        protocol = Protocol(metrics=asked, **how)
    extractor = features.Extractor(net, protocol.batch)
    found = measure(protocol, compared, extractor, flags.out and flags.out.parent, print)
    return found | {
        "protocol": (
            evaluator.stamp(protocol, net, compared.fake.count, compared.real.count)
            | described(flags, view)
        )
    }


def pairs(flags: argparse.Namespace) -> dict:
    """The record of pictures against those of the same names: means, and deviations over the
    pictures."""
    import numpy as np

    from gan_jax.data.pairs import matched
    from gan_jax.evaluation import evaluator
    from gan_jax.metrics import pixels
    from gan_jax.runtime import registry

    wanted = flags.metrics.split(",") if flags.metrics else ["mae", "psnr", "ssim"]
    for name in wanted:
        registry.choose(dict.fromkeys(PAIR_METRICS), name, "--metrics")
    net = perceptual_net(flags) if "lpips" in wanted else None
    view = common(flags, [flags.generated, flags.real])
    a, b = (opened_folder(folder, view, False) for folder in (flags.generated, flags.real))
    for source in (a, b):
        if len(source.quarantine):
            raise ValueError(
                f"{source.path}: {'; '.join(source.quarantine.lines())}. Pairs need every picture."
            )
    rows = matched({"generated": a.names, "real": b.names}, "--pairs")
    scores = {name: [] for name in wanted}
    cut = slice(flags.border, -flags.border or None)
    for row in rows:
        images = [
            source.load(row[i : i + 1], np.zeros(1, np.uint64))["image"]
            for i, source in enumerate((a, b))
        ]
        x, y = (image[:, cut, cut] for image in images)
        if net:
            scores["lpips"].append(float(net.distance(x, y)[0]))
        x, y = (pixels.luma(x), pixels.luma(y)) if flags.luma else (x, y)
        for name in wanted:
            if name != "lpips":
                scores[name].append(float(getattr(pixels, name)(x, y)[0]))
    values = {}
    for name, score in scores.items():
        name = f"{name}{net.suffix}" if name == "lpips" else f"{name}_y" if flags.luma else name
        finite = [
            value for value in score if np.isfinite(value)
        ]  # psnr of equal pictures is infinite
        if len(finite) < len(score):
            values["identical_pairs"] = float(len(score) - len(finite))
        if finite:
            values |= {name: float(np.mean(finite)), f"{name}_std": float(np.std(finite))}
    about = {
        "pairs": len(a),
        "border": flags.border,
        "on": "Y" if flags.luma else "all channels",
        "range": "[0, 255]",
    }
    about |= {"features": {"name": net.net.name, "sha256": net.net.sha256}} if net else {}
    return {
        "values": values,
        "protocol": about | described(flags, view) | {"commit": evaluator.commit()},
    }


def perceptual_net(flags):
    """An LPIPS net, or a ValueError that says how to name one."""
    from gan_jax import pretrained
    from gan_jax.pretrained import perceptual

    if not flags.features.startswith("lpips"):
        raise ValueError(
            "lpips needs --features lpips_alex, lpips_vgg or lpips_hed, and --weights TRUNK,HEADS."
        )
    net = pretrained.load(flags.features, flags.weights)
    distance = lambda x, y: perceptual.distance(net(x).features, net(y).features)
    return argparse.Namespace(net=net, suffix=net.suffix, distance=distance)


def common(flags: argparse.Namespace, folders: list[pathlib.Path]) -> dict:
    """Size and channels of all pictures, as settings of a folder source: the flags', or what all
    files have alike.

    Raises:
        ValueError: they differ; names the first file that does, and the flag that helps.
    """
    from gan_jax.data import image_file
    from gan_jax.data.quarantine import ImageRejected
    from gan_jax.data.sources import folder as sources

    if flags.resolution and flags.channels:
        return {"resolution": flags.resolution, "channels": flags.channels}
    first, of = None, None
    for folder in folders:
        for file in sources.scan(folder)[0]:
            try:
                *size, channels = image_file.header(file)
            except ImageRejected:
                continue  # the source will set it aside and say so
            found = {
                "resolution": flags.resolution or tuple(size),
                "channels": flags.channels or channels,
            }
            first, of = first or found, of or file
            for name, flag in (("resolution", "--resolution 256"), ("channels", "--channels 3")):
                if found[name] != first[name]:
                    what = {"resolution": "HxW", "channels": "channels"}[name]
                    raise ValueError(
                        f"{file} has {found[name]} {what}, {of} {first[name]}. Make them alike with"
                        f" {flag}."
                    )
    if first is None:
        raise ValueError(f"{folders[0]}: not one picture there can be read.")
    return first


def opened_folder(folder: pathlib.Path, view: dict, labels: bool):
    from gan_jax.data.sources import folder as sources

    source = sources.Source(path=str(folder), labels=labels, **view)
    for note in source.notes:
        print(shown(note))
    return source


def described(flags: argparse.Namespace, view: dict) -> dict:
    apart = str(flags.held_out) if flags.held_out else None
    return {
        "generated": str(flags.generated),
        "real": str(flags.real),
        "held_out": apart,
        "labels": flags.labels,
        **view,
    }


if __name__ == "__main__":
    cli.tool(main)
