"""StarGAN v2's four networks. Choi et al. 2020, arXiv:1912.01865, appendix; layer for layer the
official ones.

Pictures of any size: they are padded by reflection to what halves evenly, and the generator's
result is cut back. `patch`, 1 in the paper: a network's first convolution takes squares of so many
pixels a side as channels (and the generator's last gives them, those of a square equal at first),
so that none works at full size. On a CPU, convolutions of few channels are slow.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.models import translator
from gan_jax.nn import conv, init
from gan_jax.nn.layers import Conv, Dense
from gan_jax.nn.norms import InstanceNorm

SLOPE = 0.2
PATCHES = {1: 0, 2: 1, 4: 2}  # pixels a side: how many halvings that saves


class Generator(nn.Module):
    """Picture, style -> the picture in that style. Halved `levels` times, two blocks, doubled again
    by AdaIN blocks.

    Attributes:
        width: channels at full size (official: 16384 / side); twice as many a level down, at most
            `widest`.
        levels: halvings (official: log2(side) - 4, so 16x16 at 256).
        patch: see above; width is then the channels of a square.
        palette: colours that the result is drawn in (translator.Palette); 0, as in the paper: any.
        remat: recompute each block's activations in the backward pass, to save memory.
    Differs: without the official CelebA-HQ variant's high-pass skips, whose masks come of a face
    landmark net.
    """

    shape: tuple[int, int, int]
    width: int = 64
    widest: int = 512
    levels: int = 4
    patch: int = 1
    palette: int = 0
    dtype: str = "float32"
    remat: bool = False

    @property
    def side_multiple(self) -> int:
        return self.patch << self.levels

    @nn.compact
    def __call__(self, x: jax.Array, style: jax.Array, *, train: bool = False) -> jax.Array:
        """x f32 [B, H, W, C] in [-1, 1], style f32 [B, S] -> f32 [B, H, W, C], meant to be in [-1,
        1] but not held there.

        H and W are any: the weights know no size.
        """
        size, style = x.shape[1:3], style.astype(self.dtype)
        x = gathered(x, self.patch, self.levels).astype(self.dtype)
        widths = [min(self.width << level, self.widest) for level in range(self.levels + 1)]
        block, styled = (nn.remat(m) if self.remat else m for m in (Block, StyledBlock))
        x = Conv(widths[0], "he", name="from_image")(x)
        for level, width in enumerate(widths[1:]):
            x = block(width, norm=True, down=True, name=f"down{level}")(x)
        x = block(widths[-1], norm=True, name="middle0")(x)
        x = block(widths[-1], norm=True, name="middle1")(x)
        x = styled(widths[-1], name="middle2")(x, style)
        x = styled(widths[-1], name="middle3")(x, style)
        for level in reversed(range(self.levels)):
            x = styled(widths[level], up=True, name=f"up{level}")(x, style)
        x = nn.leaky_relu(InstanceNorm(name="norm")(x), SLOPE)
        around = int(self.patch > 1)  # squares are drawn in sight of their neighbours
        features = (self.shape[2] + translator.n_colors(self.palette, "palette")) * self.patch**2
        x = Conv(
            features,
            init.subpixel(self.patch),
            kernel_size=1 + 2 * around,
            padding=around,
            name="to_image",
        )(x)
        x = spread(x, self.patch)[:, : size[0], : size[1]].astype(jnp.float32)
        drawing, logits = jnp.split(x, [self.shape[2]], -1)
        return (
            translator.Palette(name="palette")(drawing, logits, train=train)
            if self.palette
            else drawing
        )


class Mapping(nn.Module):
    """z, class -> style: four dense layers that all classes share, then four of each class's own.

    Attributes:
        width: of the hidden layers. features: numbers of a style.
    """

    n_classes: int
    features: int = 64
    width: int = 512

    @nn.compact
    def __call__(self, z: jax.Array, y: jax.Array, *, train: bool = False) -> jax.Array:
        """z f32 [B, Z], y int32 [B] -> styles f32 [B, features]."""
        for _ in range(4):
            z = nn.relu(Dense(self.width, "he")(z))
        h = z
        for n in range(4):
            last = n == 3
            h = Branches(self.n_classes, self.features if last else self.width, name=f"own{n}")(
                h, y
            )
            h = h if last else nn.relu(h)
        return h


class StyleEncoder(nn.Module):
    """Picture, its class -> the style of it: the critic's trunk with a dense layer a class on top.

    Attributes:
        features: numbers of a style. width, widest, patch, dtype: as in the discriminator.
    """

    shape: tuple[int, int, int]
    n_classes: int
    features: int = 64
    width: int = 64
    widest: int = 512
    patch: int = 1
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, y: jax.Array, *, train: bool = False) -> jax.Array:
        """x f32 [B, H, W, C] in [-1, 1], y int32 [B] -> styles f32 [B, features]."""
        h = trunk(x, self.width, self.widest, self.dtype, self.patch)
        return Branches(self.n_classes, self.features, name="own")(h, y)


class Discriminator(nn.Module):
    """Picture, class -> logit: whether it is a real picture of that class. No normalisation.

    Attributes:
        width: channels at full size (official: 16384 / side); twice as many a level down, at most
            `widest`.
        patch: see above.
    """

    shape: tuple[int, int, int]
    n_classes: int
    width: int = 64
    widest: int = 512
    patch: int = 1
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, y: jax.Array, *, train: bool = False) -> jax.Array:
        """x f32 [B, H, W, C] in [-1, 1], y int32 [B] -> logits f32 [B]."""
        h = trunk(x, self.width, self.widest, self.dtype, self.patch)
        return Branches(self.n_classes, 1, name="own")(h, y)[:, 0]


class Block(nn.Module):
    """(shortcut + residual) / sqrt(2); two 3x3 convolutions, leaky ReLU before each, halved between
    them."""

    features: int
    norm: bool = False
    down: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """x [B, H, W, I] -> [B, h, w, features], halved with `down`."""
        norm = lambda name: InstanceNorm(name=name) if self.norm else lambda h: h
        h = nn.leaky_relu(norm("norm0")(x), SLOPE)
        h = Conv(x.shape[-1], "he", resample="down" if self.down else "none", name="conv0")(h)
        h = Conv(self.features, "he", name="conv1")(nn.leaky_relu(norm("norm1")(h), SLOPE))
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
    def __call__(self, x: jax.Array, style: jax.Array) -> jax.Array:
        """x [B, h, w, I], style [B, S] -> [B, H, W, features], doubled with `up`."""
        h = nn.leaky_relu(AdaIN(name="norm0")(x, style), SLOPE)
        h = Conv(self.features, "he", resample="up" if self.up else "none", name="conv0")(h)
        h = Conv(self.features, "he", name="conv1")(
            nn.leaky_relu(AdaIN(name="norm1")(h, style), SLOPE)
        )
        if x.shape[-1] != self.features:
            x = Conv(self.features, "he", bias=False, kernel_size=1, padding=0, name="shortcut")(x)
        return ((conv.upsample(x) if self.up else x) + h) / math.sqrt(2)


class AdaIN(nn.Module):
    """(1 + gain(style)) * instance norm + shift(style). Huang & Belongie 2017, arXiv:1703.06868."""

    @nn.compact
    def __call__(self, x: jax.Array, style: jax.Array) -> jax.Array:
        """x [B, H, W, C], style [B, S] -> the shape of x."""
        gain, shift = jnp.split(
            Dense(2 * x.shape[-1], "he", name="set")(style)[:, None, None], 2, -1
        )
        return (1 + gain) * InstanceNorm(affine=False)(x) + shift


class Branches(nn.Module):
    """A dense layer a class, of which each row uses its own: x [B, I], y int32 [B] -> [B,
    features]."""

    n_classes: int
    features: int

    @nn.compact
    def __call__(self, x: jax.Array, y: jax.Array) -> jax.Array:
        w = self.param("kernel", he_each, (self.n_classes, x.shape[-1], self.features))
        b = self.param("bias", nn.initializers.zeros, (self.n_classes, self.features))
        own = jax.nn.one_hot(y, self.n_classes, dtype=x.dtype)  # [B, K]
        every = jnp.einsum("bi,kio->bko", x, w.astype(x.dtype)) + b.astype(x.dtype)[None]
        return jnp.einsum("bko,bk->bo", every, own)


def he_each(rng: jax.Array, shape: tuple[int, int, int], dtype=jnp.float32) -> jax.Array:
    """A kernel [K, I, O] a class, normal of variance 2 / I."""
    return jax.random.normal(rng, shape, dtype) * math.sqrt(2 / shape[1])


def gathered(x: jax.Array, n: int, levels: int) -> jax.Array:
    """x [B, H, W, C] -> [B, h, w, n n C]: each square of n x n pixels as channels; padded, so that
    h and w halve `levels` times.

    Raises ValueError where n is not in PATCHES.
    """
    if n not in PATCHES:
        raise ValueError(
            f"patch={n} of a StarGAN v2 network: it must be {', '.join(map(str, PATCHES))}."
        )
    b, h, w, c = (x := translator.pad_to(x, n << levels)).shape
    return (
        x.reshape(b, h // n, n, w // n, n, c)
        .transpose(0, 1, 3, 2, 4, 5)
        .reshape(b, h // n, w // n, n * n * c)
    )


def spread(x: jax.Array, n: int) -> jax.Array:
    """x [B, h, w, n n C] -> [B, n h, n w, C]: undoes `gathered`, but for the padding."""
    b, h, w, c = x.shape
    return (
        x.reshape(b, h, w, n, n, c // n**2)
        .transpose(0, 1, 3, 2, 4, 5)
        .reshape(b, h * n, w * n, c // n**2)
    )


def trunk(x: jax.Array, width: int, widest: int, dtype: str, patch: int = 1) -> jax.Array:
    """x [B, H, W, C] -> features f32 [B, F]: halved by blocks until the shorter side is 4 to 8, the
    grid then dense.

    To be called in a module's compact method.
    """
    levels = translator.halvings(x.shape[1:3])
    levels = max(levels - PATCHES.get(patch, 0), 0)
    x = Conv(width, "he", name="from_image")(gathered(x, patch, levels).astype(dtype))
    for level in range(levels):
        width = min(2 * width, widest)
        x = Block(width, down=True, name=f"down{level}")(x)
    h, w, c = x.shape[1:]
    x = nn.leaky_relu(x, SLOPE).astype(jnp.float32).reshape(-1, h * w * c)
    return nn.leaky_relu(Dense(width, "he", name="grid")(x), SLOPE)


NETWORKS = {"mapping": Mapping, "encoder": StyleEncoder}
