"""DCGAN's generator with a style for each layer, and its critic: heads of drawings in minutes on a
CPU, with StyleGAN2's W to edit them in.

Layers are dcgan.Generator's. z and the label go through StyleGAN2's mapping network first (Karras
et al. 2020, arXiv:1912.04958); each layer's batch norm is scaled and shifted by its style, as
BigGAN's are by z (Brock et al. 2018, arXiv:1809.11096, appendix B).

Further mappings and affines can be laid over a trained one, each for a domain of its own: domain
re-modulation (Wu et al. 2023, "Domain Re-Modulation for Few-Shot Generative Domain Adaptation",
arXiv:2302.02550).
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from gan_jax.models import dcgan
from gan_jax.models.stylegan2 import Mapping
from gan_jax.nn import init
from gan_jax.nn.flat_colors import Colors, check_colors, in_colors, smoothed
from gan_jax.nn.layers import Conv, Dense
from gan_jax.nn.norms import ConditionalBatchNorm
from gan_jax.nn.resample import depth_to_space

Discriminator = dcgan.Discriminator


class Generator(nn.Module):
    """Noise -> w (`mapping`) -> picture (`synthesis`).

    With a palette `synthesis` gives `shares` first, what each pixel has of each color, which can be
    enlarged before they are drawn in those `colors`: contours stay sharp at any size.

    Attributes:
        dtype: of the activations.
        w_dim: width of w.
        map_layers: dense layers of the mapping network, which learn as fast as others do.
        width, widest, patch, palette, initializer: as dcgan.Generator has them.
        remodulation: an alpha for each further mapping and set of affines, "remodulation0" and on:
            a layer's scale and shift, and the colors, become s + sum of alpha_k s_k, with s_k of
            the same z through the k-th mapping. .005 as published. They start as copies of the
            trained generator's that the run goes on from (config.init_from); the rest is to be
            frozen (config.opt_g.frozen) and its batch norms use the statistics that it came with. A
            set whose alpha is 0 is left out: without any the pictures are the frozen generator's,
            bit for bit.
    """

    shape: tuple[int, int, int]
    n_classes: int = 0
    dtype: str = "float32"
    w_dim: int = 128
    map_layers: int = 2
    width: int = 64
    widest: int = 512
    patch: int = 1
    palette: int = 0
    initializer: str = "orthogonal"
    remodulation: tuple[float, ...] = ()

    def setup(self) -> None:
        levels, grid = dcgan.start_grid(self.shape)
        levels -= dcgan.patch_levels(self.patch, levels, "config.g.patch")
        k = check_colors(self.palette, "palette")
        widths = [min(self.width << level, self.widest) for level in range(levels, -1, -1)]
        self.to_ws = Mapping(
            self.w_dim, self.map_layers, self.n_classes, 1.0, n_ws=levels + 1, name="mapping"
        )
        self.to_image = Synthesis(
            grid,
            tuple(widths),
            k or self.shape[2],
            self.patch,
            self.dtype,
            self.initializer,
            name="synthesis",
        )
        if k:
            self.to_colors = Colors(k, self.shape[2], name="colors")
        if not all(map(math.isfinite, self.remodulation)):
            raise ValueError(
                f"config.g.remodulation={self.remodulation}: each must be a finite number, such as"
                " 0.005."
            )
        self.sets = [
            Remodulation(
                tuple(widths[1:]),
                k,
                self.shape[2],
                self.initializer,
                self.w_dim,
                self.map_layers,
                self.n_classes,
                name=f"remodulation{n}",
            )
            for n in range(len(self.remodulation))
        ]

    def __call__(
        self, z: Float[Array, "B Z"], y: Int[Array, " B"] | None = None, *, train: bool = False
    ) -> Float[Array, "B H W C"]:
        """Noise, labels -> pictures in [-1, 1]; while it learns, with a palette, about there."""
        return self.synthesis(self.mapping(z, y, train=train), train=train)

    def mapping(
        self, z: Float[Array, "B Z"], y: Int[Array, " B"] | None = None, *, train: bool = False
    ) -> Float[Array, "B L S"]:
        """The same w for each of the L layers; after each those of the further mappings."""
        own = self.to_ws(z, y, train=train and not self.sets)
        return jnp.concatenate([own, *(more.to_ws(z, y, train=train) for more in self.sets)], -1)

    def synthesis(
        self, ws: Float[Array, "B L S"], *, train: bool = False
    ) -> Float[Array, "B H W C"]:
        made = self.shares(ws, train=train)
        if not self.palette:
            return jnp.tanh(made)
        return in_colors(made, self.colors(ws, train=train), soft=train)

    def shares(self, ws: Float[Array, "B L S"], *, train: bool = False) -> Float[Array, "B H W K"]:
        """What each pixel has of each color, as logits; without a palette the picture before
        tanh."""
        own, *further = jnp.split(ws, 1 + len(self.sets), -1)
        added = self.added(lambda more, w: more.affines(w.astype(self.dtype)), further)
        made = self.to_image(own, added, train=train and not self.sets)
        return smoothed(made) if self.palette and self.patch > 1 else made

    def colors(self, ws: Float[Array, "B L S"], *, train: bool = False) -> Float[Array, "B K C"]:
        """The palette, in [-1, 1] but in training; its gradient as if it were not clipped."""
        own, *further = jnp.split(ws[:, -1], 1 + len(self.sets), -1)
        added = self.added(lambda more, w: more.to_colors(w, None), further)
        made = self.to_colors(own, None)
        made = made if added is None else made + added
        return made if train else made + lax.stop_gradient(jnp.clip(made, -1, 1) - made)

    def added(self, made: Callable, ws: Sequence[Float[Array, "B *L w_dim"]]) -> Any:
        """The sum of alpha_k made(k-th set, its w), arrays or trees of them; None where there is
        nothing to add."""
        total = None
        for alpha, more, w in zip(self.remodulation, self.sets, ws, strict=True):
            if alpha or self.is_initializing():
                part = jax.tree.map(functools.partial(jnp.multiply, alpha), made(more, w))
                total = part if total is None else jax.tree.map(jnp.add, total, part)
        return total


class Remodulation(nn.Module):
    """A further mapping and further affines over a Generator's, of the same names below its own:
    mapping/fc0/kernel, synthesis/ConditionalBatchNorm_0/gain, colors/Dense_0/kernel."""

    widths: tuple[int, ...]
    palette: int
    channels: int
    initializer: str
    w_dim: int
    map_layers: int
    n_classes: int

    def setup(self) -> None:
        n = len(self.widths) + 1
        self.to_ws = Mapping(
            self.w_dim, self.map_layers, self.n_classes, 1.0, n_ws=n, name="mapping"
        )
        self.affines = Affines(self.widths, self.initializer, name="synthesis")
        if self.palette:
            self.to_colors = Colors(self.palette, self.channels, name="colors")


class Affines(nn.Module):
    """ws -> (gain, bias) f32 [B, C] of each batch norm of a Synthesis."""

    widths: tuple[int, ...]
    initializer: str

    @nn.compact
    def __call__(self, ws: Float[Array, "B L w_dim"]) -> list[tuple[jax.Array, jax.Array]]:
        styles = jnp.unstack(ws, axis=1)[1:]  # the first makes the start grid
        return [
            Affine(c, self.initializer, name=f"ConditionalBatchNorm_{n}")(style)
            for n, (c, style) in enumerate(zip(self.widths, styles, strict=True))
        ]


class Affine(nn.Module):
    """A style -> (gain, bias), as ConditionalBatchNorm makes them."""

    features: int
    initializer: str

    @nn.compact
    def __call__(self, style: Float[Array, "B w_dim"]) -> tuple[jax.Array, jax.Array]:
        shape, start = (style.shape[-1], self.features), init.initializer(self.initializer)
        tables = (self.param(name, start, shape) for name in ("gain", "bias"))
        return tuple(jnp.dot(style, table.astype(style.dtype)) for table in tables)


class Synthesis(nn.Module):
    """ws, one for each layer -> the last convolution's result: dense to the start grid, then
    levels that double it.

    added: (gain, bias) for each batch norm, beside its own; None: nothing.
    """

    grid: tuple[int, int]
    widths: tuple[int, ...]
    channels: int
    patch: int
    dtype: str
    initializer: str

    @nn.compact
    def __call__(
        self,
        ws: Float[Array, "B L w_dim"],
        added: Sequence[tuple[jax.Array, jax.Array]] | None = None,
        *,
        train: bool,
    ) -> Float[Array, "B H W {self.channels}"]:
        w, *styles = jnp.unstack(ws.astype(self.dtype), axis=1)
        x = Dense(self.grid[0] * self.grid[1] * self.widths[0], self.initializer)(w)
        x = x.reshape(-1, *self.grid, self.widths[0])
        added = added or [None] * len(styles)
        for c, style, more in zip(self.widths[1:], styles, added, strict=True):
            x = Conv(c, self.initializer, resample="up")(x)
            x = nn.relu(ConditionalBatchNorm(0, self.initializer)(x, style, more, train=train))
            if not self.is_initializing():
                self.sow("features", "map", x)  # kept only where a loss asks for it
        start = self.initializer if self.patch == 1 else init.subpixel(self.patch)
        x = Conv(self.channels * self.patch**2, start)(x)
        return depth_to_space(x, self.patch).astype(jnp.float32)
