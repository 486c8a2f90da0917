"""LaMa: a residual network that sees the whole picture in every block, by a Fourier transform, for
filling holes. Suvorov et al. 2022, arXiv:2109.07161; the convolutions are Chi et al.'s 2020. Layer
for layer the official network."""

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from gan_jax.models.rrdb import START
from gan_jax.nn.layers import Conv, ConvTranspose
from gan_jax.nn.norms import BatchNorm
from gan_jax.nn.resample import pad_to, reflect

EPS = 1e-5  # of batch norms, PyTorch's


class Generator(nn.Module):
    """A picture with holes -> a whole one, of its size: 7x7, halvings, residual blocks of Fourier
    convolutions, doublings, 7x7, sigmoid.

    Attributes:
        width: channels at full size, doubled at each halving.
        levels: halvings (official: 3).
        blocks: residual ones (official: 9; "big" 18).
        share: of the channels that the Fourier transform sees, the others being local (official:
            0.75).
        dtype: of the activations; Fourier transforms are in float32.
        side_multiple: see models.Traits.
    """

    width: int = 64
    levels: int = 3
    blocks: int = 9
    share: float = 0.75
    dtype: str = "float32"

    @property
    def side_multiple(self) -> int:
        return 1 << self.levels

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W 4"], *, train: bool = False
    ) -> Float[Array, "B H W 3"]:
        """x: the colors in [0, 1], 0 in holes, and 1 in holes, 0 elsewhere -> colors in [0, 1].

        Raises ValueError: a share that leaves one of the two kinds without channels.
        """
        height, width = x.shape[1:3]
        part = int((self.width << self.levels) * self.share)
        if not 2 <= part < self.width << self.levels:
            raise ValueError(
                f"config.g.share={self.share}: of {self.width << self.levels} channels it must"
                " leave some for both kinds."
            )
        h = reflect(pad_to(x, max(self.side_multiple, 4)), 3).astype(self.dtype)
        h = Conv(self.width, START, kernel_size=7, padding=0, bias=False, name="first")(h)
        h = nn.relu(BatchNorm(eps=EPS, name="first_norm")(h, train=train))
        for level in range(self.levels):
            channels, name = self.width << level + 1, f"down{level}"
            last = level == self.levels - 1
            h = FourierConv(channels, part if last else 0, stride=2, name=name)(h, train=train)
        for n in range(self.blocks):
            change = FourierConv(channels, part, name=f"block{n}_0")(h, train=train)
            change = FourierConv(channels, part, name=f"block{n}_1")(change, train=train)
            h = tuple(one + more for one, more in zip(h, change, strict=True))
        h = jnp.concatenate(h, -1)
        for level in reversed(range(self.levels)):
            name, how = f"up{level}", dict(kernel_size=3, more=1)
            h = ConvTranspose(self.width << level, START, name=name, **how)(h)
            h = nn.relu(BatchNorm(eps=EPS, name=f"{name}_norm")(h, train=train))
        h = Conv(3, START, kernel_size=7, padding=0, name="last")(reflect(h, 3))
        return nn.sigmoid(h[:, :height, :width].astype(jnp.float32))


class FourierConv(nn.Module):
    """A convolution between local and global channels, each with batch norm and ReLU: (local,
    global) -> (local, global), where there are none of a kind only the other.

    Attributes:
        features: channels of both.
        part: of them global; 0: none, and a plain convolution.
        stride: 1 or 2.
    """

    features: int
    part: int
    stride: int = 1

    @nn.compact
    def __call__(
        self,
        x: tuple[Float[Array, "B H W L"], Float[Array, "B H W G"]] | Float[Array, "B H W C"],
        *,
        train: bool,
    ) -> tuple[Float[Array, "B h w l"], Float[Array, "B h w g"]] | Float[Array, "B h w c"]:
        local, whole = x if isinstance(x, tuple) else (x, None)

        def conv(x, features, name):
            how = dict(stride=self.stride, padding=0, bias=False, name=name)
            return Conv(features, START, **how)(reflect(x, 1))

        def finished(x, name):
            return nn.relu(BatchNorm(eps=EPS, name=name)(x, train=train))

        to_local = conv(local, self.features - self.part, "local")
        to_whole = conv(local, self.part, "local_to_global") if self.part else None
        if whole is not None:
            to_local += conv(whole, self.features - self.part, "global_to_local")
            to_whole += Spectral(self.part, name="global")(whole, train=train)
        to_local = finished(to_local, "local_norm")
        return (to_local, finished(to_whole, "global_norm")) if self.part else to_local


class Spectral(nn.Module):
    """1x1 convolutions around one of the picture's Fourier transform, which is added to what it is
    of: each output pixel depends on all of the picture.

    Attributes:
        features: channels.
    """

    features: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W I"], *, train: bool
    ) -> Float[Array, "B H W {self.features}"]:
        def conv(x, features, name):
            how = dict(kernel_size=1, padding=0, bias=False, name=name)
            return Conv(features, START, **how)(x)

        def activated(x, name):
            return nn.relu(BatchNorm(eps=EPS, name=name)(x, train=train))

        half = self.features // 2
        x = activated(conv(x, half, "first"), "first_norm")
        size = x.shape[1:3]  # symbols, in an export of any size: jnp.fft.irfft2 takes none of these
        norm = jnp.sqrt(jnp.float32(size[0] * size[1]))
        found = lax.fft(x.astype(jnp.float32).transpose(0, 3, 1, 2), "RFFT", size)
        b, c, h, w = found.shape
        found = jnp.stack([found.real, found.imag], 2).reshape(b, 2 * c, h, w) / norm
        found = conv(found.transpose(0, 2, 3, 1), 2 * half, "fourier")
        found = activated(found, "fourier_norm").transpose(0, 3, 1, 2).reshape(b, c, 2, h, w)
        found = lax.fft(lax.complex(found[:, :, 0], found[:, :, 1]), "IRFFT", size) * norm
        return conv(x + found.transpose(0, 2, 3, 1).astype(x.dtype), self.features, "last")


class Discriminator(nn.Module):
    """A patch critic, whose activations are compared too: 4x4 convolutions, batch norm, leaky ReLU.

    Attributes:
        width: channels of the first layer; at most 512.
        levels: layers of stride 2 (official: 4).
        dtype: of the activations.
    """

    width: int = 64
    levels: int = 4
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W 3"], *, train: bool = False
    ) -> tuple[Float[Array, "B h w"], list[Float[Array, "B _ _ _"]]]:
        """Pictures in [0, 1] -> (logits, the activations of all layers but the last)."""
        x, maps = x.astype(self.dtype), []
        for level in range(self.levels + 1):
            channels = min(self.width << level, 512)
            how = dict(kernel_size=4, padding=2, stride=1 if level == self.levels else 2)
            x = Conv(channels, START, bias=True, name=f"level{level}", **how)(x)
            if level:
                x = BatchNorm(eps=EPS, name=f"norm{level}")(x, train=train)
            x = nn.leaky_relu(x, 0.2)
            maps.append(x)
        last = Conv(1, START, kernel_size=4, padding=2, name="last")(x.astype(jnp.float32))
        return last[..., 0], maps
