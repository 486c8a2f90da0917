"""StyleGAN2's convolutions, whose kernels are scaled by a style of each image.

Karras et al. 2020, arXiv:1912.04958.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from gan_jax.distributed import collectives
from gan_jax.nn import conv
from gan_jax.nn.equalized import FIR, Dense, leaky_relu


def modulated_conv(
    x: Float[Array, "B H W I"],
    w: Float[Array, "k k I O"],
    style: Float[Array, "B I"],
    *,
    demodulate: bool = True,
    up: bool = False,
) -> Float[Array, "B {(1+up)}*H {(1+up)}*W O"]:
    """Convolution with the kernel w * style an image, outputs of unit variance (eq. 1 and 3).

    Activations are scaled in place of kernels, before and after one ordinary convolution: the same
    numbers, and the batch needs no grouped one.
    Args:
        w: of an odd size k.
        demodulate: divide by sqrt(sum over k, k, I of (w * style)^2 + 1e-8), a factor for every
            image and output.
        up: twice the size, by a transposed convolution of stride 2 and the FIR filter.
    Returns:
        in x's type; the factors are computed in float32. bfloat16 has float32's range, so kernels
        and styles are not normalized first, as float16 would need.
    """
    scaled, kernel = x * _over_pixels(style, x), w.astype(x.dtype)
    if up:
        y = conv.conv_transpose(scaled, kernel, stride=2)
        y = conv.resample(y, FIR, padding=(1, 1), gain=4)
    else:
        y = conv.conv(scaled, kernel, padding=w.shape[0] // 2)
    if not demodulate:
        return y
    # [I, O]; 50 times as fast as jnp.sum on CPU
    power = sum(jnp.square(tap) for taps in w for tap in taps)
    variance = jnp.dot(jnp.square(style), power, precision="highest")  # [B, O]
    return y * _over_pixels(lax.rsqrt(variance + 1e-8), y)


class ModulatedConv(nn.Module):
    """A layer of the synthesis network: 3x3 modulated convolution, noise, bias, leaky ReLU.

    Attributes:
        noise: "random", one draw a pixel from the stream "noise"; "const", the layer's own picture
            of noise (collection "noise"), the same in every image; "none".
        clamp: bound on the result's magnitude; None: no bound.
        up: twice the size.
    """

    features: int
    up: bool = False
    noise: str = "const"
    clamp: float | None = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W I"], w: Float[Array, "B w_dim"]
    ) -> Float[Array, "B h w {self.features}"]:
        style = Dense(x.shape[-1], bias_init=1.0, name="affine")(w)
        shape = 3, 3, x.shape[-1], self.features
        kernel = self.param("kernel", nn.initializers.normal(1.0), shape)
        x = modulated_conv(x, kernel, style, up=self.up)
        n, *size, _ = x.shape
        const = self.variable(
            "noise", "const", lambda: jax.random.normal(self.make_rng("params"), size)
        )
        strength = self.param("noise_strength", nn.initializers.zeros, ())
        if self.noise == "random":
            rng = self.make_rng("noise")
            noise = collectives.draw(lambda n: jax.random.normal(rng, (n, *size, 1)), n)
            x = x + (strength * noise).astype(x.dtype)
        elif self.noise == "const":
            x = x + (strength * const.value).astype(x.dtype).reshape(1, *size, 1)
        bias = self.param("bias", nn.initializers.zeros, self.features)
        x = leaky_relu(x + bias.astype(x.dtype).reshape(1, 1, 1, -1), clamp=self.clamp)
        if not self.is_initializing():
            self.sow("features", "map", x)  # kept only where a loss asks for it
        return x


class ToRGB(nn.Module):
    """1x1 modulated convolution without demodulation, and a bias."""

    channels: int
    clamp: float | None = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W I"], w: Float[Array, "B w_dim"]
    ) -> Float[Array, "B H W {self.channels}"]:
        style = Dense(x.shape[-1], bias_init=1.0, name="affine")(w) / math.sqrt(x.shape[-1])
        shape = 1, 1, x.shape[-1], self.channels
        kernel = self.param("kernel", nn.initializers.normal(1.0), shape)
        x = modulated_conv(x, kernel, style, demodulate=False)
        bias = self.param("bias", nn.initializers.zeros, self.channels)
        x = x.astype(jnp.float32) + bias.reshape(1, 1, 1, -1)
        return x if self.clamp is None else jnp.clip(x, -self.clamp, self.clamp)


def _over_pixels(channels, x):
    """[B, C] -> [B, 1, 1, C] in x's type."""
    return channels.astype(x.dtype)[:, None, None, :]
