"""Adversarial losses: functions of critic logits, unweighted, the mean over the batch.

Each takes `logits_real`, `logits_fake` of any equal-batch shapes ([B], or [B, h, w] of a patch
critic) and returns f32 []. `loss_g` of a loss that compares reals and fakes needs both; the others
ignore the reals.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import relu, softplus


class Loss(NamedTuple):
    """One adversarial objective: what the critic minimizes, what the generator minimizes."""

    d: Callable[[jax.Array, jax.Array], jax.Array]  # (logits_real, logits_fake) -> f32 []
    g: Callable[[jax.Array, jax.Array], jax.Array]  # (logits_real, logits_fake) -> f32 []


def logistic_d(real, fake):
    """-log sigmoid(real) - log(1 - sigmoid(fake)). Goodfellow et al. 2014, arXiv:1406.2661, eq.
    1."""
    return jnp.mean(softplus(-real)) + jnp.mean(softplus(fake))


def saturating_g(real, fake):
    """log(1 - sigmoid(fake)): the minimax game as written, whose gradient vanishes while the critic
    wins. Ibid."""
    return -jnp.mean(softplus(fake))


def non_saturating_g(real, fake):
    """-log sigmoid(fake). Ibid., section 3."""
    return jnp.mean(softplus(-fake))


def hinge_d(real, fake):
    """Lim & Ye 2017, arXiv:1705.02894; Miyato et al. 2018, arXiv:1802.05957, eq. 16."""
    return jnp.mean(relu(1 - real)) + jnp.mean(relu(1 + fake))


def wasserstein_d(real, fake):
    """Arjovsky et al. 2017, arXiv:1701.07875; needs a bounded critic: a penalty or clipped
    weights."""
    return jnp.mean(fake) - jnp.mean(real)


def wasserstein_g(real, fake):
    """Also the generator's side of the hinge loss."""
    return -jnp.mean(fake)


def least_squares_d(real, fake):
    """Targets 1 and 0, without the factor 1/2. Mao et al. 2017, arXiv:1611.04076, eq. 9."""
    return jnp.mean(jnp.square(real - 1)) + jnp.mean(jnp.square(fake))


def least_squares_g(real, fake):
    return jnp.mean(jnp.square(fake - 1))


def relativistic_d(real, fake):
    """Real i is paired with fake i. Jolicoeur-Martineau 2018, arXiv:1807.00734; Huang et al. 2024,
    arXiv:2501.05441."""
    return jnp.mean(softplus(fake - real))


def relativistic_g(real, fake):
    return jnp.mean(softplus(real - fake))


def l1(a, b):
    """Mean absolute difference of two arrays of one shape, f32 []."""
    return jnp.mean(jnp.abs(a - b))


LOSSES = {
    "minimax": Loss(logistic_d, saturating_g),
    "non_saturating": Loss(logistic_d, non_saturating_g),
    "hinge": Loss(hinge_d, wasserstein_g),
    "least_squares": Loss(least_squares_d, least_squares_g),
    "wasserstein": Loss(wasserstein_d, wasserstein_g),
    "relativistic": Loss(relativistic_d, relativistic_g),
}
