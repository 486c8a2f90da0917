"""Normalization: batch norm over the global batch, conditional batch norm,
instance norm, layer norm, spectral norm."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from gan_jax.distributed import collectives
from gan_jax.nn import init
from gan_jax.runtime import registry


class BatchNorm(nn.Module):
    """Each channel to mean 0 and variance 1 over batch and space, then scaled and shifted.

    Training uses the batch's own statistics, those of the global batch on several devices, and
    moves the running ones by `momentum` (collection "batch_stats"); otherwise the running ones are
    used. Ioffe & Szegedy 2015, arXiv:1502.03167. eps and momentum are StudioGAN's. Where the caller
    makes a collection "moments" mutable, a training pass leaves there, named as in "batch_stats",
    the statistics it used.
    """

    momentum: float = 0.1
    eps: float = 1e-4
    affine: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "B *size C"], *, train: bool) -> Float[Array, "B *size C"]:
        c = x.shape[-1]
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, c)
        running_var = self.variable("batch_stats", "var", jnp.ones, c)
        mean, var = running_mean.value, running_var.value
        if train:
            n = collectives.size() * (x.size // c)
            mean, var = _moments(x)
            if not self.is_initializing():
                if self.is_mutable_collection("moments"):
                    self.put_variable("moments", "mean", mean)
                    self.put_variable("moments", "var", var)
                keep = 1 - self.momentum
                running_mean.value = keep * running_mean.value + self.momentum * mean
                running_var.value = keep * running_var.value + self.momentum * var * (
                    n / max(n - 1, 1)
                )
        scale = lax.rsqrt(var + self.eps)
        if not self.affine:
            return x * _as(scale, x) + _as(-mean * scale, x)
        scale = scale * self.param("scale", nn.initializers.ones, c)
        x = x * _as(scale, x)
        return x + _as(self.param("bias", nn.initializers.zeros, c) - mean * scale, x)


class ConditionalBatchNorm(nn.Module):
    """Batch norm whose scale and shift are set by a condition: (1 + gain) * normalized x + bias.

    Of a label, gain and bias are its rows in two tables (Dumoulin et al. 2017, arXiv:1610.07629; de
    Vries et al. 2017, arXiv:1707.00683); of a vector they are its products with two kernels (Brock
    et al. 2018, arXiv:1809.11096, appendix B). Start and eps are StudioGAN's.

    Attributes:
        n_classes: number of labels; 0: the condition is a vector.
        spectral_norm: whether both tables are divided by their spectral norms.
    """

    n_classes: int = 0
    initializer: str = "orthogonal"
    spectral_norm: bool = False
    eps: float = 1e-4

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B *size C"],
        y: Int[Array, " B"] | Float[Array, "B K"],
        added: tuple[Float[Array, "B C"], Float[Array, "B C"]] | None = None,
        *,
        train: bool,
    ) -> Float[Array, "B *size C"]:
        """added: to the condition's gain and bias."""

        def read(name, more):  # [B, C] in x's type, broadcast against x
            shape = self.n_classes or y.shape[-1], x.shape[-1]
            table = self.param(name, init.initializer(self.initializer), shape)
            if self.spectral_norm:
                table = SpectralNorm(name=f"{name}_spectral_norm")(table, train=train)
            value = rows(table, y) if self.n_classes else jnp.dot(y, table.astype(y.dtype))
            value = value if more is None else value + more
            return value.astype(x.dtype).reshape(x.shape[0], *(1,) * (x.ndim - 2), x.shape[-1])

        x = BatchNorm(eps=self.eps, affine=False)(x, train=train)
        gain, bias = (None, None) if added is None else added
        return x * (1 + read("gain", gain)) + read("bias", bias)


class InstanceNorm(nn.Module):
    """Each channel of each image to mean 0 and variance 1 over space.

    A tile can be normalized as the whole picture is: a pass over the picture whose collection
    "norms" is mutable and empty leaves the layers' moments there; a pass that is given them uses
    them, except in channels that are flat (variance below eps) over the whole picture.
    Ulyanov et al. 2016, arXiv:1607.08022.

    Attributes:
        affine: then scaled and shifted by weights.
        eps: PyTorch's.
    """

    affine: bool = True
    eps: float = 1e-5

    axes = (1, 2)

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        y = x.astype(jnp.float32)
        mean = y.mean(self.axes, keepdims=True)
        given = self.get_variable("norms", "moments")
        if given is not None:
            flat = given[1] < self.eps
            mean = jnp.where(flat, mean, given[0])
        y = y - mean
        variance = jnp.square(y).mean(self.axes, keepdims=True)
        if given is not None:
            variance = jnp.where(flat, variance, given[1])
        elif self.is_mutable_collection("norms") and not self.is_initializing():
            self.put_variable("norms", "moments", (mean, variance))
        y = y * lax.rsqrt(variance + self.eps)
        if not self.affine:
            return y.astype(x.dtype)
        scale = self.param("scale", nn.initializers.ones, x.shape[-1])
        return y.astype(x.dtype) * _as(scale, x) + _as(
            self.param("bias", nn.initializers.zeros, x.shape[-1]), x
        )


class LayerNorm(InstanceNorm):
    """Each image to mean 0 and variance 1 over space and channels together, then each channel
    scaled and shifted by weights.

    Tiles as with `InstanceNorm`. Ba et al. 2016, arXiv:1607.06450.

    Attributes:
        eps: TensorFlow's (tf.contrib.layers.layer_norm).
    """

    eps: float = 1e-12

    axes = (1, 2, 3)


class SpectralNorm(nn.Module):
    """A kernel divided by its largest singular value sigma, estimated by power iteration.

    Miyato et al. 2018, arXiv:1802.05957.
    The kernel is seen as a matrix [everything else, O]. Its left vector u is state (collection
    "spectral"): a training pass makes one iteration from the stored u, and stores the new one where
    the caller keeps it. Without training the stored u is used as it is. The gradient runs through
    the kernel, not through u and v.
    """

    eps: float = 1e-6

    @nn.compact
    def __call__(self, w: Float[Array, "*inputs O"], *, train: bool) -> Float[Array, "*inputs O"]:
        matrix = w.reshape(-1, w.shape[-1]).astype(jnp.float32)  # [R, O]

        def start():
            return _unit(jax.random.normal(self.make_rng("params"), (w.shape[-1],)), self.eps)

        stored = self.variable("spectral", "u", start)
        fixed = lax.stop_gradient(matrix)
        u = _unit(stored.value, self.eps)
        v = _unit(fixed @ u, self.eps)
        if train:
            u = _unit(v @ fixed, self.eps)
            if not self.is_initializing():
                stored.value = u
        sigma = v @ matrix @ u
        return w / sigma.astype(w.dtype)


def normalize(
    x: Float[Array, "B H W C"], name: str, key: str, *, affine: bool, train: bool
) -> Float[Array, "B H W C"]:
    """By "batch" norm, or by "instance" norm with weights (`affine`) or without.

    To be called in a module's compact method.
    Args:
        key: of `name` in the config, for errors.
    Raises:
        ValueError: another name.
    """
    registry.choose({"batch": 1, "instance": 1}, name, key)
    return BatchNorm(eps=1e-5)(x, train=train) if name == "batch" else InstanceNorm(affine)(x)


def rows(table: Float[Array, "N C"], y: Int[Array, " B"]) -> Float[Array, "B C"]:
    """table[y], as a dot: its gradient is one too, in a fixed order on every backend."""
    return jnp.dot(jax.nn.one_hot(y, table.shape[0], dtype=table.dtype), table, precision="highest")


def _moments(x):
    """Mean and variance f32 [C] over all axes but the last and over the devices."""
    x = x.astype(jnp.float32)
    axes = tuple(range(x.ndim - 1))
    mean, square = collectives.mean((x.mean(axes), jnp.square(x).mean(axes)))
    return mean, jnp.maximum(square - jnp.square(mean), 0)


def _as(channel, x):
    """[C] -> x's type, broadcast against x."""
    return channel.astype(x.dtype).reshape((1,) * (x.ndim - 1) + (-1,))


def _unit(vector, eps):
    return vector / jnp.maximum(jnp.linalg.norm(vector), eps)
