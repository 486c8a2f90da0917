"""Whether a translation has its picture's edges where they were."""

import importlib.util

import numpy as np

from gan_jax.evaluation.gather import Given
from gan_jax.evaluation.images import Images, Sets
from gan_jax.evaluation.measures.base import Measure, Needs, Result, Value
from gan_jax.evaluation.measures.identity import others
from gan_jax.evaluation.protocol import Protocol
from gan_jax.metrics import edges, pixels
from gan_jax.pretrained.images import to_rgb

LUMA = (0.299, 0.587, 0.114)
SOURCES = 200  # translations that are compared, at most
SIGMA = 1.0  # of Canny's blur, in pixels; its thresholds are scikit-image's own, .1 and .2 of 255


def compute(given: Given) -> Result:
    contents = given.sets.contents
    count = min(given.sets.fake.count, SOURCES)
    source = np.arange(count) % contents.count
    made = of(given.translations, np.arange(count))
    own, other = (of(contents, ids) for ids in (source, others(contents.count)[source]))
    values = {"edge_agreement": own, "edge_agreement_other": other}
    return Result(
        {
            name: float(np.mean([edges.agreement(a, b) for a, b in zip(made, maps, strict=True)]))
            for name, maps in values.items()
        }
    )


def of(images: Images, ids: np.ndarray) -> list[np.ndarray]:
    """Canny's edges of the pictures' luma, bool [H, W] each."""
    from skimage import feature

    gray = np.asarray(to_rgb(images.load(ids)), np.float64) @ LUMA
    return [feature.canny(x, SIGMA, 0.1 * 255, 0.2 * 255) for x in gray]


def installed(protocol: Protocol, sets: Sets) -> str | None:
    if importlib.util.find_spec("skimage"):
        return None
    return "edges needs scikit-image: pip install scikit-image."


MEASURES = (
    Measure(
        name="edges",
        about="share of edges that a translation keeps in their places, beside another picture's",
        needs=Needs(translator=True, contents=2, side=pixels.SSIM_SIDE),
        values={
            "edge_agreement": Value(
                1, "F-score of Canny's edges of a picture and its translation, within 2 pixels"
            ),
            "edge_agreement_other": Value(
                0, "the same of another picture", control_of="edge_agreement"
            ),
        },
        compute=compute,
        counts=installed,
        order=144,
    ),
)
