"""What a run is: two players, the generator's average, and the types that a game and step.py share.

If it changes during training and is not in `TrainState`, it is a bug: the checkpoint saves exactly
this, `TrainState.saved`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax
from flax import struct

PyTree = Any


@struct.dataclass
class Player:
    """One side of the game; `params` and `mutable` are keyed by network name ({"g": ...})."""

    params: PyTree  # trained by the optimizer
    mutable: PyTree  # written by the forward pass: batch statistics, spectral norm's u
    opt: optax.OptState


@struct.dataclass
class TrainState:
    """All that an optimizer step reads, and only arrays: no apply_fn, no optimizer, no Python
    counters."""

    step: jax.Array  # int32 [], iterations done (one pass over game.phases each)
    # uint32 [2], data of the constant root key; an optimizer step folds `step` and its place in the
    # iteration in, no split is kept
    rng: jax.Array
    g: Player  # all networks trained to fool
    d: Player  # all critics
    # {"params": ..., "mutable": ...} of g, averaged; sampling reads it through Game.sample only
    ema: PyTree
    carry: PyTree  # the algorithm's own arrays
    # {"eyes": weights} of the pretrained networks in Game.frozen: read by losses, never written
    frozen: PyTree = struct.field(default_factory=dict)

    def saved(self) -> "TrainState":
        """All that a checkpoint holds: without the frozen networks, whose files are the user's."""
        return self.replace(frozen={})


class Aux(NamedTuple):
    """What every loss returns beside its value."""

    mutable: PyTree  # new mutable of the player being trained; the other's is dropped
    carry: PyTree
    metrics: dict[str, jax.Array]  # f32 [] each, named "d/r1"


class Phase(NamedTuple):
    """One player's optimizer steps; a game's `phases` tuple is the whole training schedule."""

    who: str  # "d" or "g"
    loss: Callable  # (params, state, batch, rng) -> (f32 [], Aux)
    every: int = 1  # plays when step % every == 0: lazy regularization
    repeat: int = 1  # optimizer steps an iteration, one batch each: n_critic
    only: tuple[str, ...] | None = None  # names of the player's networks that move; None: all
    since: int = 0  # the first iteration in which it plays
    until: int | None = None  # the first in which it no longer does; None: it plays to the end

    def plays(self, step: int) -> bool:
        """Whether it has begun and not ended by this iteration."""
        return self.since <= step and (self.until is None or step < self.until)

    def due(self, step: int) -> bool:
        """Whether it plays in this iteration."""
        return self.plays(step) and step % self.every == 0
