"""Kernel inception distance: the squared maximum mean discrepancy of two sets of features, unbiased
for any counts."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float

from gan_jax import metrics


class Kid(NamedTuple):
    value: float
    se: float  # standard error, from leaving out each image once


def kid(real: Float[Array, "N F"], fake: Float[Array, "M F"]) -> Kid:
    """The unbiased estimate under the kernel (x.y / F + 1)^3, and its standard error by the
    jackknife.

    Binkowski et al. 2018, arXiv:1801.01401, section 4. 0 in the mean where both sets have one
    distribution, so it may fall below 0. Differs: the paper averages random subsets of 1,000; this
    is their mean over all subsets, without the draw's noise. The jackknife errs on the large side
    where the sets are of one distribution.

    Raises ValueError for fewer than 3 of each.
    """
    real, fake = metrics.features("kid", 3, real=real, generated=fake)
    n, m = len(real), len(fake)
    own_real, own_fake = _row_sums(real, real), _row_sums(fake, fake)
    own_real, own_fake = own_real - _kernel_diagonal(real), own_fake - _kernel_diagonal(fake)
    cross_real, cross_fake = _row_sums(real, fake), _row_sums(fake, real)
    a, b, c = own_real.sum(), own_fake.sum(), cross_real.sum()

    def estimate(a, n, b, m, c):
        return a / (n * (n - 1)) + b / (m * (m - 1)) - 2 * c / (n * m)

    without_real = estimate(a - 2 * own_real, n - 1, b, m, c - cross_real)
    without_fake = estimate(a, n, b - 2 * own_fake, m - 1, c - cross_fake)
    variance = sum((len(x) - 1) * x.var() for x in (without_real, without_fake))
    return Kid(float(estimate(a, n, b, m, c)), float(np.sqrt(variance)))


def _row_sums(x, y):
    """Sum of the kernel over y, for each row of x."""
    blocks = [
        ((x[i : i + metrics.ROWS] @ y.T / x.shape[1] + 1) ** 3).sum(1)
        for i in range(0, len(x), metrics.ROWS)
    ]
    return np.concatenate(blocks)


def _kernel_diagonal(x):
    return (np.einsum("nf,nf->n", x, x) / x.shape[1] + 1) ** 3
