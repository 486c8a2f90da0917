"""Pictures of another program, measured as a run's own are."""

import contextlib
import dataclasses
import json
import pathlib

import numpy as np

from gan_jax.algorithms import make_game
from gan_jax.config import Config
from gan_jax.data import image_file
from gan_jax.data.images import grid, save_png
from gan_jax.data.quarantine import ImageRejected
from gan_jax.data.source import open_source
from gan_jax.data.sources import folder as folder_source
from gan_jax.evaluation import checks, nets, record
from gan_jax.evaluation.features import Extractors
from gan_jax.evaluation.gather import Log
from gan_jax.evaluation.images import Images, Sets, materialize, of_source, sides
from gan_jax.evaluation.protocol import Protocol
from gan_jax.runtime import registry
from gan_jax.runtime.files import replace_text

ROWS, COLUMNS = 8, 10  # of the grid of them


def make_run(
    config: Config,
    pictures: pathlib.Path,
    workdir: pathlib.Path,
    log: Log,
    *,
    images: int,
    minutes: float,
) -> None:
    """`measure`, written to `workdir` as a run has it, for a report.

    images, minutes: that the other program was trained on and for.
    """
    found = measure(config, pictures, workdir / "samples" / f"{images}.png", log)
    line = {"step": images, "images": images, "img/s": images / (60 * minutes)}
    for name, content in (
        ("config.json", {"folder": str(pictures), "images": images, "minutes": minutes}),
        ("metrics.jsonl", line),
        ("evaluations.jsonl", {"images": images} | found),
    ):
        replace_text(workdir / name, json.dumps(content) + "\n")


def measure(config: Config, pictures: pathlib.Path, sheet: pathlib.Path, log: Log) -> dict:
    """The record of a folder's pictures against the real ones of a run: those of config.data, by
    config.eval. Measures that need a generator, or labels of the pictures, are left out, and the
    log says so.

    Of the folder config.eval.images are taken, evenly over the order of their names; they are
    resized where they have another size. `sheet` is the file of a grid of some.

    Raises:
        ValueError: too few pictures; the settings and the data don't fit together.
    """
    protocol = registry.build(Protocol, config.eval, "config.eval")
    settings = checks.plain(checks.merged(config.data, protocol.data))
    source = open_source(settings)
    game = make_game(config, source.shape, len(source.classes))
    real = sides(source, game.contents or "a").real
    *size, channels = source.shape
    view = {"resolution": tuple(size), "channels": channels}
    if others := other_sizes(pictures, tuple(size)):
        wanted = "x".join(map(str, size))
        log(
            f"{pictures}: {len(others):,} pictures are not {wanted}, {others[0]} for one: they are"
            " cropped and resized, which changes their numbers."
        )
    fake = chosen(of_source(folder_source.Source(path=str(pictures), **view)), protocol.images)
    sets = Sets(fake, real)
    own = nets.load(protocol)
    why, partly = checks.reasons(protocol, sets, own)
    for reason in (*filter(None, why.values()), *partly):
        log(f"{pictures}: left out: {reason}")
    metrics = tuple(name for name, reason in why.items() if reason is None)
    if not metrics:
        raise ValueError(f"{pictures}: nothing can be measured: {next(iter(why.values()))}")
    protocol = dataclasses.replace(protocol, metrics=metrics)
    save_png(sheet, _grid(fake))
    found = record.measure(protocol, sets, Extractors(own, protocol.batch), None, log)
    about = record.stamp(protocol, own, fake.count, real.count)
    about |= {
        "split": settings.get("split", source.split),
        "data": source.fingerprint[:16],
        "held_out": protocol.apart(False)[0] if game.translates else None,
        "truncation": None,
        "weights": f"pictures in {pictures}",
    }
    return found | {"protocol": about}


def other_sizes(pictures: pathlib.Path, size: tuple[int, int]) -> list[str]:
    """Names of the folder's files that have another size than (H, W); those that can't be read are
    not among them."""
    found = []
    for file in folder_source.scan(pictures)[0]:
        with contextlib.suppress(ImageRejected):  # the source sets it aside and logs that
            if image_file.header(file)[:2] != size:
                found.append(file.name)
    return found


def chosen(images: Images, n: int) -> Images:
    """n of the pictures, evenly over their order. Raises ValueError where there are fewer."""
    if images.count < n:
        raise ValueError(
            f"{images.count:,} pictures, and the runs are measured on {n:,}: give as many, or"
            f" --set eval.images={images.count}."
        )
    return materialize(images, np.arange(n) * images.count // n)


def _grid(images: Images) -> np.ndarray:
    """Some of the pictures, evenly over their order."""
    few = chosen(images, min(images.count, ROWS * COLUMNS))
    return grid(few.load(np.arange(few.count)), COLUMNS)
