"""Monge inception distance: sorted projections, no covariance. arXiv:2605.06797, as in
torch-fidelity."""

import numpy as np
from jaxtyping import Array, Float

from gan_jax import metrics

DIRECTIONS, AT_ONCE = 1000, 100


def mind(real: Float[Array, "N F"], fake: Float[Array, "M F"], seed: int = 0) -> float:
    """3 F times the mean squared difference of sorted projections, over unit directions: 0 and
    more, 0 for equal sets; of a set shifted by m it is 3 |m|^2 in expectation.

    It falls with N = M, as FID does: compare at one N, and with real pictures against real ones.

    Args:
        seed: of the DIRECTIONS directions.
    Raises:
        ValueError: sets of different counts, of fewer than 2 rows, or not finite.
    """
    real, fake = metrics.features("mind", 2, real=real, generated=fake)
    if len(real) != len(fake):
        raise ValueError(f"mind: {len(real):,} real images and {len(fake):,} generated; it needs"
                         " equally many.")  # fmt: skip
    dim, rng, total = real.shape[1], np.random.default_rng(seed), 0.0
    for _ in range(DIRECTIONS // AT_ONCE):
        directions = rng.normal(size=(dim, AT_ONCE))
        directions /= np.linalg.norm(directions, axis=0)
        a, b = (np.sort(x @ directions, axis=0) for x in (real, fake))
        total += np.square(a - b).mean(0).sum()
    return float(3 * dim * total / DIRECTIONS)
