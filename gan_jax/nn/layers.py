"""Layers with weights: dense, convolutions, label tables; with spectral norm where wanted.

Parameters are float32; a layer computes in its input's type. Biases start at zero.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gan_jax.distributed import collectives
from gan_jax.nn import conv, init
from gan_jax.nn.norms import SpectralNorm, rows


class Weights(nn.Module):
    """What every layer here shares: a kernel by its initializer's name, spectral norm, a bias."""

    features: int
    initializer: str | Callable = "orthogonal"
    spectral_norm: bool = False
    bias: bool = True

    def kernel(
        self, shape: tuple[int, ...], x: Float[Array, "..."], train: bool
    ) -> Float[Array, "..."]:
        """The kernel in x's type, divided by its spectral norm if that is set."""
        w = self.param("kernel", init.initializer(self.initializer), shape)
        if self.spectral_norm:
            w = SpectralNorm(name="spectral_norm")(w, train=train)
        return w.astype(x.dtype)

    def shift(
        self, x: Float[Array, "*shape {self.features}"]
    ) -> Float[Array, "*shape {self.features}"]:
        """x plus the bias, if there is one."""
        if not self.bias:
            return x
        bias = self.param("bias", nn.initializers.zeros, self.features)
        return x + bias.astype(x.dtype).reshape((1,) * (x.ndim - 1) + (-1,))


class Dense(Weights):
    """A dense layer."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "*batch I"], *, train: bool = False
    ) -> Float[Array, "*batch {self.features}"]:
        return self.shift(jnp.dot(x, self.kernel((x.shape[-1], self.features), x, train)))


class Conv(Weights):
    """A convolution.

    Attributes:
        kernel_size: taps in each direction.
        padding: zeros on each side, or ((top, bottom), (left, right)).
        resample: "none"; "up" doubles the size before it by nearest neighbors; "down" halves it
            after it by averages (both 3x3, padded by 1: stride, padding and groups are not read).
    """

    kernel_size: int = 3
    stride: int = 1
    padding: conv.Padding = 1
    groups: int = 1
    resample: str = "none"

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W I"], *, train: bool = False
    ) -> Float[Array, "B h w {self.features}"]:
        k = self.kernel_size
        w = self.kernel((k, k, x.shape[-1] // self.groups, self.features), x, train)
        if self.resample == "none":
            return self.shift(conv.conv(x, w, self.stride, self.padding, self.groups))
        return self.shift({"up": conv.upsample_conv, "down": conv.conv_pool}[self.resample](x, w))


class ConvTranspose(Weights):
    """A transposed convolution: H = stride * (h - 1) + kernel_size - 2 * padding + more.

    The kernel is kept as [k, k, features, I], that of the convolution whose input gradient this is:
    initializers see it as PyTorch's do.
    """

    kernel_size: int = 4
    stride: int = 2
    padding: int = 1
    more: int = 0

    @nn.compact
    def __call__(
        self, x: Float[Array, "B h w I"], *, train: bool = False
    ) -> Float[Array, "B H W {self.features}"]:
        k = self.kernel_size
        w = self.kernel((k, k, self.features, x.shape[-1]), x, train)
        size = tuple(self.stride * (n - 1) + k - 2 * self.padding + self.more for n in x.shape[1:3])
        return self.shift(conv.conv_transpose(x, w.swapaxes(2, 3), self.stride, self.padding, size))


class Embed(Weights):
    """A row of a table for each of n_classes labels."""

    n_classes: int = 0
    bias: bool = False

    @nn.compact
    def __call__(
        self, y: Int[Array, " B"], *, train: bool = False
    ) -> Float[Array, "B {self.features}"]:
        table = self.kernel((self.n_classes, self.features), jnp.zeros((), jnp.float32), train)
        return rows(table, y)


class Dropout(nn.Module):
    """A share `rate` of the activations set to zero in training, the others divided by 1 - rate.

    Srivastava et al. 2014. Unlike Flax's, it has each of several devices drop by its own rows of
    one draw (stream "dropout").
    Raises:
        ValueError: a rate outside of [0, 1).
    """

    rate: float

    @nn.compact
    def __call__(self, x: Float[Array, "*shape"], *, train: bool = False) -> Float[Array, "*shape"]:
        if not 0 <= self.rate < 1:
            raise ValueError(f"dropout={self.rate}: it must be 0 or more, and below 1.")
        if not train or not self.rate:
            return x
        rng, keep = self.make_rng("dropout"), 1 - self.rate
        kept = collectives.draw(
            lambda n: jax.random.bernoulli(rng, keep, (n, *x.shape[1:])), x.shape[0]
        )
        return jnp.where(kept, x / keep, 0)


def check_labels(y: Int[Array, " B"] | None, n_classes: int) -> None:
    """Raises ValueError where labels and the network's n_classes do not go together."""
    if y is None and n_classes:
        raise ValueError(f"This network has n_classes={n_classes}: it needs labels y, int32 [B].")
    if y is not None and not n_classes:
        raise ValueError(
            "This network has n_classes=0, so it takes no labels: drop y, or build it with"
            " n_classes."
        )
