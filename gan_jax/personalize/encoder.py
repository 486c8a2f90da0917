"""Pictures -> styles in one pass: a small network that was trained on the generator's own samples,
whose styles are known. A search that starts there needs fewer steps.

After the encoders for inversion (Tov et al. 2021, arXiv:2102.02766), whose trunk, losses and
pictures of real faces are others.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import safetensors
import safetensors.numpy
from flax import traverse_util
from jaxtyping import Array, Float

from gan_jax.nn.layers import Conv, Dense
from gan_jax.nn.resample import space_to_depth
from gan_jax.personalize.base import Base
from gan_jax.runtime import files
from gan_jax.runtime.weights import limits
from gan_jax.state import PyTree

FILE = "encoder.safetensors"  # beside a shared model's weights
BATCH = 16
PIXELS = 1.0  # weight of the redrawn picture's mean squared difference
LOOK = 100  # steps between two looks at the error


class Network(nn.Module):
    """A picture, premultiplied, in [-1, 1] -> w: convolutions of stride 2 down to 4 to 7 pixels a
    side, two dense layers.

    Attributes:
        w_dim: width of w.
        width: channels of the first layer; twice as many after each, at most 8 times.
    """

    w_dim: int
    width: int = 48

    @nn.compact
    def __call__(self, x: Float[Array, "n H W C"]) -> Float[Array, "n {self.w_dim}"]:
        patch = 2 if min(x.shape[1:3]) >= 32 and not x.shape[1] % 2 | x.shape[2] % 2 else 1
        x, k = space_to_depth(x, patch), 0
        while min(x.shape[1:3]) >= 8:
            x = Conv(self.width << min(k, 3), "he", kernel_size=4, stride=2, name=f"conv{k}")(x)
            x, k = nn.leaky_relu(x, 0.2), k + 1
        x = nn.leaky_relu(Dense(512, "he", name="dense")(x.reshape(len(x), -1)), 0.2)
        return Dense(self.w_dim, "he", name="last")(x)


@dataclasses.dataclass(frozen=True, eq=False)
class Encoder:
    """A trained network, of one base.

    Attributes:
        base: whose samples it was trained on.
        params: of Network; its w is by the spread of W, around the mean.
    """

    base: Base
    params: PyTree

    @property
    def net(self) -> Network:
        return Network(len(self.base.statistics.mean))

    def __call__(self, pictures: Float[np.ndarray, "n H W C"]) -> Float[np.ndarray, "n W"]:
        """w of pictures of the base's shape in [-1, 1], premultiplied where they have alpha."""
        found = _encoded(self, self.params, jnp.asarray(pictures))
        return np.asarray(found)

    def around_mean(self, found: Float[Array, "n W"]) -> Float[Array, "n W"]:
        """The network's numbers -> w."""
        samples = self.base.statistics
        spread = samples.std / np.sqrt(len(samples.mean))
        return samples.mean.reshape(1, -1) + found * spread

    def loss(self, params: PyTree, w: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(what is minimized, |w found - w| by the spread of W, the mean): the squared error of w
        by that spread + PIXELS times the mean squared difference of the redrawn picture."""
        found = self.around_mean(self.net.apply({"params": params}, x))
        error = jnp.square(found - w).sum(1) / self.base.statistics.std**2
        redrawn = self.base.draw(self.base.params, self.base.repeat(found))
        pixels = jnp.mean(jnp.square(redrawn - x))
        return error.mean() + PIXELS * pixels, jnp.sqrt(error).mean()


def train(
    base: Base, steps: int = 3000, *, seed: int = 0, log: Callable[[int, float], None] | None = None
) -> Encoder:
    """Trains on `steps` batches of new samples of the base, its classes in turn; Adam from 1e-3 to
    0 along half a cosine.

    log: takes (step, |w found - w| by the spread of W), now and then.
    """
    rng = jax.random.key(seed)
    start = Encoder(base, {})
    params = start.net.init(rng, jnp.zeros((1, *base.shape)))["params"]
    opt = _optimizer(steps).init(params)
    classes, total = len(base.sampler.classes), 0.0
    for step in range(steps):
        y = (step * BATCH + np.arange(BATCH)) % max(classes, 1)
        z = base.sampler.game.latent(jax.random.fold_in(rng, step), BATCH)
        w = base.map(z, y.astype(np.int32) if classes else None)
        params, opt, error = _step(start, steps, params, opt, w)
        total += float(error)
        if (step + 1) % LOOK == 0 and log is not None:
            log(step + 1, total / LOOK)
            total = 0.0
    return Encoder(base, params)


def save(file: pathlib.Path, encoder: Encoder) -> None:
    """Writes it, float16, with its base's hash."""
    leaves = traverse_util.flatten_dict(encoder.params, sep="/")
    leaves = {name: np.asarray(x, np.float16) for name, x in leaves.items()}
    about = {"base": encoder.base.sha256}
    file.parent.mkdir(parents=True, exist_ok=True)
    files.replace_bytes(file, safetensors.numpy.save(leaves, about))


def load(file: pathlib.Path, base: Base) -> Encoder:
    """One that `save` wrote. Raises ValueError: no such file, damaged, or another base's."""
    limits.is_there(file)
    with limits.in_one_line(file), safetensors.safe_open(file, "numpy") as stored:
        about = stored.metadata() or {}
        leaves = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    if about.get("base") != base.sha256:
        raise ValueError(
            f"{file}: an encoder of another base than {base.name}. Train one: gan-jax encoder."
        )
    params = {name: jnp.asarray(x, jnp.float32) for name, x in leaves.items()}
    found = Encoder(base, traverse_util.unflatten_dict(params, sep="/"))
    shapes = jax.eval_shape(found.net.init, jax.random.key(0), jnp.zeros((1, *base.shape)))
    wanted = {k: x.shape for k, x in traverse_util.flatten_dict(shapes["params"], sep="/").items()}
    if wanted != {name: x.shape for name, x in leaves.items()}:
        raise ValueError(f"{file}: no encoder as `gan-jax encoder` writes it.")
    return found


def of(base: Base) -> Encoder | None:
    """The encoder that comes with a base; None: there is none."""
    file = base.sampler.step / FILE
    return load(file, base) if file.is_file() else None


def _optimizer(steps):
    return optax.adam(optax.cosine_decay_schedule(1e-3, steps))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _step(encoder, steps, params, opt, w):
    x = encoder.base.draw(encoder.base.params, encoder.base.repeat(w))
    (_, error), grads = jax.value_and_grad(encoder.loss, has_aux=True)(params, w, x)
    updates, opt = _optimizer(steps).update(grads, opt)
    return optax.apply_updates(params, updates), opt, error


@functools.partial(jax.jit, static_argnums=0)
def _encoded(encoder, params, x):
    return encoder.around_mean(encoder.net.apply({"params": params}, x))
