"""Projected GAN's critic, which sees pictures by the feature maps of a frozen network. Sauer et al.
2021, arXiv:2111.01007; layer for layer the official one. The generator is another model's."""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from gan_jax.models import dcgan
from gan_jax.nn import conv
from gan_jax.nn.layers import Conv, Dense, Embed, check_labels
from gan_jax.nn.norms import BatchNorm

START = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")  # PyTorch's of a convolution
EMBEDDING, PROJECTED = 128, 64  # numbers of a label, and of the features that meet them
LAST = 4  # taps a side of a head's last convolution

Map = Float[Array, "B _ _ _"]


class Discriminator(nn.Module):
    """Feature maps -> logits: mixed over channels and scales by fixed random weights, then a head
    for each scale.

    Attributes:
        dtype: of the activations.
        width: channels of the largest map once it is mixed, and of its head's first layer; 64 as
            published.
        pixels: width of one more critic, on the pixels themselves (dcgan.Discriminator, squares
            of 2x2): for details that the frozen network does not see. Its logit is
            repeated, so that it counts as much as all heads. 0, as published: none.
        pixels_spectral_norm: of that critic's layers; without it, the game's R1 takes its place.
        pixels_patches: after so many halvings that critic says of each place too whether it is
            real (dcgan.Discriminator's `patches`), which config.game.anchors needs. 0: not.
        smallest: no head halves its map to fewer pixels a side, so that logits are of places, not
            of the whole picture, where the network sees small pictures: of 64 pixels 7 leaves maps
            of 8, 8, 8 and 4. 1: halved as often as published.
        separable: whether heads convolve each channel by itself, then 1x1, then average (not where
            `smallest` forbids it): less work, though no faster on a CPU. Published beside
            StyleGAN2's generator.
    """

    n_classes: int = 0
    dtype: str = "float32"
    width: int = 64
    pixels: int = 0
    pixels_spectral_norm: bool = True
    pixels_patches: int = 0
    smallest: int = 1
    separable: bool = False

    @nn.compact
    def __call__(
        self,
        maps: Sequence[Map],
        y: Int[Array, " B"] | None = None,
        picture: Float[Array, "B H W C"] | None = None,
        *,
        train: bool = False,
    ) -> Float[Array, "B L"]:
        """Maps from large to small, each about half as large as the one before; labels; the picture
        itself in [-1, 1], which only `pixels` needs -> the logits of all heads, one for each place,
        and with `pixels` as many copies of that critic's. Without maps, that critic's alone.

        Raises:
            ValueError: maps too small to be halved as often as the heads do; a setting out of
                range.
        """
        check_labels(y, self.n_classes)
        if self.smallest < 1:
            raise ValueError(f"config.d.smallest={self.smallest}: it must be at least 1 (pixels).")
        if self.pixels < 0:
            raise ValueError(f"config.d.pixels={self.pixels}: it must be 0 or more (channels).")
        logits = self.heads(maps, y, train) if maps else jnp.zeros((len(picture), 1))
        if not self.pixels:
            return logits
        patch = 2 if min(picture.shape[1:3]) >= 16 else 1  # smaller pictures halve only once
        kind = dict(block="single", norm="none", slope=0.1, patch=patch)
        kind |= dict(spectral_norm=self.pixels_spectral_norm, patches=self.pixels_patches)
        size = dict(shape=picture.shape[1:], n_classes=self.n_classes, width=self.pixels)
        own = dcgan.Discriminator(**size, **kind, dtype=self.dtype, name="pixels")
        logit = jnp.broadcast_to(own(picture, y, train=train)[:, None], logits.shape)
        return jnp.concatenate([logits, logit], 1) if maps else logit

    def heads(
        self, maps: Sequence[Map], y: Int[Array, " B"] | None, train: bool
    ) -> Float[Array, "B L"]:
        """The logits of all heads."""
        maps = Mixing(self.width, name="mixing")([x.astype(self.dtype) for x in maps])
        widths, logits = [self.width << k for k in range(len(maps))], []
        settings = self.n_classes, self.separable, self.smallest
        for k, x in enumerate(maps):
            if self.smallest == 1 and min(x.shape[1:3]) >> len(widths[k:]) < 1:
                raise ValueError(
                    "config.game.features_side: the critic's feature maps are too small; set it to"
                    f" {2 ** (len(maps) + 1)} or more."
                )
            head = Head(tuple(widths[k:]), *settings, name=f"head{k}")
            logits.append(head(x, y, train=train))
        return jnp.concatenate(logits, 1)


class Mixing(nn.Module):
    """Feature maps -> as many, each doubled and with what the smaller ones see: cross-channel
    and cross-scale mixing.

    The weights (collection "fixed") are drawn once from the run's seed, saved with the critic, and
    never trained.
    Differs: the official code doubles a map before it convolves it 1x1, a quarter as fast; and it
    multiplies by the two fixed kernels one after another. Nothing lies between any of them, so the
    numbers are the same.
    """

    width: int

    @nn.compact
    def __call__(self, maps: Sequence[Map]) -> list[Map]:
        mixed, smaller = [], None
        for k in reversed(range(len(maps))):
            x, channels = maps[k], self.width << k
            by_channel, shift = self.fixed(f"channels{k}", x.shape[-1], channels, x.dtype)
            by_scale, second = self.fixed(
                f"scales{k}", channels, max(self.width, channels // 2), x.dtype
            )
            x = x @ (by_channel @ by_scale) + _row(shift @ by_scale + second)
            if smaller is not None:
                x = x + smaller @ by_scale
            larger = maps[k - 1].shape[1:3] if k else [2 * n for n in x.shape[1:3]]
            smaller = enlarge(x, *larger)
            mixed.append(smaller)
        return mixed[::-1]

    def fixed(
        self, name: str, rows: int, columns: int, dtype: DTypeLike
    ) -> tuple[Float[Array, "{rows} {columns}"], Float[Array, " {columns}"]]:
        """A random kernel [rows, columns] and a bias [columns]."""

        def draw(first, n):
            scale = nn.initializers.uniform(2 * rows**-0.5)  # within 0 and 2 / sqrt(rows)
            return scale(self.make_rng("params"), (n, columns)[first:]) - rows**-0.5

        kernel = self.variable("fixed", f"{name}_kernel", draw, 0, rows)
        bias = self.variable("fixed", f"{name}_bias", draw, 1, rows)
        return kernel.value.astype(dtype), bias.value.astype(dtype)


class Head(nn.Module):
    """A map -> logits, one for each place: halved once for each of `widths`, to `smallest` pixels a
    side at the least, then a 4x4 convolution, or one of the whole map where that is smaller.

    With labels the last convolution gives features instead, and a logit is their product with the
    label's embedding (after Miyato & Koyama 2018, arXiv:1802.05637).
    """

    widths: tuple[int, ...]
    n_classes: int
    separable: bool
    smallest: int

    @nn.compact
    def __call__(self, x: Map, y: Int[Array, " B"] | None, *, train: bool) -> Float[Array, "B _"]:
        for n, channels in enumerate(self.widths):
            if n and min(x.shape[1:3]) < 2 * self.smallest:
                break
            x = self.halve(f"down{n}", x, channels, train)
        x, taps = x.astype(jnp.float32), min(LAST, *x.shape[1:3])
        last = dict(kernel_size=taps, padding=0, bias=False, name="last")
        x = Conv(PROJECTED if self.n_classes else 1, START, True, **last)(x, train=train)
        x = x.reshape(x.shape[0], -1, x.shape[3])
        if not self.n_classes:
            return x[:, :, 0]
        label = Embed(EMBEDDING, nn.initializers.normal(1.0), n_classes=self.n_classes)(y)
        label = nn.leaky_relu(Dense(PROJECTED, START, name="label")(label), 0.2)
        return jnp.einsum("bpc,bc->bp", x, label) * PROJECTED**-0.5

    def halve(self, name: str, x: Map, channels: int, train: bool) -> Map:
        """Stride 2, or a separable convolution and 2x2 averages; batch norm, leaky ReLU. A map too
        small to be halved is convolved 3x3."""
        small = min(x.shape[1:3]) < 2 * self.smallest
        if small:
            x = Conv(channels, START, True, kernel_size=3, name=name)(x, train=train)
        elif self.separable:
            each = dict(groups=x.shape[3], bias=False, name=f"{name}_depthwise")
            x = Conv(x.shape[3], START, True, **each)(x, train=train)
            one = dict(kernel_size=1, padding=0, bias=False, name=f"{name}_pointwise")
            x = Conv(channels, START, True, **one)(x, train=train)
        else:
            four = dict(kernel_size=4, stride=2, name=name)
            x = Conv(channels, START, True, **four)(x, train=train)
        x = nn.leaky_relu(BatchNorm(eps=1e-5, name=f"{name}_norm")(x, train=train), 0.2)
        return conv.pool(x) if self.separable and not small else x


def enlarge(x: Map, height: int, width: int) -> Map:
    """Bilinear, corners on corners."""
    for axis, size in ((1, height), (2, width)):
        matrix = jnp.asarray(_corners(x.shape[axis], size), x.dtype)
        b, h, w, c = x.shape
        if axis == 1:
            x = jnp.einsum("oh,bhk->bok", matrix, x.reshape(b, h, w * c)).reshape(b, size, w, c)
        else:
            x = jnp.einsum("ow,nwc->noc", matrix, x.reshape(b * h, w, c)).reshape(b, h, size, c)
    return x


def _corners(n: int, size: int) -> np.ndarray:
    """[size, n]: place i of the larger lies at i (n - 1) / (size - 1) of the smaller."""
    places = np.linspace(0, n - 1, size)
    return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(n)[None])).astype(np.float32)


def _row(shift):
    return shift.reshape(1, 1, 1, -1)
