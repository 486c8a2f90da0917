"""Further pictures that are made of a sample's own, for games that name them in `Game.views`."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from gan_jax.data.degradations import sharpened
from gan_jax.data.images import as_rgb, in_channels
from gan_jax.data.source import Batch, Source
from gan_jax.runtime import registry

EDGES = 100, 200  # thresholds of Canny's gradients, of 8 bits
AROUND = 5  # pixels, the side of what around an edge is blurred
BLUR = np.array([1, 4, 6, 4, 1], np.float32) / 16

SEGMENTS, SIDE = 200, 256  # regions of SLIC in a picture of 256 x 256; of others by their area
SIGMA, COMPACTNESS = 1, 10


class Derived(Source):
    """A source, its samples with further pictures, made by the threads or processes that load it.

    Adds to a batch for each of `names`, keys of VIEWS, uint8 [n, H, W, C]. They depend on the
    pictures that are loaded and on nothing else. None is kept: of random windows none comes again.
    """

    def __init__(self, source: Source, names: Sequence[str]):
        """Raises ValueError where there is no such view, or scikit-image is missing."""
        self.source, self.shape, self.fingerprint = source, source.shape, source.fingerprint
        self.classes, self.targets = source.classes, source.targets
        self.views = {name: registry.choose(VIEWS, name, "Game.views") for name in names}
        if set(names) - {"target_sharp"}:
            _scikit_image()

    def __len__(self) -> int:
        return len(self.source)

    def load(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        batch = self.source.load(ids, seeds)
        for name, (made_of, make) in self.views.items():
            if made_of not in batch:
                raise ValueError(
                    f"Game.views: {name} is made of a {made_of}, and the data has none."
                )
            batch[name] = np.stack([make(picture) for picture in batch[made_of]])
        return batch


def smoothed_edges(picture: np.ndarray) -> np.ndarray:
    """uint8 [H, W, C] with what lies around its edges blurred: what a critic of drawings learns to
    refuse.

    Edges are Canny's at EDGES, dilated by a square of AROUND pixels; the blur is BLUR down and
    across. Chen et al. 2018, CartoonGAN, section 3.2.1; the same in AnimeGANv2.
    Differs: gradients are measured by their length, there by the sum of both directions' sizes.
    """
    feature, _ = _scikit_image()
    gray = in_channels(as_rgb(picture), 1)[..., 0]
    edges = feature.canny(gray, sigma=0, low_threshold=EDGES[0], high_threshold=EDGES[1])
    near = ndimage.binary_dilation(edges, np.ones((AROUND, AROUND), bool))
    blurred = picture.astype(np.float32)
    for axis in (0, 1):
        blurred = ndimage.correlate1d(blurred, BLUR, axis, mode="mirror")
    return np.where(near[..., None], np.rint(blurred).astype(np.uint8), picture)


def superpixels(picture: np.ndarray) -> np.ndarray:
    """uint8 [H, W, C] with each region of like color filled with its mean.

    SLIC (Achanta et al. 2012), as in white-box cartoonization (Wang & Yu 2020), section 3.2.
    """
    _, segmentation = _scikit_image()
    count = max(2, round(SEGMENTS * picture[..., 0].size / SIDE**2))
    how = {"sigma": SIGMA, "start_label": 0}
    regions = segmentation.slic(as_rgb(picture), count, COMPACTNESS, **how).ravel()
    colors = picture.reshape(-1, picture.shape[-1]).astype(np.float64)
    sums = np.stack([np.bincount(regions, channel) for channel in colors.T], 1)
    means = sums / np.maximum(np.bincount(regions), 1)[:, None]
    return np.rint(means).astype(np.uint8)[regions].reshape(picture.shape)


VIEWS = {
    "target_smooth": ("target", smoothed_edges),
    "target_sharp": ("target", sharpened),
    "superpixels": ("image", superpixels),
}
"""Name in a batch -> (what it is made of, how)."""


def _scikit_image():
    """(skimage.feature, skimage.segmentation). Raises ValueError where it is not installed."""
    try:
        from skimage import feature, segmentation
    except ImportError as error:
        raise ValueError(
            "the pictures that this game looks at beside the data's own are made by scikit-image:"
            " pip install 'gan_jax[cartoon]'."
        ) from error
    return feature, segmentation
