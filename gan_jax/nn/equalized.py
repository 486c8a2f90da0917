"""Layers with an equalized learning rate: weights start at N(0, 1) and are scaled when used.

So Adam moves every layer at the same relative speed. Karras et al. 2018, arXiv:1710.10196, section
4.1. The scale is applied to the result, which is often smaller than the kernel. Parameters are
float32; a layer computes in its input's type.
"""

import math

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from gan_jax.nn import conv
from gan_jax.nn.norms import rows

FIR = (1, 3, 3, 1)  # the taps of every resampling of StyleGAN2


class Dense(nn.Module):
    """A dense layer.

    Attributes:
        lr_mult: how many times slower than others it learns (0.01 in mapping networks): weights
            start so many times larger, and are multiplied by it when used; so is the bias.
        bias_init: start of the bias.
        activate: a leaky ReLU follows.
    """

    features: int
    lr_mult: float = 1.0
    bias_init: float = 0.0
    activate: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "B I"]) -> Float[Array, "B {self.features}"]:
        start = nn.initializers.normal(1 / self.lr_mult)
        w = self.param("kernel", start, (x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.constant(self.bias_init), self.features)
        x = jnp.dot(x, w.astype(x.dtype)) * (self.lr_mult / math.sqrt(x.shape[-1]))
        x = x + (bias * self.lr_mult).astype(x.dtype).reshape(1, -1)
        return leaky_relu(x) if self.activate else x


class Embed(nn.Module):
    """`Dense` of the one-hot label."""

    features: int
    n_classes: int

    @nn.compact
    def __call__(self, y: Int[Array, " B"]) -> Float[Array, "B {self.features}"]:
        table = self.param("kernel", nn.initializers.normal(1.0), (self.n_classes, self.features))
        bias = self.param("bias", nn.initializers.zeros, self.features)
        return rows(table, y) / math.sqrt(self.n_classes) + bias.reshape(1, -1)


class Conv(nn.Module):
    """A convolution that keeps the size or, with `down`, halves it, filtered by FIR first.

    Attributes:
        activate: bias and leaky ReLU follow; without it neither does.
        gain: multiplies the result.
        clamp: bound on its magnitude, before that gain; None: no bound.
    """

    features: int
    kernel_size: int = 3
    down: bool = False
    activate: bool = True
    gain: float = 1.0
    clamp: float | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "B H W I"]) -> Float[Array, "B h w {self.features}"]:
        k = self.kernel_size
        shape = k, k, x.shape[-1], self.features
        w = self.param("kernel", nn.initializers.normal(1.0), shape).astype(x.dtype)
        scale = 1 / math.sqrt(k * k * x.shape[-1])
        if not self.down:
            x = conv.conv(x, w, padding=k // 2)
        elif k == 1:
            x = conv.conv(conv.resample(x, FIR, down=2, padding=(1, 1)), w)
        else:
            x = conv.conv(conv.resample(x, FIR, padding=(k // 2 + 1, k // 2 + 1)), w, stride=2)
        if not self.activate:
            return x * (scale * self.gain)
        x = x * scale
        bias = self.param("bias", nn.initializers.zeros, self.features)
        return leaky_relu(x + bias.astype(x.dtype).reshape(1, 1, 1, -1), self.gain, self.clamp)


def leaky_relu(
    x: Float[Array, "*shape"], gain: float = 1.0, clamp: float | None = None
) -> Float[Array, "*shape"]:
    """Slope 0.2 below 0; times sqrt(2), to keep the variance; in [-clamp, clamp]; times `gain`."""
    x = jnp.where(x >= 0, x, 0.2 * x) * (math.sqrt(2) * gain)
    return x if clamp is None else jnp.clip(x, -clamp * gain, clamp * gain)


def normalize(x: Float[Array, "B C"]) -> Float[Array, "B C"]:
    """Each row scaled to a mean square of one."""
    return x * lax.rsqrt(jnp.mean(jnp.square(x), axis=1, keepdims=True) + 1e-8)
