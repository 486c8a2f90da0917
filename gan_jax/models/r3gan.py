"""R3GAN's networks: grouped residual blocks without normalization. Huang et al. 2024,
arXiv:2501.05441, config E.

Layer for layer the official ones. `widths` and `cardinality` are those of each size from the start
grid up, 4x4 first, in both networks; D goes through them from the last to the first. Presets are in
algorithms/r3gan.py.
"""

import math
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gan_jax.models.dcgan import start_grid
from gan_jax.nn import conv
from gan_jax.nn.layers import check_labels
from gan_jax.nn.norms import rows

SLOPE = 0.2
FIR = (1, 3, 3, 1)  # of the resampling: at a factor of 2 it is bilinear


class Generator(nn.Module):
    """Noise -> picture: a learned grid scaled by the noise, residual blocks, doubled by a FIR
    filter, 1x1. No tanh.

    Attributes:
        widths, cardinality: channels and groups at each size.
        blocks: at each size.
        expansion: of the channels inside a block.
        embedding: length of a label's vector beside z.
        dtype: of the activations.
        remat: recompute each block's activations in the backward pass, to save memory.
    Differs: in the official code's mixed precision the start grid's blocks stay float32.
    """

    shape: tuple[int, int, int]
    n_classes: int = 0
    widths: tuple = (768,) * 4
    cardinality: tuple = (96,) * 4
    blocks: int = 2
    expansion: int = 2
    embedding: int = 64
    dtype: str = "float32"
    remat: bool = False

    @nn.compact
    def __call__(
        self, z: Float[Array, "B Z"], y: Int[Array, " B"] | None = None, *, train: bool = False
    ) -> Float[Array, "B H W C"]:
        """Noise, labels -> pictures meant to be in [-1, 1] but not held there."""
        check_labels(y, self.n_classes)
        grid = check_sizes(
            self.shape, self.widths, self.cardinality, self.blocks, self.expansion, "config.g"
        )
        if self.n_classes:
            table = self.param("embed", normal(1.0), (self.n_classes, self.embedding))
            z = jnp.concatenate([z, rows(table, y)], 1)
        basis = self.param("basis", nn.initializers.normal(1.0), (*grid, self.widths[0]))
        scale = jnp.dot(z, self.param("start", normal(1.0), (z.shape[1], self.widths[0])))  # [B, C]
        x = (scale[:, None, None] * basis[None]).astype(self.dtype)
        block = residual_block(self, len(self.widths))
        for level, (width, groups) in enumerate(zip(self.widths, self.cardinality, strict=True)):
            if level:
                x = Pointwise(width, name=f"up{level}")(x) if width != x.shape[-1] else x
                x = conv.resample(x, FIR, up=2, padding=(2, 1), gain=4)
            for n in range(self.blocks):
                x = block(groups, name=f"block{level}_{n}")(x)
        return Pointwise(self.shape[2], name="picture")(x).astype(jnp.float32)


class Discriminator(nn.Module):
    """Picture -> logit: 1x1, residual blocks, halved by a FIR filter, a learned grid's products
    summed over it, dense.

    With classes the dense layer gives a vector as wide as the features, and the logit is its
    product with the label's.

    Attributes:
        widths, cardinality, blocks, expansion, dtype, remat: as in the generator.
        scales_biases: see models.Traits.
    """

    scales_biases = True

    shape: tuple[int, int, int]
    n_classes: int = 0
    widths: tuple = (768,) * 4
    cardinality: tuple = (96,) * 4
    blocks: int = 2
    expansion: int = 2
    dtype: str = "float32"
    remat: bool = False

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B H W C"],
        y: Int[Array, " B"] | None = None,
        scale: Float[Array, " B"] | None = None,
        *,
        train: bool = False,
    ) -> Float[Array, " B"]:
        """Pictures in [-1, 1], labels -> logits.

        scale: multiplies all biases (None: 1). Logits are homogeneous of degree 1 in x and scale:
            scaled together, they scale the logit. See regularizers.logits_and_slopes.
        """
        check_labels(y, self.n_classes)
        grid = check_sizes(
            self.shape, self.widths, self.cardinality, self.blocks, self.expansion, "config.d"
        )
        x = Pointwise(self.widths[-1], name="picture")(x.astype(self.dtype))
        block = residual_block(self, len(self.widths))
        for level in reversed(range(len(self.widths))):
            for n in range(self.blocks):
                x = block(self.cardinality[level], name=f"block{level}_{n}")(x, scale)
            if level:
                x = conv.resample(x, FIR, down=2, padding=(1, 1))
                width = self.widths[level - 1]
                x = Pointwise(width, name=f"down{level}")(x) if width != x.shape[-1] else x
        width = self.widths[0]
        start = nn.initializers.normal(1 / math.sqrt(math.prod(grid)))
        basis = self.param("basis", start, (*grid, width))
        h = jnp.sum(x.astype(jnp.float32) * basis[None], (1, 2))  # [B, C]
        h = jnp.dot(h, self.param("end", normal(1.0), (width, width if self.n_classes else 1)))
        if self.n_classes:
            table = self.param("embed", normal(1 / math.sqrt(width)), (self.n_classes, width))
            h = h * rows(table, y)
        return jnp.sum(h, 1)


class Block(nn.Module):
    """x + 1x1, bias, leaky ReLU, grouped 3x3, bias, leaky ReLU, 1x1. The last starts at zero, so
    the block as identity.

    Attributes:
        gain: of the first two kernels' start.
    """

    groups: int
    expansion: int
    gain: float

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], scale: Float[Array, " B"] | None = None
    ) -> Float[Array, "B H W C"]:
        """scale: of the biases; None: 1."""
        width = x.shape[-1]
        inner = self.expansion * width
        expand = self.param("expand", normal(self.gain), (1, 1, width, inner))
        mix = self.param("mix", normal(self.gain), (3, 3, inner // self.groups, inner))
        project = self.param("project", nn.initializers.zeros, (1, 1, inner, width))
        biases = [
            self.param(f"{name}_bias", nn.initializers.zeros, inner) for name in ("expand", "mix")
        ]

        def as_x(p):
            return p.astype(x.dtype)

        def act(h, bias):
            bias = bias.reshape(1, 1, 1, -1)
            bias = bias if scale is None else bias * scale[:, None, None, None]
            return nn.leaky_relu(h + as_x(bias), SLOPE)

        h = act(conv.conv(x, as_x(expand)), biases[0])
        h = act(conv.conv(h, as_x(mix), 1, 1, self.groups), biases[1])
        return x + conv.conv(h, as_x(project))


class Pointwise(nn.Module):
    """1x1 without a bias."""

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "B H W I"]) -> Float[Array, "B H W {self.features}"]:
        kernel = self.param("kernel", normal(1.0), (1, 1, x.shape[-1], self.features))
        return conv.conv(x, kernel.astype(x.dtype))


def residual_block(net: nn.Module, sizes: int) -> Callable:
    """(groups, name) -> Block, whose start depends on how many there are.

    Kernels have variance gain^2 / fan-in, gain = sqrt(2 / (1 + slope^2)) * blocks^(-1/4): the
    branch's two kernels share Fixup's 1 / sqrt(blocks) (Zhang et al. 2019, arXiv:1901.09321).
    """
    gain = math.sqrt(2 / (1 + SLOPE**2)) * (sizes * net.blocks) ** -0.25
    module = nn.remat(Block) if net.remat else Block
    return lambda groups, name: module(groups, net.expansion, gain, name=name)


def normal(gain: float) -> nn.initializers.Initializer:
    """Kernels [..., I, O] of variance gain^2 / fan-in."""
    return nn.initializers.variance_scaling(gain**2, "fan_in", "normal")


def check_sizes(
    shape: Sequence[int],
    widths: Sequence[int],
    cardinality: Sequence[int],
    blocks: int,
    expansion: int,
    place: str,
) -> tuple[int, int]:
    """The start grid of images of `shape`, 4x4 where square and a power of two.

    Raises:
        ValueError: widths are not one for each size, or do not divide into their groups.
    """
    levels, grid = start_grid(shape)
    if len(widths) != levels + 1:
        raise ValueError(
            f"{place}.widths={tuple(widths)}: {shape[0]}x{shape[1]} images need {levels + 1}"
            f" widths, one for each size from {grid[0]}x{grid[1]} up by doubling."
        )
    if len(cardinality) != len(widths):
        raise ValueError(
            f"{place}.cardinality={tuple(cardinality)}: one for each of the {len(widths)} widths."
        )
    for width, groups in zip(widths, cardinality, strict=True):
        if groups < 1 or expansion * width % groups:
            raise ValueError(
                f"{place}.cardinality={tuple(cardinality)}: {expansion} x {width} channels don't"
                f" divide into {groups} groups."
            )
    if blocks < 1:
        raise ValueError(f"{place}.blocks={blocks}: it must be at least 1.")
    return grid
