"""A trained generator with styles, as personalization needs it."""

import dataclasses
import functools
import hashlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from gan_jax import checkpoint, models, pretrained
from gan_jax.algorithms.base import Variables, forward
from gan_jax.inference import notebook
from gan_jax.inference.sampler import Sampler
from gan_jax.nn import alpha, flat_colors
from gan_jax.state import PyTree

SAMPLES = 2000  # of z, for the statistics of W
ROWS = 64  # of them drawn at a time


class Statistics(NamedTuple):
    """Of W. Karras et al. 2020, arXiv:1912.04958, appendix D.

    Attributes:
        mean: w_avg.
        std: sqrt(mean of |w - w_avg|^2), the sum over all numbers of w: one number.
        ws, labels, thumbnails: samples: their styles, classes (0 where there are none), and
            pictures of THUMBNAIL pixels a side, over white where they have alpha.
    """

    mean: Float[np.ndarray, " W"]
    std: float
    ws: Float[np.ndarray, "N W"]
    labels: Int[np.ndarray, " N"]
    thumbnails: Float[np.ndarray, "N h w c"]


THUMBNAIL = 16


@dataclasses.dataclass(frozen=True, eq=False)
class Base:
    """A generator with styles: z -> w (mapping) -> picture (synthesis).

    Attributes:
        sampler: the checkpoint.
    Raises:
        ValueError: its generator has no styles.
    """

    sampler: Sampler

    def __post_init__(self):
        if not self.sampler.has_styles:
            raise ValueError(
                f"{self.sampler.step}: personalization needs a generator with styles, as"
                " config.model='stylegan2' or 'style_dcgan' is; this one has none."
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """H, W, C of a picture."""
        return self.sampler.shape

    @property
    def has_alpha(self) -> bool:
        return self.shape[2] == 4

    @property
    def name(self) -> str:
        """Of the run and its step, or of the shared model; no place on this machine."""
        return notebook.name_of(self.sampler.step)

    @functools.cached_property
    def sha256(self) -> str:
        """Of all its weights, with their names and shapes."""
        found = hashlib.sha256()
        for name, x in sorted(checkpoint.named({"ema": self.sampler.ema}).items()):
            found.update(f"{name} {x.shape} {x.dtype}".encode())
            found.update(np.ascontiguousarray(jax.device_get(x)).tobytes())
        return found.hexdigest()

    @property
    def ema(self) -> Variables:
        return self.sampler.ema

    @functools.cached_property
    def layers(self) -> int:
        """L: how many styles a picture has."""
        game, y = self.sampler.game, np.zeros(1, np.int32) if self.sampler.classes else None

        def styles(rng):
            return game.styles(self.ema, game.latent(rng, 1), y)

        return jax.eval_shape(styles, jax.random.key(0)).shape[1]

    def draw(self, params: PyTree, ws: jax.Array, noise: PyTree | None = None) -> jax.Array:
        """ws f32 [n, L, W] -> pictures f32 [n, H, W, C], about [-1, 1], premultiplied where they
        have alpha; differentiable.

        params: of the generator, those of `ema` or others.
        noise: for its layers, those of all pictures; None: its own.
        """
        game, mutable = self.sampler.game, self.ema["mutable"]["g"]
        mutable = mutable if noise is None else mutable | {"noise": noise}
        return forward(game.g, params, mutable, ws, train=False, method="synthesis")[0]

    def map(self, z: jax.Array, y: jax.Array | None) -> jax.Array:
        """z [n, Z], y int32 [n] -> w f32 [n, W], of the first layer, as of all."""
        return self.sampler.styles(z, y)[:, 0]

    @functools.cached_property
    def statistics(self) -> Statistics:
        """Of SAMPLES samples, the classes in turn; the same ones every time."""
        key, n, classes = jax.random.key(0), SAMPLES, len(self.sampler.classes)
        labels = np.arange(n, dtype=np.int32) % max(classes, 1)
        z = self.sampler.game.latent(key, n)
        ws = np.asarray(self.map(z, labels if classes else None))
        mean = ws.mean(0)
        std = float(np.sqrt(np.square(ws - mean).sum(1).mean()))
        parts = np.array_split(ws, max(1, n // ROWS))
        thumbnails = [np.asarray(_thumbnails(self, self.params, jnp.asarray(w))) for w in parts]
        return Statistics(mean, std, ws, labels, np.concatenate(thumbnails))

    @property
    def params(self) -> PyTree:
        """Of its generator."""
        return self.ema["params"]["g"]

    def repeat(self, w: jax.Array) -> jax.Array:
        """w [n, W] -> ws [n, L, W], the same for each layer."""
        return jnp.repeat(w[:, None], self.layers, 1)

    def pictures(self, ws: np.ndarray, params: PyTree | None = None) -> np.ndarray:
        """ws f32 [n, L, W] -> uint8 [n, H, W, C], alpha straight. params: other than its own."""
        params, made = self.params if params is None else params, []
        for start in range(0, len(ws), ROWS):
            part = jnp.asarray(ws[start : start + ROWS])
            made.append(np.asarray(_uint8(self, params, part)))
        return np.concatenate(made) if made else np.zeros((0, *self.shape), np.uint8)

    @property
    def draws_colors(self) -> bool:
        """Whether its generator draws in a palette, and so at any size."""
        how = models.traits(self.sampler.game.g)
        return how.palette > 0 and how.shares is not None

    def large(self, ws: np.ndarray, times: int, params: PyTree | None = None) -> np.ndarray:
        """The same pictures `times` as large, uint8 [n, times H, times W, C], contours sharp. Only
        where it `draws_colors`."""
        params = self.params if params is None else params
        parts = [np.asarray(_large(self, times, params, jnp.asarray(w)[None])) for w in ws]
        return np.concatenate(parts)


def visible(x: Float[Array, "n H W C"]) -> Float[Array, "n H W c"]:
    """Premultiplied pictures over white; those without alpha as they are."""
    return alpha.over(x, jnp.ones(3)) if x.shape[-1] == 4 else x


def thumbnails(x: Float[Array, "n H W C"]) -> Float[Array, "n h w c"]:
    """Pictures of THUMBNAIL pixels a side, over white."""
    x = visible(x)
    return jax.image.resize(x, (len(x), THUMBNAIL, THUMBNAIL, x.shape[-1]), "linear")


@functools.partial(jax.jit, static_argnums=0)
def _thumbnails(base, params, w):
    return thumbnails(base.draw(params, base.repeat(w)))


@functools.partial(jax.jit, static_argnums=0)
def _uint8(base, params, ws):
    made = alpha.straight(jnp.clip(base.draw(params, ws), -1, 1))
    return jnp.round((made + 1) * 127.5).astype(jnp.uint8)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _large(base, times, params, ws):
    mutable, g = base.ema["mutable"]["g"], base.sampler.game.g
    shares, colors = (
        forward(g, params, mutable, ws, train=False, method=how)[0] for how in ("shares", "colors")
    )
    made = flat_colors.in_colors_enlarged(shares, colors, times)
    made = alpha.straight(jnp.clip(made, -1, 1))
    return jnp.round((made + 1) * 127.5).astype(jnp.uint8)


def seen(net: pretrained.Net, params: PyTree, x: Float[Array, "n H W C"]) -> Float[Array, "n F"]:
    """What LPIPS compares of pictures, over white; of 512 pixels a side and more, reduced by areas
    first. The squared distance of two rows is LPIPS."""
    return net.apply(params, reduced(visible(x))).features


def reduced(x: Float[Array, "n H W C"], side: int = 256) -> Float[Array, "n h w C"]:
    """Pictures of twice `side` pixels a side or more -> half as many, a third and so on, but not
    fewer than `side`: the mean over areas."""
    times = max(1, min(x.shape[1:3]) // side)
    if times == 1:
        return x
    n, h, w, c = x.shape
    x = x[:, : h // times * times, : w // times * times]
    return x.reshape(n, h // times, times, w // times, times, c).mean((2, 4))
