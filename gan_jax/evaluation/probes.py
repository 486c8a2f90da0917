"""What generated pictures are worth: classifiers trained on them, and with them, and tested on real
held-out ones."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gan_jax.algorithms import base
from gan_jax.models.classifier import Classifier

LR = 2e-3
CHUNK = 256  # pictures classified at a time


class Labeled(NamedTuple):
    """Pictures uint8 [n, H, W, C] and their classes int [n]."""

    images: np.ndarray
    labels: np.ndarray


class Accuracy(NamedTuple):
    """Accuracy over the seeds."""

    mean: float
    std: float  # ddof 1; nan for one seed
    scores: tuple[float, ...] = ()  # a seed each

    @classmethod
    def of(cls, scores: Sequence[float]) -> "Accuracy":
        std = float(np.std(scores, ddof=1)) if len(scores) > 1 else float("nan")
        return cls(float(np.mean(scores)), std, tuple(scores))

    def __str__(self) -> str:
        return f"{self.mean:.3f}" + (f" ± {self.std:.3f}" if np.isfinite(self.std) else "")


@dataclasses.dataclass(frozen=True)
class Usefulness:
    """How the classifiers are trained: config.eval.usefulness.

    Attributes:
        sizes: of the real sets that generated pictures are added to.
        seeds: trainings of each kind; each draws its own real set, start and order.
        steps: optimizer steps of a training: Adam, learning rate 2e-3 falling along a cosine to 0.
        batch: pictures of each of these steps.
        width: channels at the first level; twice as many a level down, at most 8 times.
    """

    sizes: tuple[int, ...] = (100, 300, 1000)
    seeds: int = 3
    steps: int = 300
    batch: int = 64
    width: int = 32

    def __post_init__(self):
        for name in ("seeds", "steps", "batch", "width"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"config.eval.usefulness.{name}={getattr(self, name)}: it must be at least 1."
                )
        if not self.sizes or min(self.sizes) < 1:
            raise ValueError(
                f"config.eval.usefulness.sizes={self.sizes}: numbers of real images, each at"
                " least 1."
            )

    def score(
        self, sets: Sequence[Labeled], test: Labeled, n_classes: int, size: int | None = None
    ) -> Accuracy:
        """Accuracy on `test` after training on the sets together, over the seeds.

        Every batch holds equally many of each set, so a large generated set does not drown a small
        real one.
        size: of the first set only so many, another draw a seed.
        """
        scores = []
        for seed in range(self.seeds):
            first = sets[0]
            if size is not None:
                chosen = np.random.default_rng([seed, size]).permutation(len(first.labels))[:size]
                first = Labeled(first.images[chosen], first.labels[chosen])
            scores.append(self.accuracy(self.fit([first, *sets[1:]], n_classes, seed), test))
        return Accuracy.of(scores)

    def fit(self, sets: Sequence[Labeled], n_classes: int, seed: int) -> dict:
        """A trained classifier's variables."""
        net, rng = Classifier(n_classes, self.width), np.random.default_rng(seed)
        example = base.to_float(jnp.asarray(sets[0].images[:1]))
        variables = jax.jit(functools.partial(net.init, train=True))(jax.random.key(seed), example)
        tx, step = _training(net, self.steps)
        opt = tx.init(variables["params"])
        rows = np.array_split(np.arange(self.batch), len(sets))
        for _ in range(self.steps):
            drawn = [
                (s, rng.integers(0, len(s.labels), len(part)))
                for s, part in zip(sets, rows, strict=True)
            ]
            images = np.concatenate([s.images[i] for s, i in drawn])
            labels = np.concatenate([s.labels[i] for s, i in drawn]).astype(np.int32)
            variables, opt = step(variables, opt, images, labels)
        return variables

    def probabilities(self, variables: dict, images: np.ndarray) -> np.ndarray:
        """f32 [n, K] of pictures uint8 [n, H, W, C]."""
        net, found = Classifier(variables["params"]["Dense_0"]["bias"].shape[0], self.width), []
        for start in range(0, len(images), CHUNK):
            part = np.resize(images[start : start + CHUNK], (CHUNK, *images.shape[1:]))
            found.append(np.asarray(_probabilities(net, variables, part)))
        return np.concatenate(found)[: len(images)]

    def accuracy(self, variables: dict, test: Labeled) -> float:
        """Share of `test` whose class is found."""
        return float(np.mean(self.probabilities(variables, test.images).argmax(1) == test.labels))


@functools.lru_cache(maxsize=8)
def _training(net, steps):
    """(optimizer, compiled step): one compilation for all trainings of a shape."""
    tx = optax.adam(optax.cosine_decay_schedule(LR, steps))

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(variables, opt, images, labels):
        def loss(params):
            logits, new = net.apply(
                variables | {"params": params},
                base.to_float(images),
                train=True,
                mutable=["batch_stats"],
            )
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), new

        (_, new), grads = jax.value_and_grad(loss, has_aux=True)(variables["params"])
        updates, opt = tx.update(grads, opt)
        return {"params": optax.apply_updates(variables["params"], updates), **new}, opt

    return tx, step


@functools.partial(jax.jit, static_argnums=0)
def _probabilities(net, variables, images):
    return jax.nn.softmax(net.apply(variables, base.to_float(images)))
