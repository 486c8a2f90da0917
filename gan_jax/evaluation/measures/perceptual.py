"""How like another picture a translation looks: to its true translation, and to what it was made
of."""

import functools

import jax
import numpy as np

from gan_jax.evaluation.gather import Given
from gan_jax.evaluation.images import Images
from gan_jax.evaluation.measures.base import Measure, Needs, Result, Value
from gan_jax.evaluation.measures.identity import others
from gan_jax.pretrained import Net, alexnet, perceptual

BATCH = 8  # pairs that the net sees at a time
SOURCES = 200  # translations that are compared, at most


def lpips(given: Given) -> Result:
    sets = given.sets
    ids = np.arange(min(sets.fake.count, SOURCES))
    truth, source = ids % sets.truth.count, ids % sets.contents.count
    return Result(
        {
            "lpips{net}": distance(given.net, given.translations, ids, sets.truth, truth),
            "lpips_input{net}": distance(given.net, sets.contents, source, sets.truth, truth),
        }
    )


def content(given: Given) -> Result:
    contents = given.sets.contents
    ids = np.arange(min(given.sets.fake.count, SOURCES))
    source = ids % contents.count
    other = others(contents.count)[source]
    return Result(
        {
            "content_lpips{net}": distance(given.net, given.translations, ids, contents, source),
            "content_lpips_other{net}": distance(
                given.net, given.translations, ids, contents, other
            ),
        }
    )


def distance(net: Net, a: Images, ids_a: np.ndarray, b: Images, ids_b: np.ndarray) -> float:
    """Mean LPIPS of picture ids_a[i] of `a` from picture ids_b[i] of `b`."""
    found = []
    for start in range(0, len(ids_a), BATCH):
        # the last batch is filled up: one program for all
        x, y = (
            images.load(np.resize(ids[start : start + BATCH], BATCH))
            for images, ids in ((a, ids_a), (b, ids_b))
        )
        found.append(np.asarray(_pairs(net)(net.params, x, y)))
    return float(np.concatenate(found)[: len(ids_a)].astype(np.float64).mean())


@functools.lru_cache(maxsize=4)
def _pairs(net: Net):
    @jax.jit
    def distances(params, x, y):
        a, b = (net.apply(params, pictures).features for pictures in (x, y))
        return perceptual.distance(a, b)

    return distances


MEASURES = (
    Measure(
        name="lpips",
        about="perceptual distance (LPIPS, AlexNet) from the true translation, beside the input's",
        needs=Needs(translator=True, truth=True, side=alexnet.LEAST),
        values={
            "lpips{net}": Value(
                -1, "perceptual distance from the true translation, 0 for equal pictures"
            ),
            "lpips_input{net}": Value(
                0, "the same of the untouched input", control_of="lpips{net}"
            ),
        },
        compute=lpips,
        order=115,
        nets=("lpips_alex",),
    ),
    Measure(
        name="content",
        about=(
            "perceptual distance (LPIPS, AlexNet) between a picture and its translation, beside"
            " another picture's"
        ),
        needs=Needs(translator=True, contents=2, side=alexnet.LEAST),
        values={
            "content_lpips{net}": Value(
                -1, "perceptual distance of a translation from its picture, 0 for equal pictures"
            ),
            "content_lpips_other{net}": Value(
                0, "the same from another picture", control_of="content_lpips{net}"
            ),
        },
        compute=content,
        order=142,
        nets=("lpips_alex",),
    ),
)
