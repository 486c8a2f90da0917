"""DeepFill v2: gated convolutions, a coarse network and a finer one that copies from what is known.
Yu et al. 2019, arXiv:1806.03589; contextual attention: Yu et al. 2018, arXiv:1801.07892. Layer for
layer the official networks."""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from gan_jax.nn import conv
from gan_jax.nn.conv_plain import LAYOUT
from gan_jax.nn.layers import Conv, Weights
from gan_jax.nn.resample import depth_to_space, pad_to

START = "xavier"  # TensorFlow's own
SHARPNESS = 10.0  # of the attention's softmax
FLOOR = 1e-4  # patches that are shorter stay so
LARGE, DOWN, UP = dict(kernel_size=5), dict(stride=2), dict(up=True)
DILATED = [dict(rate=rate) for rate in (2, 4, 8, 16)]


class Generator(nn.Module):
    """A picture with holes -> a coarse whole one, and from it the finer one that counts.

    The second network has two branches, one of dilated convolutions and one that fills holes with
    patches of what is known (`contextual_attention`). All convolutions but the last are gated.

    Attributes:
        width: channels of the first layer before it is gated, which halves them (official: 48); a
            multiple of 4.
        dtype: of the activations; the attention's scores are in float32.
    Differs: every second pixel is kept where the official program halves sizes for the attention
        aligned at the corners, which moves from the first to the second of each pair.
    """

    side_multiple = 8

    width: int = 48
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W 4"], *, train: bool = False
    ) -> tuple[Float[Array, "B H W 3"], Float[Array, "B H W 3"]]:
        """x: the colors in [-1, 1], 0 in holes, and 1 in holes, 0 elsewhere, of any size ->
        (coarse, refined) pictures in [-1, 1].

        Raises ValueError: a width that is no multiple of 4.
        """
        if self.width % 4:
            raise ValueError(f"config.g.width={self.width}: it must be a multiple of 4.")
        height, width = x.shape[1:3]
        padded, w = pad_to(x, self.side_multiple), self.width
        colors, m = padded[..., :3], padded[..., 3:]
        h = jnp.concatenate([colors, jnp.ones_like(m), m], -1).astype(self.dtype)
        steps = (w, LARGE), (2 * w, DOWN), (2 * w, {}), (4 * w, DOWN), *2 * [(4 * w, {})]
        dilated = [(4 * w, how) for how in DILATED]
        coarse = self._picture(self._layers(h, "coarse", *steps, *dilated), "coarse")

        h = (m * coarse + (1 - m) * colors).astype(self.dtype)
        steps = (w, LARGE), (w, DOWN), (2 * w, {}), (2 * w, DOWN), *2 * [(4 * w, {})]
        drawn = self._layers(h, "drawn", *steps, *dilated)
        steps = (w, LARGE), (w, DOWN), (2 * w, {}), (4 * w, DOWN), (4 * w, {})
        copied = self._layers(h, "copied", *steps, (4 * w, dict(activation=nn.relu)))
        copied = contextual_attention(copied, m[:, ::4, ::4])
        copied = self._layers(copied, "pasted", *2 * [(4 * w, {})])
        refined = self._picture(jnp.concatenate([drawn, copied], -1), "refined")
        return coarse[:, :height, :width], refined[:, :height, :width]

    def _layers(self, x, name: str, *steps: tuple[int, dict]):
        """Gated convolutions one after another: (features, settings) of each."""
        for number, (features, how) in enumerate(steps):
            x = Gated(features, START, name=f"{name}{number}", **how)(x)
        return x

    def _picture(self, x, name: str):
        """A quarter of the size -> the picture."""
        w = self.width
        steps = *2 * [(4 * w, {})], (2 * w, UP), (2 * w, {}), (w, UP), (w // 2, {})
        x = self._layers(x, f"{name}_picture", *steps).astype(jnp.float32)
        return jnp.tanh(Conv(3, START, name=f"{name}_last")(x))


class Gated(Weights):
    """A convolution, of whose channels one half, activated, is multiplied by the sigmoid of the
    other: of `features` channels half are left. Section 3.1.

    Attributes:
        features: channels of the convolution, an even number.
        kernel_size: taps in each direction, an odd number.
        stride: 1, or 2 for an even size.
        rate: distance of neighboring taps (of 3x3, stride 1).
        up: the size is doubled first by nearest neighbors (3x3, stride 1).
        activation: of the first half.
    """

    kernel_size: int = 3
    stride: int = 1
    rate: int = 1
    up: bool = False
    activation: Callable = nn.elu

    @nn.compact
    def __call__(self, x: Float[Array, "B H W I"]) -> Float[Array, "B h w {self.features}//2"]:
        k = self.kernel_size
        w = self.kernel((k, k, x.shape[-1], self.features), x, False)
        if self.up:
            h = conv.upsample_conv(x, w)
        elif self.rate > 1:
            h = dilated_conv(x, w, self.rate)
        else:
            before = (k - self.stride) // 2  # more zeros at the bottom and right, if any
            pad = before, k - self.stride - before
            h = conv.conv(x, w, self.stride, (pad, pad))
        drawn, gate = jnp.split(self.shift(h), 2, -1)
        return self.activation(drawn) * nn.sigmoid(gate)


def dilated_conv(
    x: Float[Array, "B H W I"], w: Float[Array, "3 3 I O"], rate: int
) -> Float[Array, "B H W O"]:
    """A convolution whose taps are `rate` pixels apart, zeros around; on CPUs too as fast as one
    whose taps are neighbors."""
    pad = 2 * ((rate, rate),)
    return lax.conv_general_dilated(
        x, w, (1, 1), pad, rhs_dilation=(rate, rate), dimension_numbers=LAYOUT
    )


def contextual_attention(
    x: Float[Array, "B H W C"], m: Float[Array, "B H W 1"]
) -> Float[Array, "B H W C"]:
    """Each place as the mean of the known places' 4x4 patches, by how alike their surroundings are.

    Places are those of every second row and column, H and W even. Alike is the product of one's 3x3
    surroundings with the other's at length 1, summed along the diagonals, so that neighbors are
    copied from neighbors. Patches overlap and are averaged. arXiv:1801.07892, section 4.1.

    Args:
        m: 1 in holes. A patch counts as known where none of its 3x3 places is missing; with no such
            patch the result is 0.
    """
    b, height, width, _ = x.shape
    h, w = height // 2, width // 2
    near = patches(x[:, ::2, ::2].astype(jnp.float32), 3)
    square = jnp.sum(jnp.square(near), -1, keepdims=True)
    unit = near * lax.rsqrt(jnp.maximum(square, FLOOR**2))
    scores = along_diagonal(jnp.einsum("bnc,bkc->bnk", near, unit))
    turned = scores.reshape(b, h, w, h, w).transpose(0, 2, 1, 4, 3).reshape(scores.shape)
    turned = along_diagonal(turned).reshape(b, w, h, w, h)
    scores = turned.transpose(0, 2, 1, 4, 3).reshape(scores.shape)
    missing = jnp.max(patches(m[:, ::2, ::2], 3), -1)[:, None]  # [B, 1, N]
    known = (missing == 0).astype(jnp.float32)
    weights = nn.softmax(SHARPNESS * scores * known) * known
    pasted = jnp.einsum("bnk,bkc->bnc", weights.astype(x.dtype), patches(x, 4, 2)) / 4
    return overlapped(pasted.reshape(b, h, w, -1))


def patches(
    x: Float[Array, "B H W C"], size: int, stride: int = 1
) -> Float[Array, "B N {size}*{size}*C"]:
    """The squares of `size` pixels around every stride-th place, zeros around the picture, by rows:
    (3, 1) around each pixel, (4, 2) around each 2x2."""
    b, height, width, c = x.shape
    h, w, end = height // stride, width // stride, size - stride - 1
    x = jnp.pad(x, ((0, 0), (1, end), (1, end), (0, 0)))
    found = [
        x[:, i : i + stride * (h - 1) + 1 : stride, j : j + stride * (w - 1) + 1 : stride]
        for i in range(size)
        for j in range(size)
    ]
    return jnp.stack(found, 3).reshape(b, h * w, size * size * c)


def along_diagonal(scores: Float[Array, "B N K"]) -> Float[Array, "B N K"]:
    """Each score plus the two beside it on its diagonal."""
    wide = jnp.pad(scores, ((0, 0), (1, 1), (1, 1)))
    return wide[:, :-2, :-2] + scores + wide[:, 2:, 2:]


def overlapped(tiles: Float[Array, "B h w D"]) -> Float[Array, "B 2*h 2*w D//16"]:
    """Tiles of 4x4 pixels laid two pixels apart and summed where they overlap; what sticks out by a
    pixel is cut off."""
    b, h, w, d = tiles.shape
    tiles = tiles.reshape(b, h, w, 2, 2, 2, 2, d // 16)  # halves of rows, rows, of columns, columns

    def moved(down, right):
        part = tiles[:, :, :, down, :, right].reshape(b, h, w, d // 4)
        return jnp.pad(part, ((0, 0), (down, 1 - down), (right, 1 - right), (0, 0)))

    whole = sum(moved(down, right) for down in (0, 1) for right in (0, 1))
    return depth_to_space(whole, 2)[:, 1:-1, 1:-1]


class Discriminator(nn.Module):
    """A critic of patches, SN-PatchGAN: six 5x5 convolutions of stride 2 with spectral norm and
    leaky ReLU. Each number that the last one gives, of every place and channel, is a logit. Section
    3.2.

    Attributes:
        width: channels of the first layer (official: 64); twice as many in the second, four times
            in the others.
        dtype: of the activations.
    """

    width: int = 64
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], *, train: bool = False
    ) -> Float[Array, "B h w {4*self.width}"]:
        """x: the colors in [-1, 1], and 1 in holes, 0 elsewhere -> logits."""
        x = x.astype(self.dtype)
        for level in range(6):
            x = x.astype(jnp.float32) if level == 5 else x
            pad = tuple(_same(n) for n in x.shape[1:3])
            how = dict(kernel_size=5, stride=2, padding=pad, name=f"level{level}")
            x = Conv(self.width << min(level, 2), START, True, **how)(x, train=train)
            x = nn.leaky_relu(x, 0.2)
        return x


def _same(n: int) -> tuple[int, int]:
    """Zeros at both ends of n pixels, of which 5 taps of stride 2 make half as many, rounded up."""
    more = 3 + n % 2
    return more // 2, more - more // 2
