"""Pictures with alpha, in [-1, 1]: premultiplied, as networks learn them, and straight, as files
have them. Porter & Duff 1984, doi:10.1145/800031.808606.

Premultiplied, a pixel that nobody sees is black whatever its color was, and mixtures of pixels, at
contours and in a smaller or larger picture, are what one would see of them.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float


def premultiplied(x: Float[Array, "*B C"]) -> Float[Array, "*B C"]:
    """Straight RGBA -> premultiplied; pictures without alpha as they are."""
    if x.shape[-1] != 4:
        return x
    color, alpha = _unit(x)
    return _signed(color * alpha, alpha)


def straight(x: Float[Array, "*B C"]) -> Float[Array, "*B C"]:
    """Premultiplied RGBA -> straight, in [-1, 1]; pictures without alpha as they are.

    Where alpha is below half of 1 / 255 the color is black.
    """
    if x.shape[-1] != 4:
        return x
    color, alpha = _unit(jnp.clip(x, -1, 1))
    seen = alpha >= 0.5 / 255
    return _signed(jnp.where(seen, jnp.minimum(color / jnp.where(seen, alpha, 1), 1), 0), alpha)


def over(x: Float[Array, "*B 4"], background: Float[Array, "*b 3"]) -> Float[Array, "*B 3"]:
    """Premultiplied RGBA over a background in [-1, 1], one color or one a picture."""
    color, alpha = _unit(x)
    behind = (background.reshape(*(1,) * (x.ndim - background.ndim), *background.shape) + 1) / 2
    return 2 * (color + behind * (1 - alpha)) - 1


def _unit(x):
    """[-1, 1] -> [0, 1]: color and alpha apart."""
    x = (x + 1) / 2
    return x[..., :3], x[..., 3:]


def _signed(color, alpha):
    return 2 * jnp.concatenate([color, alpha], -1) - 1
