"""What a game of pictures from noise can add to its critic: augmentation, LeCam, consistency
regularization."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from gan_jax import regularizers
from gan_jax.algorithms import base
from gan_jax.augment import NONE, Augment, flip_shift
from gan_jax.distributed import collectives
from gan_jax.state import PyTree

Term = tuple[jax.Array | float, dict[str, jax.Array]]  # (f32 [] as D's loss adds it, its metrics)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CriticTerms:
    """Settings of config.game and terms of D's loss, a field of the games that have them.

    Attributes:
        augment: what the critic's pictures go through, real and generated; config.augment.
        lecam: weight of the pull of logits towards the other side's running mean, which moves by 1
            - `lecam_decay` an optimizer step of `batch` images. For `lecam_start` iterations there
            is no pull and the means are those of the last logits, as in the authors' program.
        consistency_real, consistency_fake: weights of the squared change of a logit when its
            picture is flipped and shifted: consistency regularization (Zhang et al. 2020,
            arXiv:1910.12027), and with both the balanced one (Zhao et al. 2020, arXiv:2002.04724).
        batch: images an iteration.
    """

    augment: Augment = NONE
    lecam: float = 0.0
    lecam_decay: float = 0.99
    lecam_start: int = 1000
    consistency_real: float = 0.0
    consistency_fake: float = 0.0
    batch: int = 0

    def __post_init__(self):
        base.check_weights(self, "lecam", "consistency_real", "consistency_fake")
        base.check_shares(self, "lecam_decay")
        if self.lecam_start < 0:
            raise ValueError(
                f"config.game.lecam_start={self.lecam_start}: it must be 0 or more (iterations)."
            )

    def init_carry(self) -> dict[str, PyTree]:
        """What is kept from one iteration to the next, at the start."""
        means = {"real": jnp.float32(0), "fake": jnp.float32(0)} if self.lecam else {}
        return {"augment": self.augment.init(), "lecam": means}

    def augmented(self, state, rng: jax.Array, x: jax.Array) -> jax.Array:
        """x [B, H, W, C] as the critic sees it, the same shape."""
        return self.augment(state.carry["augment"], rng, x)

    def lecam_term(self, state, logits_real: jax.Array, logits_fake: jax.Array) -> Term:
        """`lecam` times regularizers.lecam, from iteration `lecam_start` on."""
        if not self.lecam:
            return 0.0, {}
        means = state.carry["lecam"]
        pull = regularizers.lecam(logits_real, logits_fake, means["real"], means["fake"])
        term = self.lecam * jnp.where(state.step < self.lecam_start, 0, pull)
        return term, {"d/lecam": term}

    def consistency_term(
        self, critic: Callable[[jax.Array], jax.Array], keys, augmented, logits
    ) -> Term:
        """`consistency_real` and `consistency_fake` times regularizers.consistency of each side.

        Args:
            critic: images [B, H, W, C] -> logits [B], as trained.
            keys, augmented, logits: pairs, of the reals and of the fakes: random keys; images as
                the critic saw them, f32 [B, H, W, C]; its logits f32 [B].
        """
        metrics = {}
        for i, side in enumerate(("real", "fake")):
            weight = (self.consistency_real, self.consistency_fake)[i]
            if weight:
                perturbed = critic(flip_shift(keys[i], augmented[i]))
                change = regularizers.consistency(logits[i], perturbed)
                metrics[f"d/consistency_{side}"] = weight * change
        return sum(metrics.values()), metrics

    def next_carry(
        self, state, logits_real: jax.Array, logits_fake: jax.Array
    ) -> tuple[dict[str, PyTree], dict[str, jax.Array]]:
        """(the carry after D's step: the augmentation's strength, LeCam's running means; {metric:
        f32 []})."""
        images = (state.step + 1.0) * self.batch
        strength = self.augment.observe(state.carry["augment"], logits_real, images)
        carry = state.carry | {"augment": strength}
        if self.lecam:
            rows = logits_real.shape[0] * collectives.size()  # of a step, or of one of its parts
            decay = self.lecam_decay ** (rows / (self.batch or rows))
            decay = jnp.where(state.step < self.lecam_start, 0, decay)
            means = state.carry["lecam"]
            carry["lecam"] = regularizers.lecam_means(means, logits_real, logits_fake, decay)
        return carry, {"d/augment_p": strength["p"]} if "p" in strength else {}


NONE = CriticTerms()
