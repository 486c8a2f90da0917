"""What the frozen nets share:
layers with their batch norms folded in, filled from a file's arrays."""

import functools
import pathlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from jaxtyping import Array, Float

from gan_jax.nn import conv
from gan_jax.state import PyTree


class Source(NamedTuple):
    """Where a layer's numbers stand in a file."""

    layer: str  # "<layer>.weight", and "<layer>.bias" where there is one
    norm: str | None = None  # of the batch norm after it, with eps
    eps: float = 0.0
    bias: bool = False


class Conv(nn.Module):
    """A convolution with a bias. Parameters come from a file."""

    features: int
    kernel: tuple[int, int]
    stride: int = 1
    padding: conv.Padding = 0
    depthwise: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "n H W I"]) -> Float[Array, "n h w {self.features}"]:
        inner = 1 if self.depthwise else x.shape[-1]
        w = self.param("kernel", nn.initializers.zeros, (*self.kernel, inner, self.features))
        b = self.param("bias", nn.initializers.zeros, (self.features,))
        groups = x.shape[-1] if self.depthwise else 1
        return conv.conv(x, w, self.stride, self.padding, groups) + b.reshape(1, 1, 1, -1)


class Dense(nn.Module):
    """A dense layer. Parameters come from a file."""

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "n I"]) -> Float[Array, "n {self.features}"]:
        w = self.param("kernel", nn.initializers.zeros, (x.shape[-1], self.features))
        b = self.param("bias", nn.initializers.zeros, (self.features,))
        return jnp.dot(x, w) + b.reshape(1, -1)


def params_of(
    net: nn.Module,
    sources: Callable[[str], Source],
    arrays: Mapping[str, np.ndarray],
    path: pathlib.Path,
    ignore: tuple[str, ...] = ("num_batches_tracked",),
) -> PyTree:
    """The net's parameters from a PyTorch state dict, batch norms folded into the layers before
    them.

    Args:
        sources: a layer's path in the net, "block3/expand" -> where its numbers are.
        ignore: endings of names in the file that nothing here wants.
    Raises:
        ValueError: names the first layer that the file lacks, has in another shape, or has beside
            those wanted.
    """
    shapes = param_shapes(net)
    kernels = {path[:-1]: shape for path, shape in shapes.items() if path[-1] == "kernel"}
    wanted: dict[str, tuple[int, ...]] = {}
    for place, shape in kernels.items():
        wanted |= _names(sources("/".join(place)), shape)
    check(wanted, {name: x.shape for name, x in arrays.items() if not name.endswith(ignore)}, path)
    params = {}
    for place in kernels:
        with np.errstate(all="ignore"):  # what comes out is looked at
            kernel, bias = _folded(sources("/".join(place)), arrays)
        finite({"/".join(place): kernel, f"the bias of {'/'.join(place)}": bias}, path)
        params |= {(*place, "kernel"): kernel, (*place, "bias"): bias}
    return {"params": traverse_util.unflatten_dict(params)}


@functools.lru_cache(maxsize=8)
def param_shapes(net: nn.Module) -> Mapping[tuple[str, ...], tuple[int, ...]]:
    """The shapes of a net's parameters by their paths;
    they are the same for pictures of any size."""
    x = jnp.zeros((1, 160, 160, 3))
    params = jax.eval_shape(lambda: net.init(jax.random.key(0), x))["params"]
    return {path: x.shape for path, x in traverse_util.flatten_dict(params).items()}


def check(
    wanted: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]], path: pathlib.Path
) -> None:
    """Raises ValueError, naming the first array in which a file and a net differ."""
    for name in [*wanted, *(name for name in found if name not in wanted)]:
        have = list(found[name]) if name in found else "not there"
        want = list(wanted[name]) if name in wanted else "not in the net"
        if have != want:
            raise ValueError(
                f"{path}: not this net's weights: {name} is {have} in the file, {want} here."
            )


def finite(arrays: Mapping[str, np.ndarray], path: pathlib.Path) -> None:
    """Raises ValueError, naming the first array with NaN or infinity in it: every number measured
    by it would be NaN."""
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{path}: {name} holds NaN or infinity.")


def _names(source, shape):
    """The arrays that a layer wants of a file, by name, as PyTorch shapes them:
    [O, I, kh, kw] or [O, I]."""
    order = (3, 2, 0, 1) if len(shape) == 4 else (1, 0)
    names = {f"{source.layer}.weight": tuple(shape[i] for i in order)}
    names |= {f"{source.layer}.bias": (shape[-1],)} if source.bias else {}
    if source.norm:
        names |= {
            f"{source.norm}.{part}": (shape[-1],)
            for part in ("weight", "bias", "running_mean", "running_var")
        }
    return names


def _folded(source, arrays):
    """(kernel, bias) as float32; batch norm y = (x - mean) * gain / sqrt(var + eps) + shift folded
    in, in float64."""

    def get(name):
        return arrays[name].astype(np.float64)

    kernel = get(f"{source.layer}.weight")
    kernel = kernel.transpose((2, 3, 1, 0) if kernel.ndim == 4 else (1, 0))
    bias = get(f"{source.layer}.bias") if source.bias else np.zeros(kernel.shape[-1])
    if source.norm:
        scale = get(f"{source.norm}.weight") / np.sqrt(
            get(f"{source.norm}.running_var") + source.eps
        )
        kernel = kernel * scale
        bias = (bias - get(f"{source.norm}.running_mean")) * scale + get(f"{source.norm}.bias")
    return kernel.astype(np.float32), bias.astype(np.float32)
