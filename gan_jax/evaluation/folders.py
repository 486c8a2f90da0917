"""Folders of pictures against each other, whoever made them."""

import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from gan_jax import pretrained
from gan_jax.data import image_file
from gan_jax.data.pairs import matched
from gan_jax.data.quarantine import ImageRejected
from gan_jax.data.sources import folder as folder_source
from gan_jax.evaluation import checks, measures, nets, record
from gan_jax.evaluation.features import Extractors
from gan_jax.evaluation.gather import Log
from gan_jax.evaluation.images import Sets, of_source
from gan_jax.evaluation.measures.base import Value
from gan_jax.evaluation.measures.fidelity import PAIRS, PairMeasure
from gan_jax.evaluation.protocol import Protocol
from gan_jax.metrics import pixels
from gan_jax.pretrained import perceptual
from gan_jax.runtime import registry
from gan_jax.runtime.text import shown

Folder = str | pathlib.Path
FEW = 50  # pictures on a side


def compare(
    generated: Folder,
    real: Folder,
    held_out: Folder | None = None,
    *,
    metrics: Sequence[str] | None = None,
    resolution: int | None = None,
    channels: int | None = None,
    labels: bool = False,
    pictures: pathlib.Path | None = None,
    log: Log = print,
    **how,
) -> dict:
    """The record of one folder against another: see record.measure.

    Args:
        held_out: real pictures that the generator never saw: the control.
        metrics: names of measures; None: all for which there is enough.
        resolution: a side in pixels, to which pictures are resized and cut from the middle; None:
            as they are.
        channels: 1, 3 or 4; None: as they are.
        labels: whether sub-folders are classes.
        pictures: folder for pictures of what was found; None: none.
        how: reference, features, seed, weights and resize of Protocol.
    Raises:
        ValueError: a folder without pictures, or whose pictures differ in size; a measure that
            lacks something.
    """
    of_folders = [n for n, measure in measures.known().items() if not measure.needs.translator]
    protocol = registry.build(Protocol, {"metrics": tuple(metrics or of_folders), **how}, "flags")
    own = nets.load(protocol)
    folders = [pathlib.Path(folder) for folder in (generated, real, held_out) if folder]
    view = common_view(folders, resolution, channels)
    sets = Sets(*(of_source(_opened(folder, view, labels, log)) for folder in folders))
    how |= {"images": sets.fake.count, "batch": min(32, sets.fake.count)}
    reasons, partly = checks.reasons(protocol, sets, own)
    for reason in partly:
        log(f"left out {reason}")
    wanted = protocol.metrics if metrics else _with_enough(reasons, log)
    protocol = registry.build(Protocol, {"metrics": wanted, **how}, "flags")
    if "kid" in protocol.metrics and min(sets.fake.count, sets.real.count) < FEW:
        log(
            f"kid of {sets.fake.count} pictures against {sets.real.count} tells little, and its"
            f" error is understated: give at least {FEW} on each side."
        )
    found = record.measure(protocol, sets, Extractors(own, protocol.batch), pictures, log)
    about = record.stamp(protocol, own, sets.fake.count, sets.real.count)
    about |= {
        "generated": str(generated),
        "real": str(real),
        "held_out": str(held_out) if held_out else None,
        "labels": labels,
    }
    return found | {"protocol": about | view}


def _with_enough(reasons: Mapping[str, str | None], log: Log) -> tuple[str, ...]:
    for reason in filter(None, reasons.values()):
        log(f"left out: {reason}")
    if all(reasons.values()):
        raise ValueError("nothing can be measured: the reasons stand above.")
    return tuple(metric for metric, reason in reasons.items() if not reason)


def compare_pairs(
    generated: Folder,
    truth: Folder,
    *,
    metrics: Sequence[str] | None = None,
    luma: bool = False,
    border: int = 0,
    resolution: int | None = None,
    channels: int | None = None,
    features: str = "lpips_alex",
    weights: str | None = None,
    log: Log = print,
) -> dict:
    """The record of pictures against those of the same names (without endings): means, and
    deviations over the pictures.

    Args:
        metrics: names in measures.fidelity.PAIRS; None: mae, psnr, ssim.
        luma: whether only Y of BT.601 counts, as in restoration papers; not for lpips.
        border: pixels at each edge that don't count.
        resolution, channels: as of `compare`.
        features, weights: the net of lpips, a name in perceptual.NETS, and its file.
    Raises:
        ValueError: a picture that can't be read or lacks its partner.
    """
    names = metrics or ("mae", "psnr", "ssim")
    chosen = {name: registry.choose(PAIRS, name, "--metrics") for name in names}
    by_features = any(measure.by_features for measure in chosen.values())
    net = _perceptual_net(features, weights) if by_features else None
    folders = [pathlib.Path(folder) for folder in (generated, truth)]
    view = common_view(folders, resolution, channels)
    sources = [_opened(folder, view, False, log) for folder in folders]
    for source in sources:
        if len(source.quarantine):
            raise ValueError(
                f"{source.path}: {'; '.join(source.quarantine.lines())}. Pairs need every picture."
            )
    values, meanings = _summary(_scores(chosen, sources, border, luma, net), luma, net)
    about = {
        "pairs": len(sources[0]),
        "border": border,
        "on": "Y" if luma else "all channels",
        "range": "[0, 255]",
    }
    about |= {"features": {"name": net.name, "sha256": net.sha256}} if net else {}
    about |= {"generated": str(generated), "real": str(truth), "held_out": None, "labels": False}
    return {
        "values": values,
        "about": meanings,
        "protocol": about | view | {"commit": record.commit()},
    }


def _scores(
    chosen: Mapping[str, PairMeasure],
    sources: Sequence,
    border: int,
    luma: bool,
    net: pretrained.Net | None,
) -> dict[str, list[float]]:
    """A number each measure and pair."""
    scores = {name: [] for name in chosen}
    for a, b in _pairs(sources, border):
        on = {False: (a, b), True: (pixels.luma(a), pixels.luma(b))} if luma else {False: (a, b)}
        for name, measure in chosen.items():
            x, y = on[luma and not measure.by_features]
            scores[name].append(float(measure.distance(x, y, net)[0]))
    return scores


def _pairs(sources: Sequence, border: int):
    """(picture, its partner), uint8 [1, H, W, C] each, without the border."""
    cut = slice(border, -border or None)
    names = {"generated": sources[0].names, "real": sources[1].names}
    for row in matched(names, "--pairs"):
        yield [
            source.load(row[i : i + 1], np.zeros(1, np.uint64))["image"][:, cut, cut]
            for i, source in enumerate(sources)
        ]


def _summary(scores: Mapping[str, list], luma: bool, net: pretrained.Net | None):
    """(values, what a record says about them). Scores that are infinite, as psnr of equal pictures,
    are counted apart."""
    values, meanings = {}, {}
    for name, score in scores.items():
        measure = PAIRS[name]
        full = f"{name}{net.suffix}" if measure.by_features else f"{name}_y" if luma else name
        finite = [value for value in score if np.isfinite(value)]
        if len(finite) < len(score):
            values["identical_pairs"] = float(len(score) - len(finite))
            same = Value(
                0, "pictures equal to their partner: no psnr, which is infinite, is of them"
            )
            meanings["identical_pairs"] = record.about(same, values)
        if finite:
            values |= {full: float(np.mean(finite)), f"{full}_std": float(np.std(finite))}
            value = Value(measure.better, measure.about, error=f"{full}_std")
            meanings[full] = record.about(value, values)
    return values, meanings


def _perceptual_net(features: str, weights: str | None) -> pretrained.Net:
    """An LPIPS net, or a ValueError that says how to name one."""
    if features not in perceptual.NETS:
        raise ValueError(
            f"--features {features}: lpips is measured by {' or '.join(perceptual.NETS)}."
        )
    return pretrained.load(features, weights)


def common_view(
    folders: Sequence[pathlib.Path], resolution: int | None, channels: int | None
) -> dict:
    """Size and channels of all pictures, as settings of a folder source: those given, or what all
    files have alike.

    Raises:
        ValueError: they differ; names the first file that does, and the flag that helps.
    """
    if resolution and channels:
        return {"resolution": resolution, "channels": channels}
    first, of = None, None
    for file in (file for folder in folders for file in folder_source.scan(folder)[0]):
        try:
            *size, own = image_file.header(file)
        except ImageRejected:
            continue  # the source will set it aside and log that
        found = {"resolution": resolution or tuple(size), "channels": channels or own}
        first, of = first or found, of or file
        for name, what, flag in (
            ("resolution", "HxW", "--resolution 256"),
            ("channels", "channels", "--channels 3"),
        ):
            if found[name] != first[name]:
                raise ValueError(
                    f"{file} has {found[name]} {what}, {of} {first[name]}. Make them alike with"
                    f" {flag}."
                )
    if first is None:
        raise ValueError(f"{folders[0]}: not one picture there can be read.")
    return first


def _opened(folder: pathlib.Path, view: dict, labels: bool, log: Callable[[str], None]):
    source = folder_source.Source(path=str(folder), labels=labels, **view)
    for note in source.notes:
        log(shown(note))
    return source
