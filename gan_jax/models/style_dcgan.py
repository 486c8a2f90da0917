"""DCGAN's generator with a style for each layer, and its critic: heads of drawings in minutes on a
CPU, with StyleGAN2's W to edit them in.

Layers are dcgan.Generator's. z and the label go through StyleGAN2's mapping network first (Karras
et al. 2020, arXiv:1912.04958); each layer's batch norm is scaled and shifted by its style, as
BigGAN's are by z (Brock et al. 2018, arXiv:1809.11096, appendix B).
"""

import flax.linen as nn
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

    def __call__(
        self, z: Float[Array, "B Z"], y: Int[Array, " B"] | None = None, *, train: bool = False
    ) -> Float[Array, "B H W C"]:
        """Noise, labels -> pictures in [-1, 1]; while it learns, with a palette, about there."""
        return self.synthesis(self.mapping(z, y, train=train), train=train)

    def mapping(
        self, z: Float[Array, "B Z"], y: Int[Array, " B"] | None = None, *, train: bool = False
    ) -> Float[Array, "B L {self.w_dim}"]:
        """The same w for each of the L layers."""
        return self.to_ws(z, y, train=train)

    def synthesis(
        self, ws: Float[Array, "B L {self.w_dim}"], *, train: bool = False
    ) -> Float[Array, "B H W C"]:
        made = self.shares(ws, train=train)
        if not self.palette:
            return jnp.tanh(made)
        return in_colors(made, self.colors(ws, train=train), soft=train)

    def shares(
        self, ws: Float[Array, "B L {self.w_dim}"], *, train: bool = False
    ) -> Float[Array, "B H W K"]:
        """What each pixel has of each color, as logits; without a palette the picture before
        tanh."""
        made = self.to_image(ws, train=train)
        return smoothed(made) if self.palette and self.patch > 1 else made

    def colors(
        self, ws: Float[Array, "B L {self.w_dim}"], *, train: bool = False
    ) -> Float[Array, "B K C"]:
        """The palette, in [-1, 1] but in training; its gradient as if it were not clipped."""
        made = self.to_colors(ws[:, -1], None)
        return made if train else made + lax.stop_gradient(jnp.clip(made, -1, 1) - made)


class Synthesis(nn.Module):
    """ws, one for each layer -> the last convolution's result: dense to the start grid, then
    levels that double it."""

    grid: tuple[int, int]
    widths: tuple[int, ...]
    channels: int
    patch: int
    dtype: str
    initializer: str

    @nn.compact
    def __call__(
        self, ws: Float[Array, "B L w_dim"], *, train: bool
    ) -> Float[Array, "B H W {self.channels}"]:
        w, *styles = jnp.unstack(ws.astype(self.dtype), axis=1)
        x = Dense(self.grid[0] * self.grid[1] * self.widths[0], self.initializer)(w)
        x = x.reshape(-1, *self.grid, self.widths[0])
        for c, style in zip(self.widths[1:], styles, strict=True):
            x = Conv(c, self.initializer, resample="up")(x)
            x = nn.relu(ConditionalBatchNorm(0, self.initializer)(x, style, train=train))
            if not self.is_initializing():
                self.sow("features", "map", x)  # kept only where a loss asks for it
        start = self.initializer if self.patch == 1 else init.subpixel(self.patch)
        x = Conv(self.channels * self.patch**2, start)(x)
        return depth_to_space(x, self.patch).astype(jnp.float32)
