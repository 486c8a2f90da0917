"""What a frozen network is to the measures and losses that see pictures by it."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import NamedTuple

import jax
from jaxtyping import Array, Float, UInt8

from gan_jax.pretrained.images import RESIZES, to_rgb
from gan_jax.runtime.files import sha256
from gan_jax.state import PyTree


class Features(NamedTuple):
    features: Float[Array, "n F"]
    logits: Float[Array, "n L"] | None  # None: the net classifies nothing


@dataclasses.dataclass(frozen=True, eq=False)
class Net:
    """A frozen network with its weights.

    Attributes:
        name: in pretrained.NETS, "efflite0".
        suffix: what a metric measured with it is called by, "_efflite0"; "" for the FID Inception
            alone.
        dim: F; 0 where it depends on the pictures' size.
        n_logits: L; 0: it classifies nothing.
        side: pictures are resized to side x side; None: taken as they are.
        resize: the filter for that, a name in images.RESIZES; "none" where side is None.
        sha256: of the weights' files, joined by "+".
        params: numpy arrays.
        forward: (params, f32 RGB [n, side, side, 3] in [0, 255]) -> Features; pure.
        squared_distance: whether the squared distance of two vectors of features, not the distance,
            is the perceptual distance of their pictures, as LPIPS's is.
    """

    name: str
    suffix: str
    dim: int
    n_logits: int
    side: int | None
    resize: str
    sha256: str
    params: PyTree
    forward: Callable[[PyTree, Float[Array, "n H W 3"]], Features]
    squared_distance: bool = False

    def apply(
        self, params: PyTree, images: UInt8[Array, "n H W C"] | Float[Array, "n H W C"]
    ) -> Features:
        """The features of pictures; pure, and differentiable in float pictures.

        Args:
            params: `self.params`, or where a caller has put them.
            images: uint8 in [0, 255] or float in [-1, 1]; gray, RGB or RGBA (over white).
        """
        x = to_rgb(images)
        x = x if self.side is None else RESIZES[self.resize](x, self.side)
        with jax.default_matmul_precision("highest"):  # a GPU's own choice would be TF32
            return self.forward(params, x)

    def __call__(self, images: UInt8[Array, "n H W C"] | Float[Array, "n H W C"]) -> Features:
        """Of all pictures at once, compiled: for a few."""
        return _compiled(self)(self.params, images)


@functools.lru_cache(maxsize=8)
def _compiled(net: Net):
    return jax.jit(net.apply)


def digest(*files: pathlib.Path) -> str:
    """The SHA-256 of each, joined by "+"."""
    return "+".join(map(sha256, files))
