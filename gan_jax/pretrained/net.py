"""What a frozen network is to the measures and losses that see pictures by it."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
from jaxtyping import Array, Float, UInt8

from gan_jax.pretrained.images import RESIZES, to_rgb
from gan_jax.runtime import registry
from gan_jax.runtime.files import sha256
from gan_jax.state import PyTree


class Features(NamedTuple):
    features: Float[Array, "n F"]
    logits: Float[Array, "n L"] | None  # None: the net classifies nothing


class Stages(NamedTuple):
    """A net's feature maps.

    Attributes:
        names: of all of them, shallow to deep.
        taps: of those that are usually looked at, shallow to deep.
        maps: (params, f32 RGB [n, H, W, 3] in [0, 255], name) -> the maps by name, down to that
            one; pure.
    """

    names: tuple[str, ...]
    taps: tuple[str, ...]
    maps: Callable[[PyTree, Float[Array, "n H W 3"], str], dict[str, Float[Array, "n _ _ _"]]]


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
        stages_of: what `stages` gives; None: nothing.
        trunk: whose convolutions it has, where other nets have them too: "vgg16" of "lpips_vgg";
            "": its own.
        in_training: whether the run that it measures learned through it or one of its trunk.
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
    stages_of: Stages | None = None
    trunk: str = ""
    in_training: bool = False

    def of_one_trunk(self, other: "Net") -> bool:
        """Whether two nets see by the same convolutions."""
        return (self.trunk or self.name) == (other.trunk or other.name)

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

    def stages(
        self,
        params: PyTree,
        images: UInt8[Array, "n H W C"] | Float[Array, "n H W C"],
        names: Sequence[str] | None = None,
    ) -> dict[str, Float[Array, "n _ _ _"]]:
        """The feature maps of pictures as they are, not resized, by name, in the order of `names`;
        pure, and differentiable in float pictures.

        No deeper than the deepest of them is computed. The matrix products' precision is the
        caller's.

        Args:
            params: `self.params`, or where a caller has put them: a game's losses read
                state.frozen.
            images: uint8 in [0, 255] or float in [-1, 1]; gray, RGB or RGBA (over white).
            names: in self.stages_of.names: of VGG16 "conv4_3" before the ReLU, "relu4_3" after it;
                None: self.stages_of.taps.
        Raises:
            ValueError: the net has no such map, or pictures too small for one.
        """
        if self.stages_of is None:
            raise ValueError(f"features '{self.name}': gives no feature maps, only features.")
        known = self.stages_of.names
        names = self.stages_of.taps if names is None else tuple(names)
        for name in names:
            if name not in known:
                raise ValueError(
                    f"features '{self.name}': no feature map {name!r}."
                    f" {registry.suggest(name, known)}"
                )
        maps = self.stages_of.maps(params, to_rgb(images), max(names, key=known.index))
        for name in names:
            if 0 in maps[name].shape[1:3]:
                size = "x".join(map(str, images.shape[1:3]))
                raise ValueError(
                    f"features '{self.name}': pictures of {size} are too small for {name}."
                )
        return {name: maps[name] for name in names}

    def __call__(self, images: UInt8[Array, "n H W C"] | Float[Array, "n H W C"]) -> Features:
        """Of all pictures at once, compiled: for a few."""
        return _compiled(self)(self.params, images)


@functools.lru_cache(maxsize=8)
def _compiled(net: Net):
    return jax.jit(net.apply)


def digest(*files: pathlib.Path) -> str:
    """The SHA-256 of each, joined by "+"."""
    return "+".join(map(sha256, files))
