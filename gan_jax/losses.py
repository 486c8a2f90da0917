"""Losses, unweighted, the mean over the batch: adversarial ones of critic logits, content and style
of a frozen network's feature maps, total variation and color of pictures.

The logits of a patch critic are [B, h, w], of others [B]. A generator's loss that compares reals
with fakes needs both; the others ignore the reals, which may then be None. Feature maps are what
pretrained.Net.stages gives, by name; several add up.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax.numpy as jnp
from jax.nn import relu, softplus
from jaxtyping import Array, Float

Logits = Float[Array, "B *patches"]
Maps = Mapping[str, Float[Array, "_ _ _ _"]]
# Y, U, V from R, G, B in [0, 1], as tf.image.rgb_to_yuv rounds them
YUV = (
    (0.299, 0.587, 0.114),
    (-0.14714119, -0.28886916, 0.43601035),
    (0.61497538, -0.51496512, -0.10001026),
)

# about what a net whose pixels are divided by their deviation must be multiplied by to be one that
# sees them of 255 units, as the official VGG19 does: maps of ReLUs grow with their input
PIXELS = 57.0


class Loss(NamedTuple):
    """One adversarial objective: what the critic minimizes, what the generator minimizes, both
    functions of (logits_real, logits_fake)."""

    d: Callable[[Logits, Logits], Float[Array, ""]]
    g: Callable[[Logits | None, Logits], Float[Array, ""]]


def logistic_d(real: Logits, fake: Logits) -> Float[Array, ""]:
    """-log sigmoid(real) - log(1 - sigmoid(fake)).
    Goodfellow et al. 2014, arXiv:1406.2661, eq. 1."""
    return jnp.mean(softplus(-real)) + jnp.mean(softplus(fake))


def saturating_g(real: Logits | None, fake: Logits) -> Float[Array, ""]:
    """log(1 - sigmoid(fake)): the minimax game as written,
    whose gradient vanishes while the critic wins. Ibid."""
    return -jnp.mean(softplus(fake))


def non_saturating_g(real: Logits | None, fake: Logits) -> Float[Array, ""]:
    """-log sigmoid(fake). Ibid., section 3."""
    return jnp.mean(softplus(-fake))


def hinge_d(real: Logits, fake: Logits) -> Float[Array, ""]:
    """Lim & Ye 2017, arXiv:1705.02894; Miyato et al. 2018, arXiv:1802.05957, eq. 16."""
    return jnp.mean(relu(1 - real)) + jnp.mean(relu(1 + fake))


def wasserstein_d(real: Logits, fake: Logits) -> Float[Array, ""]:
    """Arjovsky et al. 2017, arXiv:1701.07875; needs a bounded critic:
    a penalty or clipped weights."""
    return jnp.mean(fake) - jnp.mean(real)


def wasserstein_g(real: Logits | None, fake: Logits) -> Float[Array, ""]:
    """Also the generator's side of the hinge loss."""
    return -jnp.mean(fake)


def least_squares_d(real: Logits, fake: Logits) -> Float[Array, ""]:
    """Targets 1 and 0, without the factor 1/2. Mao et al. 2017, arXiv:1611.04076, eq. 9."""
    return jnp.mean(jnp.square(real - 1)) + jnp.mean(jnp.square(fake))


def least_squares_g(real: Logits | None, fake: Logits) -> Float[Array, ""]:
    """Target 1, without the factor 1/2. Ibid."""
    return jnp.mean(jnp.square(fake - 1))


def relativistic_d(real: Logits, fake: Logits) -> Float[Array, ""]:
    """Real i is paired with fake i. Jolicoeur-Martineau 2018, arXiv:1807.00734; Huang et al. 2024,
    arXiv:2501.05441."""
    return jnp.mean(softplus(fake - real))


def relativistic_g(real: Logits, fake: Logits) -> Float[Array, ""]:
    """The mirror image of `relativistic_d`. Ibid."""
    return jnp.mean(softplus(real - fake))


def l1(a: Float[Array, "*shape"], b: Float[Array, "*shape"]) -> Float[Array, ""]:
    """Mean absolute difference."""
    return jnp.mean(jnp.abs(a - b))


def content(a: Maps, b: Maps) -> Float[Array, ""]:
    """Mean absolute difference of feature maps of equal sizes.
    AnimeGANv2's, of one map before its ReLU; Chen et al. 2020 (AnimeGAN)."""
    return sum(l1(a[name], b[name]) for name in _same_names(a, b))


def gram(x: Float[Array, "n H W C"]) -> Float[Array, "n C C"]:
    """Products of channels summed over the places, divided by H * W * C.
    Johnson et al. 2016, arXiv:1603.08155, eq. 3."""
    places = x.reshape(x.shape[0], -1, x.shape[3])
    return jnp.einsum("npc,npd->ncd", places, places) / (places.shape[1] * x.shape[3])


def style(a: Maps, b: Maps) -> Float[Array, ""]:
    """Mean absolute difference of Gram matrices. AnimeGANv2's.

    Maps may differ in size. Picture i is compared with picture i, or with the one that there is.
    """
    return sum(jnp.mean(jnp.abs(gram(a[name]) - gram(b[name]))) for name in _same_names(a, b))


def total_variation(x: Float[Array, "n H W C"]) -> Float[Array, ""]:
    """Half the mean squared difference of neighbors, in both directions; 0 for one color.

    AnimeGANv2's. White-box cartoonization's is 2 / (3 H W) times this.
    """
    down, right = x[:, 1:] - x[:, :-1], x[:, :, 1:] - x[:, :, :-1]
    return (jnp.mean(jnp.square(down)) + jnp.mean(jnp.square(right))) / 2


def gray(x: Float[Array, "n H W 3"]) -> Float[Array, "n H W 3"]:
    """RGB -> its luma, three times."""
    return jnp.broadcast_to(x @ jnp.asarray(YUV[0], x.dtype)[:, None], x.shape)


def color(a: Float[Array, "n H W 3"], b: Float[Array, "n H W 3"]) -> Float[Array, ""]:
    """Of pictures in [-1, 1], in YUV: mean |dY| + Huber(dU) + Huber(dV), whose corner is at 1.
    AnimeGANv2's."""
    difference = jnp.einsum("nhwc,yc->nhwy", (a - b) / 2, jnp.asarray(YUV), precision="highest")
    size = jnp.abs(difference)
    huber = jnp.where(size < 1, jnp.square(size) / 2, size - 0.5)
    return jnp.mean(size[..., 0]) + jnp.mean(huber[..., 1]) + jnp.mean(huber[..., 2])


def _same_names(a: Maps, b: Maps) -> list[str]:
    if a.keys() != b.keys():
        raise ValueError(f"feature maps {sorted(a)} compared with {sorted(b)}.")
    return list(a)


LOSSES = {
    "minimax": Loss(logistic_d, saturating_g),
    "non_saturating": Loss(logistic_d, non_saturating_g),
    "hinge": Loss(hinge_d, wasserstein_g),
    "least_squares": Loss(least_squares_d, least_squares_g),
    "wasserstein": Loss(wasserstein_d, wasserstein_g),
    "relativistic": Loss(relativistic_d, relativistic_g),
}
