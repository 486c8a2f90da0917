"""What the critic sees instead of the image: random changes, of reals and fakes alike, that G is
not to learn. Every augmentation is a frozen object with the methods of `Augment`."""

import dataclasses
from typing import Protocol

import jax
from jaxtyping import Array, Float

from gan_jax.augment.ada import ADA
from gan_jax.augment.diffaugment import DiffAugment
from gan_jax.augment.pick import flip_shift

# kept in TrainState.carry; {} where nothing changes in training
Carry = dict[str, Float[Array, ""]]


class Augment(Protocol):
    """One kind of augmentation, with its settings."""

    def init(self) -> Carry:
        """The carry at the start."""

    def __call__(
        self, carry: Carry, rng: jax.Array, x: Float[Array, "B H W C"]
    ) -> Float[Array, "B H W C"]:
        """x in [-1, 1] -> augmented, beyond [-1, 1] at times; twice differentiable in x, every
        image on its own. Random rows come from collectives.draw, so that one device and several
        agree."""

    def observe(
        self, carry: Carry, logits_real: Float[Array, "B ..."], images: Float[Array, ""]
    ) -> Carry:
        """The carry after one of D's steps, or a part of one.

        logits_real: of the augmented reals.
        images: so many in all, at the end of the step.
        """


@dataclasses.dataclass(frozen=True)
class NoAugment:
    """The image as it is."""

    def init(self) -> Carry:
        return {}

    def __call__(
        self, carry: Carry, rng: jax.Array, x: Float[Array, "B H W C"]
    ) -> Float[Array, "B H W C"]:
        return x

    def observe(
        self, carry: Carry, logits_real: Float[Array, "B ..."], images: Float[Array, ""]
    ) -> Carry:
        return carry


NONE = NoAugment()
AUGMENTS = {"diffaugment": DiffAugment, "ada": ADA}

__all__ = ["ADA", "AUGMENTS", "NONE", "Augment", "DiffAugment", "NoAugment", "flip_shift"]
