"""The residual generator from picture to picture. Johnson et al. 2016, arXiv:1603.08155."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.nn.flat_colors import Flat, check_colors
from gan_jax.nn.guided_filter import guided_filter
from gan_jax.nn.layers import Conv, ConvTranspose
from gan_jax.nn.norms import InstanceNorm
from gan_jax.nn.resample import double, halve, pad_to, reflect


class Generator(nn.Module):
    """Picture -> picture of its size: 7x7, two halvings, residual blocks, two doublings, 7x7, tanh;
    instance norm, ReLU. Layer for layer CycleGAN's and, with `blur`, CUT's.

    Attributes:
        width: channels at full size.
        blocks: residual ones (official: 9, at 128 pixels 6).
        blur: halve and double by FIR filters (Zhang 2019, arXiv:1904.11486), not by strided and
            transposed convolutions.
        residual: the result is the picture plus twice the tanh, cut to [-1, 1], and the picture
            itself at first: for sets that differ little (not in the papers).
        guided: radius, in pixels, of the guided_filter that frees the result, with `residual` its
            change, of grain and has it follow the picture's edges, in sampling only; 0, as in the
            papers: none.
        flat: number of colors that the result is redrawn in (Flat), in sampling only; 0, as in the
            papers: any.
        initializer: how kernels start, a name in nn.init.INITIALIZERS.
        dtype: of the activations.
        sampling_settings: see models.Traits.
    """

    sampling_settings = ("guided", "flat")

    shape: tuple[int, int, int]
    width: int = 64
    blocks: int = 9
    blur: bool = False
    residual: bool = False
    guided: int = 0
    flat: int = 0
    initializer: str = "normal"
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], taps: tuple[int, ...] = (), *, train: bool = False
    ) -> Float[Array, "B H W C"] | tuple[Float[Array, "B H W C"], list[Float[Array, "B _ _ _"]]]:
        """x in [-1, 1], of any size -> the picture, in [-1, 1].

        Args:
            taps: layers in CUT's count: 0 the padded picture, 4 and 8 the halving convolutions, 12
                and on the residual blocks. With any, the result is (the picture, their activations
                in that order); who drops the picture in a compiled program does not pay for it.
        Raises:
            ValueError: there is no such layer.
        """
        layers = {0: reflect(pad_to(x, 4), 3).astype(self.dtype)}
        h = self._activated(self._conv(self.width, "first", kernel_size=7)(layers[0]))
        for level in range(2):
            stride = 1 if self.blur else 2
            h = self._conv(2 * self.width << level, f"down{level}", stride=stride, padding=1)(h)
            layers[4 + 4 * level] = h
            h = halve(self._activated(h)) if self.blur else self._activated(h)
        for n in range(self.blocks):
            change = self._activated(self._conv(h.shape[-1], f"block{n}_0")(reflect(h, 1)))
            change = self._conv(h.shape[-1], f"block{n}_1")(reflect(change, 1))
            h = h + self._normalized(change)
            layers[12 + n] = h
        for level in reversed(range(2)):
            h = self._activated(self._doubled(h, level))
        picture = self._to_picture(h, x, train)
        absent = set(taps) - set(layers)
        if absent:
            known = ", ".join(map(str, layers))
            raise ValueError(f"config.game.taps: no layer {min(absent)}; there are {known}.")
        return (picture, [layers[number] for number in taps]) if taps else picture

    def _conv(self, features: int, name: str, kernel_size: int = 3, stride: int = 1, padding=0):
        return Conv(
            features,
            self.initializer,
            kernel_size=kernel_size,
            stride=stride,
            padding=padding,
            name=name,
        )

    def _normalized(self, x):
        return InstanceNorm(affine=False)(x)  # one a layer: each has moments of its own

    def _activated(self, x):
        return nn.relu(self._normalized(x))

    def _doubled(self, x, level: int):
        features, name = self.width << level, f"up{level}"
        if self.blur:
            return self._conv(features, name, padding=1)(double(x))
        return ConvTranspose(features, self.initializer, kernel_size=3, more=1, name=name)(x)

    def _to_picture(self, h, x, train: bool):
        """The last features of the picture x -> the generator's result."""
        start = "zeros" if self.residual else self.initializer
        h = Conv(self.shape[2], start, kernel_size=7, padding=0, name="last")(reflect(h, 3))
        picture = jnp.tanh(h[:, : x.shape[1], : x.shape[2]].astype(jnp.float32))
        return finished(self, picture, x, train=train)


def finished(
    net: nn.Module, picture: Float[Array, "B H W C"], x: Float[Array, "B H W C"], *, train: bool
) -> Float[Array, "B H W C"]:
    """What a generator's tanh makes of the picture x by its settings `residual`, `guided` and
    `flat`, as `Generator` here has them. To be called in its compact method."""
    if net.guided and not train:
        picture = guided_filter(picture, x.mean(-1, keepdims=True), net.guided)
    if net.residual:
        picture = jnp.clip(x + 2 * picture, -1, 1)
    if check_colors(net.flat, "flat") and not train:
        picture = Flat(net.flat, name="flat")(picture)
    return picture
