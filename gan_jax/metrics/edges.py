"""Whether two drawings have their edges in the same places."""

from jaxtyping import Array, Bool
from scipy import ndimage


def agreement(a: Bool[Array, "H W"], b: Bool[Array, "H W"], within: float = 2) -> float:
    """F-score of two maps of edge pixels: an edge pixel agrees where the other map has one at most
    `within` pixels away. 1 where neither has any, 0 where one has none."""
    if not (a.any() and b.any()):
        return float(a.any() == b.any())
    near = [ndimage.distance_transform_edt(~edges) <= within for edges in (a, b)]
    precision, recall = near[1][a].mean(), near[0][b].mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0
