"""Whether translations have the style's colors and textures: the Gram matrices of a network's
feature maps."""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import losses
from gan_jax.evaluation.gather import Given
from gan_jax.evaluation.images import Images
from gan_jax.evaluation.measures.base import Measure, Needs, Result, Value
from gan_jax.pretrained import Net, alexnet

PICTURES = 50  # of a set, at most
BATCH = 4  # pictures that the net sees at a time
DEEPEST = 4  # of the net's taps: of VGG16 relu1_2 to relu4_3, as Johnson et al. 2016 compare


def compute(given: Given) -> Result:
    sets, net = given.sets, given.net
    style = mean(net, sets.real, given.reference)
    made = mean(net, given.translations, np.arange(sets.fake.count))
    before = mean(net, sets.contents, np.arange(sets.contents.count))
    values = {"gram{net}": distance(made, style), "gram_input{net}": distance(before, style)}
    if sets.held_out is not None:
        apart = mean(net, sets.held_out, np.arange(sets.held_out.count))
        values |= {
            "gram_held_out{net}": distance(made, apart),
            "gram_held_out_input{net}": distance(before, apart),
            "gram_held_out_real{net}": distance(style, apart),
        }
    return Result(values)


def mean(net: Net, images: Images, ids: np.ndarray) -> dict[str, np.ndarray]:
    """The mean Gram matrices of the first PICTURES of the pictures `ids`, f64 [C, C] a map, of
    pictures as they are, not resized."""
    ids, total = ids[:PICTURES], {}
    for start in range(0, len(ids), BATCH):
        part = ids[start : start + BATCH]
        found = _grams(net)(net.params, images.load(np.resize(part, BATCH)))
        for name, grams in found.items():
            sums = np.asarray(grams, np.float64)[: len(part)].sum(0)
            total[name] = total.get(name, 0) + sums
    return {name: sums / len(ids) for name, sums in total.items()}


def distance(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> float:
    """|A - B| / |B| by the Frobenius norm, the mean over the maps; 0 for equal styles."""
    return float(np.mean([np.linalg.norm(a[k] - b[k]) / np.linalg.norm(b[k]) for k in b]))


@functools.lru_cache(maxsize=4)
def _grams(net: Net):
    @jax.jit
    def grams(params, x):
        with jax.default_matmul_precision("highest"):
            maps = net.stages(params, x, net.stages_of.taps[:DEEPEST])
            return {name: losses.gram(jnp.asarray(x)) for name, x in maps.items()}

    return grams


MEASURES = (
    Measure(
        name="gram",
        about=(
            "distance of Gram matrices (AlexNet's, VGG16's) from those of the style, beside the"
            " untouched input's"
        ),
        needs=Needs(translator=True, generated=1, real=1, side=alexnet.LEAST),
        values={
            "gram{net}": Value(-1, "distance from the style: colors and textures, 0 for equal"),
            "gram_input{net}": Value(0, "the same of the untouched input", control_of="gram{net}"),
            "gram_held_out{net}": Value(-1, "distance from held-out pictures of the style"),
            "gram_held_out_input{net}": Value(
                0, "the same of the untouched input", control_of="gram_held_out{net}"
            ),
            "gram_held_out_real{net}": Value(
                0, "the same of the style's own pictures", control_of="gram_held_out{net}"
            ),
        },
        compute=compute,
        order=125,
        nets=("alexnet", "vgg16"),
    ),
)
