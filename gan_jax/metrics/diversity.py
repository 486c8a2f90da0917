"""How unlike each other pictures are: mean pairwise distance of features, over all, within classes,
within clusters.

With LPIPS features (see pretrained/) the squared distance is LPIPS itself.
"""

import numpy as np
from jaxtyping import Array, Float, Int

from gan_jax import metrics


def pairwise(x: Float[Array, "N F"], squared: bool = False) -> float:
    """Mean distance between two different rows of x, of which there are at least 2.

    squared: mean of the squared distance, as LPIPS features want it.
    """
    (x,) = metrics.features("diversity", 2, generated=x)
    if squared:
        return float(2 * x.var(0, ddof=1).sum())  # E |a - b|^2 over pairs
    total = 0.0
    for rows, block in metrics.squared_distances(x, x):
        block[np.arange(len(block)), np.arange(len(x))[rows]] = 0
        total += np.sqrt(block).sum()
    return float(total / (len(x) * (len(x) - 1)))


def within_classes(
    x: Float[Array, "N F"],
    labels: Int[Array, " N"],
    classes: tuple[str, ...],
    squared: bool = False,
) -> dict[str, float]:
    """Class name -> mean distance between two of its pictures: a class that has collapsed stands
    out.

    Raises:
        ValueError: a class with fewer than two pictures; names it.
    """
    (x,) = metrics.features("diversity", 2, generated=x)
    found = {}
    for number, name in enumerate(classes):
        members = x[labels == number]
        if len(members) < 2:
            raise ValueError(
                f"diversity needs at least 2 generated images of each class; class {name!r} has"
                f" {len(members)}. Generate more, or leave the class out."
            )
        found[name] = pairwise(members, squared)
    return found


def within_clusters(
    x: Float[Array, "N F"], centers: Float[Array, "K F"], squared: bool = False
) -> float:
    """Mean over clusters of the mean distance between two of their pictures; each picture joins its
    nearest center.

    Ojha et al. 2021, arXiv:2104.06820, section 4.2: centers are the few training images of a
    few-shot run, and 0 means each cluster holds one picture over and over. Clusters of fewer than
    two count as 0.
    """
    x, centers = metrics.features("diversity", 1, generated=x, center=centers)
    nearest = np.concatenate(
        [block.argmin(1) for _, block in metrics.squared_distances(x, centers)]
    )
    members = [x[nearest == k] for k in range(len(centers))]
    return float(np.mean([pairwise(part, squared) if len(part) > 1 else 0.0 for part in members]))
