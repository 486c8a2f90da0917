"""What every game of pictures from noise can add to its critic: augmentation, LeCam, consistency
regularisation."""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from gan_jax import regularizers
from gan_jax.augment import NONE, Augment, flip_shift
from gan_jax.distributed import collectives
from gan_jax.state import PyTree


@dataclasses.dataclass(frozen=True, kw_only=True)
class Additions:
    """Their settings and terms. A game adds `additions_d` to what D minimises and keeps
    `init_carry` and `observed`.

    Attributes:
        augment: what the critic's pictures go through, real and generated; config.augment.
        lecam: weight of the pull of logits towards the other side's running mean, which moves by 1
            - `lecam_decay` a turn of `batch` images. For `lecam_start` rounds there is no pull and
            the means are those of the last logits, as in the authors' program.
        consistency_real, consistency_fake: weights of the squared change of a logit when its
            picture is flipped and
            shifted: consistency regularisation (Zhang et al. 2020, arXiv:1910.12027), and with both
            the balanced one (Zhao et al. 2020, arXiv:2002.04724).
        batch: images a round.
    """

    augment: Augment = NONE
    lecam: float = 0.0
    lecam_decay: float = 0.99
    lecam_start: int = 1000
    consistency_real: float = 0.0
    consistency_fake: float = 0.0
    batch: int = 0

    def __post_init__(self):
        for name in ("lecam", "consistency_real", "consistency_fake"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"config.game.{name}={getattr(self, name)}: it must be 0 or more.")
        if not 0 <= self.lecam_decay <= 1:
            raise ValueError(
                f"config.game.lecam_decay={self.lecam_decay}: it must be within 0 and 1."
            )
        if self.lecam_start < 0:
            raise ValueError(
                f"config.game.lecam_start={self.lecam_start}: it must be 0 or more (rounds)."
            )

    def init_carry(self) -> dict[str, PyTree]:
        """What the additions keep between rounds, at the start."""
        means = {"real": jnp.float32(0), "fake": jnp.float32(0)} if self.lecam else {}
        return {"augment": self.augment.init(), "lecam": means}

    def seen(self, state, rng: jax.Array, x: jax.Array) -> jax.Array:
        """What a critic is shown of x [B, H, W, C], the same shape."""
        return self.augment(state.carry["augment"], rng, x)

    def additions_d(
        self, state, critic: Callable[[jax.Array], jax.Array], keys, seen, logits
    ) -> tuple:
        """What they add to D's loss, weighted.

        Args:
            critic: images [B, H, W, C] -> logits [B], as trained.
            keys, seen, logits: pairs, of the reals and of the fakes: random keys; images as the
                critic saw them, f32 [B, H, W, C]; what it said, f32 [B].
        Returns:
            (their sum f32 [] or 0, {metric: f32 []}).
        """
        terms = {}
        if self.lecam:
            means = state.carry["lecam"]
            pull = regularizers.lecam(*logits, means["real"], means["fake"])
            terms["d/lecam"] = self.lecam * jnp.where(state.step < self.lecam_start, 0, pull)
        for i, (side, weight) in enumerate(
            (("real", self.consistency_real), ("fake", self.consistency_fake))
        ):
            if weight:
                moved = critic(flip_shift(keys[i], seen[i]))
                terms[f"d/consistency_{side}"] = weight * regularizers.consistency(logits[i], moved)
        return sum(terms.values()), terms

    def observed(self, state, logits_real: jax.Array, logits_fake: jax.Array) -> tuple[dict, dict]:
        """(the carry after D's turn: the augmentation's strength, LeCam's running means; {metric:
        f32 []})."""
        images = (state.step + 1.0) * self.batch
        carry = state.carry | {
            "augment": self.augment.observe(state.carry["augment"], logits_real, images)
        }
        if self.lecam:
            rows = logits_real.shape[0] * collectives.size()  # of a turn, or of one of its parts
            decay = jnp.where(
                state.step < self.lecam_start, 0, self.lecam_decay ** (rows / (self.batch or rows))
            )
            carry["lecam"] = regularizers.lecam_means(
                carry["lecam"], logits_real, logits_fake, decay
            )
        return carry, {"d/augment_p": carry["augment"]["p"]} if "p" in carry["augment"] else {}
