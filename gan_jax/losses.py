"""Adversarial losses: functions of critic logits, unweighted, the mean over the batch.

The logits of a patch critic are [B, h, w], of others [B]. A generator's loss that compares reals
with fakes needs both; the others ignore the reals, which may then be None.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax.nn import relu, softplus
from jaxtyping import Array, Float

Logits = Float[Array, "B *patches"]


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


LOSSES = {
    "minimax": Loss(logistic_d, saturating_g),
    "non_saturating": Loss(logistic_d, non_saturating_g),
    "hinge": Loss(hinge_d, wasserstein_g),
    "least_squares": Loss(least_squares_d, least_squares_g),
    "wasserstein": Loss(wasserstein_d, wasserstein_g),
    "relativistic": Loss(relativistic_d, relativistic_g),
}
