"""Gradient penalties: functions of a critic and images, unweighted, a value an image.

`critic` maps images [B, H, W, C] to logits of any shape [B, ...] and must not mix images (no batch norm, no minibatch
statistics): the gradient of the summed logits is then each image's own.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

Critic = Callable[[jax.Array], jax.Array]


def grad_penalty(critic: Critic, x: jax.Array) -> jax.Array:
    """Squared input-gradient norm an image, ||d critic(x) / dx||^2: R1 on reals, R2 on fakes.

    Args:
        x: f32 [B, H, W, C] in [-1, 1]. The value depends on this range: in [0, 1] it is 4x larger.
    Returns:
        f32 [B], unweighted. Callers apply gamma / 2 and the mean.
    Reference: Mescheder et al. 2018, arXiv:1801.04406, "simplified gradient penalties".
    """
    grads = jax.grad(lambda images: jnp.sum(critic(images)))(x)
    return jnp.sum(jnp.square(grads), axis=(1, 2, 3))


def interpolate_penalty(critic: Critic, x_real: jax.Array, x_fake: jax.Array, mix: jax.Array) -> jax.Array:
    """(||d critic(x) / dx|| - 1)^2 at x = mix * real + (1 - mix) * fake: WGAN-GP's pull to slope one.

    Args:
        x_real, x_fake: f32 [B, H, W, C] in [-1, 1].
        mix: f32 [B, 1, 1, 1], uniform in [0, 1].
    Returns:
        f32 [B], unweighted. Callers apply lambda (10) and the mean.
    Reference: Gulrajani et al. 2017, arXiv:1704.00028, eq. 3.
    Differs: the norm is sqrt(sum of squares + 1e-12), whose gradient is finite where the critic is flat.
    """
    norm = jnp.sqrt(grad_penalty(critic, mix * x_real + (1 - mix) * x_fake) + 1e-12)
    return jnp.square(norm - 1)
