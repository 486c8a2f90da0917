"""StarGAN v2's four networks, layer for layer the official ones, and Projected GAN's heads as a
second critic. Choi et al. 2020, arXiv:1912.01865, appendix.

Pictures of any size: they are padded by reflection to what halves evenly, and the generator's
result is cut back. `patch`, 1 in the paper: a network's first convolution sees squares of
patch x patch pixels as channels (and the generator's last gives them), so that none works at full
size, where convolutions have few channels, which is slow on a CPU.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key

from gan_jax.models import projected
from gan_jax.nn import conv, init
from gan_jax.nn.flat_colors import Palette, check_colors
from gan_jax.nn.layers import Conv, Dense
from gan_jax.nn.norms import InstanceNorm
from gan_jax.nn.resample import depth_to_space, pad_to, space_to_depth

SLOPE = 0.2
PATCHES = {1: 0, 2: 1, 4: 2}  # pixels a side: how many halvings they save


class Generator(nn.Module):
    """Picture, style -> the picture in that style. Halved `levels` times, two blocks, doubled again
    by AdaIN blocks.

    Attributes:
        width: channels at full size (official: 16384 / side); twice as many a level down, at most
            `widest`.
        levels: halvings (official: log2(side) - 4, so 16x16 at 256).
        patch: see above; width is then the channels of a square.
        palette: number of colors that the result is drawn in (Palette); 0, as in the paper: any.
        times: with a palette, how many times as large sampling draws, in each direction, contours
            sharp; a setting of sampling (models.Traits).
        sharp: whether training draws with the palette as sampling does, so that the critic sees the
            contours that will be drawn; the slower.
        dtype: of the activations.
        remat: recompute each block's activations in the backward pass, to save memory.
    Differs: without the official CelebA-HQ variant's high-pass skips, whose masks come of a face
    landmark net.
    """

    sampling_settings = ("times",)

    shape: tuple[int, int, int]
    width: int = 64
    widest: int = 512
    levels: int = 4
    patch: int = 1
    palette: int = 0
    sharp: bool = False
    times: int = 1
    dtype: str = "float32"
    remat: bool = False

    @property
    def side_multiple(self) -> int:
        return self.patch << self.levels

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], style: Float[Array, "B S"], *, train: bool = False
    ) -> Float[Array, "B _ _ C"]:
        """Pictures in [-1, 1], of any size -> pictures, `times` as large, meant to be there, but
        not held there."""
        (height, width), style = x.shape[1:3], style.astype(self.dtype)
        colors = check_colors(self.palette, "palette")
        if self.times < 1 or (self.times > 1 and not colors):
            raise ValueError(
                f"config.g.times={self.times}: it must be 1, or with a palette (config.g.palette) 1"
                " or more."
            )
        widths = [min(self.width << level, self.widest) for level in range(self.levels + 1)]
        block, styled = (nn.remat(m) if self.remat else m for m in (Block, StyledBlock))
        x = in_patches(x, self.patch, self.levels).astype(self.dtype)
        x = Conv(widths[0], "he", name="from_image")(x)
        for level, features in enumerate(widths[1:]):
            x = block(features, norm=True, down=True, name=f"down{level}")(x)
        x = block(widths[-1], norm=True, name="middle0")(x)
        x = block(widths[-1], norm=True, name="middle1")(x)
        x = styled(widths[-1], name="middle2")(x, style)
        x = styled(widths[-1], name="middle3")(x, style)
        for level in reversed(range(self.levels)):
            x = styled(widths[level], up=True, name=f"up{level}")(x, style)
        x = nn.leaky_relu(InstanceNorm(name="norm")(x), SLOPE)
        around = int(self.patch > 1)  # squares are drawn in sight of their neighbors
        x = Conv(
            (self.shape[2] + colors) * self.patch**2,
            init.subpixel(self.patch),
            kernel_size=1 + 2 * around,
            padding=around,
            name="to_image",
        )(x)
        x = depth_to_space(x, self.patch)[:, :height, :width].astype(jnp.float32)
        drawing, logits = jnp.split(x, [self.shape[2]], -1)
        if not colors:
            return drawing
        palette = Palette(self.sharp, self.times, name="palette")
        return palette(drawing, logits, train=train)


class Mapping(nn.Module):
    """z, class -> style: four dense layers that all classes share, then four of each class's own.

    Attributes:
        width: of the hidden layers.
        features: length of a style.
    """

    n_classes: int
    features: int = 64
    width: int = 512

    @nn.compact
    def __call__(
        self, z: Float[Array, "B Z"], y: Int[Array, " B"], *, train: bool = False
    ) -> Float[Array, "B {self.features}"]:
        h = z
        for _ in range(4):
            h = nn.relu(Dense(self.width, "he")(h))
        for n in range(3):
            h = nn.relu(Branches(self.n_classes, self.width, name=f"own{n}")(h, y))
        return Branches(self.n_classes, self.features, name="own3")(h, y)


class StyleEncoder(nn.Module):
    """Picture, its class -> the style of it: the critic's trunk with a dense layer a class on top.

    Attributes:
        features: length of a style.
        width, widest, patch, dtype: as in the discriminator.
    """

    shape: tuple[int, int, int]
    n_classes: int
    features: int = 64
    width: int = 64
    widest: int = 512
    patch: int = 1
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], y: Int[Array, " B"], *, train: bool = False
    ) -> Float[Array, "B {self.features}"]:
        """Pictures in [-1, 1], their classes -> their styles."""
        h = trunk(x, self.width, self.widest, self.dtype, self.patch)
        return Branches(self.n_classes, self.features, name="own")(h, y)


class Discriminator(nn.Module):
    """Picture, class -> logit: whether it is a real picture of that class. No normalization.

    Attributes:
        width: channels at full size (official: 16384 / side); twice as many a level down, at most
            `widest`.
        patch: see above.
        dtype: of the activations.
    """

    shape: tuple[int, int, int]
    n_classes: int
    width: int = 64
    widest: int = 512
    patch: int = 1
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], y: Int[Array, " B"], *, train: bool = False
    ) -> Float[Array, " B"]:
        """Pictures in [-1, 1], their classes -> logits."""
        h = trunk(x, self.width, self.widest, self.dtype, self.patch)
        return Branches(self.n_classes, 1, name="own")(h, y)[:, 0]


class Block(nn.Module):
    """(shortcut + residual) / sqrt(2);
    two 3x3 convolutions, leaky ReLU before each, halved between them."""

    features: int
    norm: bool = False
    down: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "B H W I"]) -> Float[Array, "B h w {self.features}"]:
        def active(h, name):
            h = InstanceNorm(name=name)(h) if self.norm else h
            return nn.leaky_relu(h, SLOPE)

        h = active(x, "norm0")
        h = Conv(x.shape[-1], "he", resample="down" if self.down else "none", name="conv0")(h)
        h = Conv(self.features, "he", name="conv1")(active(h, "norm1"))
        if self.down:  # before the 1x1 convolution, with which averaging commutes: a quarter's work
            x = conv.pool(x)
        if x.shape[-1] != self.features:
            x = Conv(self.features, "he", bias=False, kernel_size=1, padding=0, name="shortcut")(x)
        return (x + h) / math.sqrt(2)


class StyledBlock(nn.Module):
    """As Block, its instance norms set by a style, and doubled before the first convolution."""

    features: int
    up: bool = False

    @nn.compact
    def __call__(
        self, x: Float[Array, "B h w I"], style: Float[Array, "B S"]
    ) -> Float[Array, "B H W {self.features}"]:
        h = nn.leaky_relu(AdaIN(name="norm0")(x, style), SLOPE)
        h = Conv(self.features, "he", resample="up" if self.up else "none", name="conv0")(h)
        h = nn.leaky_relu(AdaIN(name="norm1")(h, style), SLOPE)
        h = Conv(self.features, "he", name="conv1")(h)
        if x.shape[-1] != self.features:
            x = Conv(self.features, "he", bias=False, kernel_size=1, padding=0, name="shortcut")(x)
        return ((conv.upsample(x) if self.up else x) + h) / math.sqrt(2)


class AdaIN(nn.Module):
    """(1 + gain(style)) * instance norm + shift(style). Huang & Belongie 2017, arXiv:1703.06868."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], style: Float[Array, "B S"]
    ) -> Float[Array, "B H W C"]:
        both = Dense(2 * x.shape[-1], "he", name="set")(style)
        gain, shift = jnp.split(both[:, None, None], 2, -1)
        return (1 + gain) * InstanceNorm(affine=False)(x) + shift


class Branches(nn.Module):
    """A dense layer a class, of which each row uses its own."""

    n_classes: int
    features: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "B I"], y: Int[Array, " B"]
    ) -> Float[Array, "B {self.features}"]:
        w = self.param("kernel", he_each, (self.n_classes, x.shape[-1], self.features))
        b = self.param("bias", nn.initializers.zeros, (self.n_classes, self.features))
        own = jax.nn.one_hot(y, self.n_classes, dtype=x.dtype)  # [B, K]
        every = jnp.einsum("bi,kio->bko", x, w.astype(x.dtype)) + b.astype(x.dtype)[None]
        return jnp.einsum("bko,bk->bo", every, own)


def he_each(
    rng: Key[Array, ""], shape: tuple[int, int, int], dtype: DTypeLike = jnp.float32
) -> Float[Array, "K I O"]:
    """A kernel [I, O] for each of K classes, normal of variance 2 / I."""
    return jax.random.normal(rng, shape, dtype) * math.sqrt(2 / shape[1])


def in_patches(x: Float[Array, "B H W C"], patch: int, levels: int) -> Float[Array, "B h w D"]:
    """Each square of patch x patch pixels as channels; padded to halve `levels` times.

    Raises:
        ValueError: patch is not in PATCHES.
    """
    if patch not in PATCHES:
        known = ", ".join(map(str, PATCHES))
        raise ValueError(f"patch={patch} of a StarGAN v2 network: it must be {known}.")
    return space_to_depth(pad_to(x, patch << levels), patch)


def trunk(
    x: Float[Array, "B H W C"], width: int, widest: int, dtype: str, patch: int = 1
) -> Float[Array, "B F"]:
    """Features: halved by blocks until the shorter side is 4 to 8, the grid then dense.

    To be called in a module's compact method.
    """
    levels = max(halvings(x.shape[1:3]) - PATCHES.get(patch, 0), 0)
    x = Conv(width, "he", name="from_image")(in_patches(x, patch, levels).astype(dtype))
    for level in range(levels):
        width = min(2 * width, widest)
        x = Block(width, down=True, name=f"down{level}")(x)
    h, w, c = x.shape[1:]
    x = nn.leaky_relu(x, SLOPE).astype(jnp.float32).reshape(-1, h * w * c)
    return nn.leaky_relu(Dense(width, "he", name="grid")(x), SLOPE)


def halvings(size: tuple[int, int]) -> int:
    """How often a picture of `size` (H, W) halves, once it is padded to do so, until its shorter
    side is 4 to 8.

    Raises:
        ValueError: a side below 8 pixels.
    """
    if min(size) < 8:
        raise ValueError(
            f"images {size[0]}x{size[1]}: both sides must have 8 pixels or more. Set"
            " config.data.resolution."
        )
    return (min(size) // 4).bit_length() - 1


NETWORKS = {"mapping": Mapping, "encoder": StyleEncoder, "heads": projected.Discriminator}
