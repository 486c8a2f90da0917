"""What can be told of an evaluation before any picture is read: settings of its data, and what its
measures lack."""

import dataclasses
from collections.abc import Mapping

import jax
import numpy as np

from gan_jax.algorithms.base import Game
from gan_jax.data import pairs
from gan_jax.data.source import TRUE_PARTNERS, Outline, outline
from gan_jax.evaluation import measures, nets
from gan_jax.evaluation.images import Images, Sets
from gan_jax.evaluation.measures.base import Measure
from gan_jax.evaluation.nets import Nets
from gan_jax.evaluation.protocol import Protocol
from gan_jax.pretrained import Net

AUGMENTATIONS = ("flip", "rotate_degrees", "enlarge")  # settings of config.data


def plain(data: Mapping) -> dict:
    """config.data as real pictures are measured: not flipped, not turned, cut from the middle."""
    kept = {
        key: plain(value) if key in pairs.NESTED and isinstance(value, Mapping) else value
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
    for side in pairs.NESTED:
        if isinstance(data.get(side), Mapping) and isinstance(other.get(side), Mapping):
            found[side] = merged(data[side], other[side])
    return found


def varied(game: Game) -> bool:
    """Whether a translator draws its styles: whether its latent has any numbers."""
    return jax.eval_shape(lambda: game.latent(jax.random.key(0), 1)).shape[1] > 0


def lacking(
    measure: Measure, protocol: Protocol, sets: Sets, own: Nets, *, opened: bool = True
) -> dict[Net, str | None]:
    """Net -> why the measure can't be taken by it, or None; opened: as Measure.lacking's."""
    return {net: measure.lacking(protocol, sets, net, opened=opened) for net in own.of(measure)}


def chosen(
    protocol: Protocol, sets: Sets, own: Nets, *, opened: bool = True
) -> list[tuple[Measure, Net]]:
    """All of protocol.metrics, each by every net that it can be taken by, those last that training
    looked through. Raises ValueError where one can be taken by none."""
    found = []
    for measure in measures.find(protocol.metrics):
        why = lacking(measure, protocol, sets, own, opened=opened)
        if all(why.values()):
            raise ValueError(next(iter(why.values())))
        found += [(measure, net) for net, reason in why.items() if reason is None]
    return sorted(found, key=lambda pair: pair[1].in_training)


def reasons(protocol: Protocol, sets: Sets, own: Nets) -> tuple[dict[str, str | None], list[str]]:
    """(name in protocol.metrics -> why it can't be taken of these sets by any net, or None; why
    some can't be taken by some nets)."""
    found, partly = {}, []
    for metric in protocol.metrics:
        found[metric] = None
        for measure in measures.find((metric,)):
            why = lacking(measure, protocol, sets, own)
            if all(why.values()):
                found[metric] = found[metric] or next(iter(why.values()))
            else:
                partly += [f"by {net.name}: {reason}" for net, reason in why.items() if reason]
    return found, partly


def check(
    protocol: Protocol, data: Mapping, game: Game, *, lenient: bool = False, choosing: bool = False
) -> tuple[Sets | None, Nets]:
    """Raises ValueError for what an evaluation lacks, as far as it can be told before any picture
    is read.

    Returns the sets as they will be, of black pictures, and the nets. The sets are None where they
    can't be told: where only opening the data shows their shape, and where `lenient`.
    data: config.data.
    game: whose pictures are measured.
    lenient, choosing: as Evaluator's.
    """
    settings = plain(merged(data, protocol.data))
    real = outline(settings, "config.eval.data" if protocol.data else "config.data")
    apart, place = protocol.apart(choosing)
    held_out = None if apart is None else outline(plain(merged(settings, apart)), place)
    own = nets.load(protocol, game.frozen.values())
    if lenient or real.shape is None:
        return None, own
    sets = _outlined(protocol, data, game, real, held_out)
    try:
        chosen(protocol, sets, own, opened=False)
    except ValueError as error:
        raise ValueError(f"config.eval: {error}") from error
    return sets, own


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
    paired = (held_out or real).partner in TRUE_PARTNERS
    return dataclasses.replace(
        sets,
        contents=images(real, many),
        truth=images(real, many) if paired else None,
        varied=varied(game),
    )
