"""What can be told of an evaluation before any picture is read: settings of its data, and what its
measures lack."""

import dataclasses
from collections.abc import Mapping

import jax
import numpy as np

from gan_jax import pretrained
from gan_jax.algorithms.base import Game
from gan_jax.data import pairs
from gan_jax.data.source import Outline, outline
from gan_jax.evaluation import measures
from gan_jax.evaluation.images import Images, Sets
from gan_jax.evaluation.protocol import Protocol

AUGMENTATIONS = ("flip", "rotate_degrees", "enlarge")  # settings of config.data


def plain(data: Mapping) -> dict:
    """config.data as real pictures are measured: not flipped, not turned, cut from the middle."""
    kept = {
        key: plain(value) if key in pairs.SIDES and isinstance(value, Mapping) else value
        for key, value in data.items()
        if key not in AUGMENTATIONS
    }
    if kept.get("crop") == "random":
        kept.pop("widest", None)
        kept["crop"] = "center"
    return kept


def merged(data: Mapping, other: Mapping) -> dict:
    """`data` with the settings of `other`, in the two sides of a translation too."""
    found = {**data, **other}
    for side in pairs.SIDES:
        if isinstance(data.get(side), Mapping) and isinstance(other.get(side), Mapping):
            found[side] = merged(data[side], other[side])
    return found


def varied(game: Game) -> bool:
    """Whether a translator draws its styles: whether its latent has any numbers."""
    return jax.eval_shape(lambda: game.latent(jax.random.key(0), 1)).shape[1] > 0


def reasons(protocol: Protocol, sets: Sets, net: pretrained.Net) -> dict[str, str | None]:
    """Name in protocol.metrics -> why it can't be taken of these sets, or None."""
    found = {}
    for metric in protocol.metrics:
        lacking = (each.lacking(protocol, sets, net) for each in measures.find((metric,)))
        found[metric] = next(filter(None, lacking), None)
    return found


def check(
    protocol: Protocol, data: Mapping, game: Game, *, lenient: bool = False, choosing: bool = False
) -> tuple[Sets | None, pretrained.Net]:
    """Raises ValueError for what an evaluation lacks, as far as it can be told before any picture
    is read.

    Returns the sets as they will be, of black pictures, and the net. The sets are None where they
    can't be told: where only opening the data shows their shape, and where `lenient`.
    data: config.data.
    game: whose pictures are measured.
    lenient, choosing: as Evaluator's.
    """
    settings = plain(merged(data, protocol.data))
    real = outline(settings, "config.eval.data" if protocol.data else "config.data")
    apart, place = protocol.apart(choosing)
    held_out = None if apart is None else outline(plain(merged(settings, apart)), place)
    net = pretrained.load(protocol.features, protocol.weights, protocol.resize)
    if lenient or real.shape is None:
        return None, net
    sets = _outlined(protocol, data, game, real, held_out)
    for measure in measures.find(protocol.metrics):
        reason = measure.lacking(protocol, sets, net, opened=False)
        if reason:
            raise ValueError(f"config.eval: {reason}")
    return sets, net


def _outlined(
    protocol: Protocol,
    data: Mapping,
    game: Game,
    real: Outline,
    held_out: Outline | None,
) -> Sets:
    def images(about, count):
        return Images(
            lambda ids: np.zeros((len(ids), *real.shape), np.uint8),
            count,
            np.arange(count, dtype=np.int32) % about.classes if about.classes else None,
            tuple(map(str, range(about.classes))),
            dict.fromkeys(about.colors, np.zeros((count, 3))),
        )

    many = protocol.reference
    sets = Sets(
        images(real, protocol.images), images(real, many), held_out and images(held_out, many)
    )
    if not game.translates:
        return sets
    paired = (held_out or real).partner == "paired"
    return dataclasses.replace(
        sets,
        contents=images(real, many),
        truth=images(real, many) if paired else None,
        varied=varied(game),
    )
