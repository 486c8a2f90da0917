"""Directions in W along which a picture changes in one way: found in the generator's weights, in
its samples, or from examples; and edits by their names."""

import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from gan_jax.personalize.base import Base
from gan_jax.runtime import files, registry

COUNT = 10  # of "pca" and "sefa" that have names
SHRINK = 0.1  # of the within-class covariance towards a multiple of the identity
FOLDS = 5  # of the held-out accuracy
EDGE = 1  # per cent of the samples that lie beyond where edits end, at either end


class Direction(NamedTuple):
    """Attributes:
    vector: f32 [W]; an amount of 1 is one step of it.
    least, most: amounts, from w_avg, between which all but EDGE of the samples lie at either end.
    """

    vector: np.ndarray
    least: float
    most: float


def pca(base: Base, count: int = COUNT) -> list[Direction]:
    """The principal components of the samples' w, a step a standard deviation. Härkönen et al. 2020
    (GANSpace), arXiv:2004.02546."""
    ws = base.statistics.ws - base.statistics.mean
    values, vectors = np.linalg.eigh(ws.T @ ws / len(ws))
    order = np.argsort(values)[::-1][:count]
    return [_limited(base, vectors[:, k] * np.sqrt(values[k])) for k in order]


def sefa(base: Base, count: int = COUNT) -> list[Direction]:
    """The directions that move the layers' styles most: eigenvectors of A A^T of all affine
    weights A, every column of unit length. A step is a tenth of the spread of W. Shen & Zhou 2021
    (SeFa), arXiv:2007.06600."""
    columns = np.concatenate(_affines(base.params["synthesis"]), 1)
    columns = columns / np.maximum(np.linalg.norm(columns, axis=0, keepdims=True), 1e-12)
    values, vectors = np.linalg.eigh(columns @ columns.T)
    order = np.argsort(values)[::-1][:count]
    step = 0.1 * base.statistics.std
    return [_limited(base, vectors[:, k] * step) for k in order]


def _affines(tree: Mapping) -> list[np.ndarray]:
    """The kernels [W, C] of all style layers: StyleGAN2's, and the scales of batch norms."""
    found = []
    for name, part in tree.items():
        if name == "gain":
            found.append(np.asarray(part, np.float64))
        elif name == "affine":
            found.append(np.asarray(part["kernel"], np.float64))
        elif isinstance(part, Mapping):
            found += _affines(part)
    return found


def of_class(base: Base, name: str) -> Direction:
    """From the mean of all samples to that of a class. Raises ValueError: no such class."""
    label = base.sampler.label(name, "--edit")
    samples = base.statistics
    vector = samples.ws[samples.labels == label].mean(0) - samples.mean
    return _limited(base, vector)


class Separated(NamedTuple):
    """Attributes:
    direction: f32 [W], from the mean of the pictures without to that of those with, along the
        whitened difference.
    accuracy: of the boundary on pictures held out, the mean over FOLDS.
    """

    direction: np.ndarray
    accuracy: float


def from_labels(ws: Float[np.ndarray, "N W"], labels: Int[np.ndarray, " N"]) -> Separated:
    """The direction that separates w with a label of 1 from those of 0, in closed form: the
    difference of their means, whitened by the covariance within them (Fisher 1936), of such a
    length that a step leads from one mean to the other.

    Raises:
        ValueError: fewer than 2 of one kind, or both have one mean.
    """
    counts = np.bincount(labels, minlength=2)
    if counts.min() < 2:
        raise ValueError(
            f"{counts[1]} pictures with and {counts[0]} without: a direction needs 2 or more of"
            " each."
        )
    if not (ws[labels == 1].mean(0) - ws[labels == 0].mean(0)).any():
        raise ValueError("the pictures with and without have one mean: are they the same ones?")
    right, folds = [], min(FOLDS, counts.min())
    place = np.zeros(len(ws), int)
    for kind in (0, 1):
        rows = np.flatnonzero(labels == kind)
        place[rows] = np.arange(len(rows)) % folds
    for k in range(folds):
        train = place != k
        normal, middle, _ = _fisher(ws[train], labels[train])
        right.append(((ws[~train] - middle) @ normal > 0) == labels[~train])
    normal, _, between = _fisher(ws, labels)
    vector = normal * (between @ normal) / (normal @ normal)
    return Separated(vector.astype(np.float32), float(np.concatenate(right).mean()))


def _fisher(ws, labels):
    """(normal, the point between the means, their difference)."""
    means = np.stack([ws[labels == k].mean(0) for k in (0, 1)])
    rest = (ws - means[labels]).astype(np.float64)
    within = rest.T @ rest / len(ws)
    scale = np.trace(within) / len(within) + 1e-12
    within = (1 - SHRINK) * within + SHRINK * scale * np.eye(len(within))
    between = means[1] - means[0]
    return np.linalg.solve(within, between), means.mean(0), between


def _limited(base: Base, vector) -> Direction:
    """With the amounts that the samples have."""
    vector = np.asarray(vector, np.float32)
    along = (base.statistics.ws - base.statistics.mean) @ vector / max(vector @ vector, 1e-12)
    least, most = np.percentile(along, [EDGE, 100 - EDGE])
    return Direction(vector, float(least), float(most))


def save(path: pathlib.Path, base: Base, name: str, found: Separated, made_of: str) -> None:
    """Writes a direction with its name and its base's hash, as JSON."""
    text = {
        "name": name,
        "base": base.sha256,
        "vector": [float(x) for x in found.direction],
        "accuracy": found.accuracy,
        "made_of": made_of,
    }
    files.replace_text(path, json.dumps(text) + "\n")


def load(path: pathlib.Path, base: Base) -> tuple[str, Direction]:
    """(its name, a direction that `save` wrote). Raises ValueError: damaged, or another base's."""
    try:
        text = json.loads(path.read_text("utf-8"))
        vector = np.asarray(text["vector"], np.float32)
        name, own = str(text["name"]), text["base"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: no direction as `gan-jax direction` writes it.") from error
    if own != base.sha256 or vector.shape != base.statistics.mean.shape:
        raise ValueError(f"{path}: a direction of another base than {base.sampler.step}.")
    return name, _limited(base, vector)


def known(base: Base, paths: Sequence[pathlib.Path] = ()) -> dict[str, Direction]:
    """The directions of a base by their names: of files, classes, "pca0", "sefa0" and so on.

    Raises:
        ValueError: a file whose direction has another's name.
    """
    found = {name: of_class(base, name) for name in base.sampler.classes}
    found |= {f"pca{k}": each for k, each in enumerate(pca(base))}
    found |= {f"sefa{k}": each for k, each in enumerate(sefa(base))}
    for path in paths:
        name, each = load(path, base)
        if name in found:
            raise ValueError(
                f"{path}: there is another direction named {name}. Make it anew as --name."
            )
        found[name] = each
    return found


def parse(text: str) -> dict[str, float]:
    """'smile=1.5,hair=-1' -> {"smile": 1.5, "hair": -1.0}.

    Raises:
        ValueError: not of this form.
    """
    edits = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(r"([^=]+)=([+-]?(?:\d+\.?\d*|\.\d+))", part)
        if match is None:
            raise ValueError(f"--edit={text!r}: {part!r} is not as smile=1.5 or pca0=-2.")
        if match[1].strip() in edits:
            raise ValueError(f"--edit={text!r}: {match[1].strip()} is given twice.")
        edits[match[1].strip()] = float(match[2])
    return edits


def apply(
    base: Base,
    ws: Float[np.ndarray, "n L W"],
    edits: Mapping[str, float],
    by_name: Mapping[str, Direction],
) -> tuple[np.ndarray, list[str]]:
    """(ws moved by so many steps along each direction, lines on styles that went less far). None
    goes beyond what the base's samples span, but one that lies there already stays.

    Raises:
        ValueError: an unknown direction; lists those there are.
    """
    made, notes = np.array(ws, np.float32), []
    for name, amount in edits.items():
        each = registry.choose(by_name, name, "--edit")
        at = (made.mean(1) - base.statistics.mean) @ each.vector
        at = at / max(float(each.vector @ each.vector), 1e-12)
        gone = np.clip(at + amount, np.minimum(at, each.least), np.maximum(at, each.most)) - at
        made += gone[:, None, None] * each.vector
        short = np.abs(gone - amount) > 1e-6
        if short.any():
            notes.append(
                f"{name}={amount:g}: {short.sum()} of {len(made)} go only as far as the base's"
                f" samples do, {gone[short].mean():.2g} on average"
            )
    return made, notes
