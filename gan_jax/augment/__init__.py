"""What the critic sees instead of the image: random changes, of reals and fakes alike, that G is
not to learn.

Every augmentation is a frozen object with three methods:

    init() -> carry: a dict of f32 [], kept in TrainState.carry; {} where nothing changes during
    training; __call__(carry, rng, x) -> x': f32 [B, H, W, C] in [-1, 1] -> the same shape, beyond
    [-1, 1] at times; differentiable
        twice in x, every image on its own; rows are drawn by collectives.draw, so that one device
        and several agree;
    observe(carry, logits_real, images) -> carry: after each of D's turns (or each part of one).
    logits_real: of the
        augmented reals, any shape [B, ...]; images: f32 [], images seen at the end of the turn.
"""

import dataclasses
from typing import Protocol

import jax

from gan_jax.augment.ada import ADA
from gan_jax.augment.diffaugment import DiffAugment
from gan_jax.augment.pick import flip_shift

Carry = dict[str, jax.Array]


class Augment(Protocol):
    """See above."""

    def init(self) -> Carry: ...

    def __call__(self, carry: Carry, rng: jax.Array, x: jax.Array) -> jax.Array: ...

    def observe(self, carry: Carry, logits_real: jax.Array, images: jax.Array) -> Carry: ...


@dataclasses.dataclass(frozen=True)
class NoAugment:
    """The image as it is."""

    def init(self) -> Carry:
        return {}

    def __call__(self, carry: Carry, rng: jax.Array, x: jax.Array) -> jax.Array:
        return x

    def observe(self, carry: Carry, logits_real: jax.Array, images: jax.Array) -> Carry:
        return carry


NONE = NoAugment()
AUGMENTS = {"diffaugment": DiffAugment, "ada": ADA}

__all__ = ["ADA", "AUGMENTS", "NONE", "Augment", "DiffAugment", "NoAugment", "flip_shift"]
