"""Plays the game: one optimiser step a turn, the phases in order, then the average. No loss, no model, no config."""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gan_jax import axis
from gan_jax.state import Phase, Player, PyTree, TrainState

Metrics = dict[str, jax.Array]


def make_turn(phase: Phase, tx: optax.GradientTransformation) -> Callable:
    """One optimiser step of player `phase.who`; the other player is read, never written.

    Returns a pure function (state, batch, k) -> (state, metrics); k: int32 [], the turn's place in the round.
    """

    def turn(state: TrainState, batch: PyTree, k: jax.Array) -> tuple[TrainState, Metrics]:
        rng = jax.random.fold_in(jax.random.fold_in(jax.random.wrap_key_data(state.rng), state.step), k)
        me = getattr(state, phase.who)
        (_, aux), grads = jax.value_and_grad(phase.loss, has_aux=True)(me.params, state, batch, rng)
        updates, opt = tx.update(axis.mean(grads), me.opt, me.params)
        me = Player(optax.apply_updates(me.params, updates), aux.mutable, opt)
        return state.replace(**{phase.who: me}, carry=aux.carry), axis.mean(aux.metrics)

    return turn


def ema_decay(step: jax.Array, batch: int, halflife: float, rampup: float | None) -> jax.Array:
    """Weight of the old average after round `step` (from 0): 0.5 ** (batch / half-life).

    Args:
        batch: images a round. halflife: in images. rampup: the half-life is at most this share of the images seen
            (None: always the whole half-life). Karras et al. 2020, arXiv:2006.06676, use 0.05.
    """
    if rampup is not None:
        halflife = jnp.minimum(halflife, rampup * batch * (step + 1.0))
    return jnp.exp2(-batch / jnp.maximum(halflife, 1e-8))


def end_round(state: TrainState, batch: int, halflife: float, rampup: float | None) -> TrainState:
    """Counts the round and moves the average. Batch statistics are averaged like weights: they belong together."""
    new = {"params": state.g.params, "mutable": state.g.mutable}
    decay = ema_decay(state.step, batch, halflife, rampup)
    ema = jax.tree.map(lambda old, live: decay * old + (1 - decay) * live, state.ema, new)
    return state.replace(step=state.step + 1, ema=ema)


class Round:
    """Plays one round. Who is due is plain Python on the host; each turn is one compiled program.

    XLA's CPU backend leaves convolution gradients slow inside `lax.cond` and `lax.scan`; so no turn is nested in one.
    """

    def __init__(
        self, phases: Sequence[Phase], tx: dict, parallel, *, batch: int, halflife: float, rampup: float | None
    ):
        """tx: {"g": optimiser, "d": optimiser}; parallel: parallel.Parallel; batch, halflife in images."""
        self.turns = [(phase, parallel.compile(make_turn(phase, tx[phase.who]))) for phase in phases]
        end = functools.partial(end_round, batch=batch, halflife=halflife, rampup=rampup)
        self.end = parallel.compile(end)
        self.parallel = parallel
        self.batches = max(phase.repeat for phase in phases)  # a round takes this many

    def __call__(self, state: TrainState, batches: Sequence[PyTree], step: int) -> tuple[TrainState, Metrics]:
        """batches: one pytree [B, ...] a turn of the longest phase; step: the host's count of rounds."""
        metrics, k = {}, 0
        for phase, turn in self.turns:
            if step % phase.every == 0:
                for batch in batches[-phase.repeat :]:
                    state, measured = turn(state, batch, self.parallel.scalar(np.int32(k)))
                    metrics, k = metrics | measured, k + 1
        return self.end(state), metrics
