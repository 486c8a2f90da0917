"""One iteration of a game: an optimizer step of each phase that is due, in order, then the moving
average. No loss, no model, no config."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gan_jax.distributed import collectives
from gan_jax.state import Phase, PyTree, TrainState

Metrics = dict[str, jax.Array]


def make_step(phase: Phase, tx: optax.GradientTransformation, accumulate: int = 1) -> Callable:
    """One optimizer step of player `phase.who`; the other player is read, never written.

    accumulate: the batch is cut into so many parts, played one after the other in a fraction of the
        memory; their gradients are averaged. What is taken over a batch (batch statistics,
        minibatch standard deviation) is taken over a part.
    Returns a pure function (state, batch, k) -> (state, metrics); k: int32 [], the step's place
        in the iteration.
    """
    only = {} if phase.only is None else {"only": phase.only}

    def mean(*parts):
        return sum(parts) / accumulate

    def gradients(state, batch, rng):
        """(gradients, metrics, the state with the player's new mutable and the new carry)."""
        me = getattr(state, phase.who)
        loss = jax.value_and_grad(phase.loss, has_aux=True)
        (_, aux), grads = loss(me.params, state, batch, rng)
        me = me.replace(mutable=aux.mutable)
        return grads, aux.metrics, state.replace(**{phase.who: me}, carry=aux.carry)

    def accumulated(state, batch, rng):
        """The same of a batch in parts; not by a scan, inside which XLA's CPU backend leaves
        convolution gradients slow."""
        grads, metrics = [], []
        for n in range(accumulate):
            part = jax.tree.map(lambda x, n=n: _part(x, n, accumulate), batch)
            key = jax.random.fold_in(rng, n)
            # not before the part ahead of it is done
            part, grads = jax.lax.optimization_barrier((part, grads))
            new, measured, state = gradients(state, part, key)
            grads = jax.tree.map(jnp.add, grads, new) if n else new
            metrics.append(measured)
        return jax.tree.map(mean, grads), jax.tree.map(mean, *metrics), state

    def step(state: TrainState, batch: PyTree, k: jax.Array) -> tuple[TrainState, Metrics]:
        root = jax.random.wrap_key_data(state.rng)
        rng = jax.random.fold_in(jax.random.fold_in(root, state.step), k)
        play = gradients if accumulate == 1 else accumulated
        grads, metrics, state = play(state, batch, rng)
        me = getattr(state, phase.who)
        updates, opt = tx.update(collectives.mean(grads), me.opt, me.params, **only)
        me = me.replace(params=optax.apply_updates(me.params, updates), opt=opt)
        return state.replace(**{phase.who: me}), collectives.mean(metrics)

    return step


def _part(x: jax.Array, n: int, parts: int) -> jax.Array:
    """Rows n, n + parts, ...: each device's share of them is among its own rows."""
    return x.reshape(x.shape[0] // parts, parts, *x.shape[1:])[:, n]


class Average(NamedTuple):
    """How the averaged generator follows the live one; durations in images.

    Attributes:
        halflife: of a weight in the average.
        rampup: the half-life is at most this share of the images so far (None: no ramp). Karras et
            al. 2020, arXiv:2006.06676, use 0.05.
        rise: the half-life rises from 0 along half a cosine over so many images (None: it is
            full from the start). Huang et al. 2024, arXiv:2501.05441.
    """

    halflife: float
    rampup: float | None = None
    rise: float | None = None

    def decay(self, step: jax.Array, batch: int) -> jax.Array:
        """Weight of the old average after iteration `step` (from 0) of `batch` images: 0.5 **
        (batch / half-life)."""
        halflife, images = self.halflife, batch * (step + 1.0)
        if self.rise is not None:
            halflife = halflife * (1 - jnp.cos(jnp.pi * jnp.minimum(images / self.rise, 1))) / 2
        if self.rampup is not None:
            halflife = jnp.minimum(halflife, self.rampup * images)
        return jnp.exp2(-batch / jnp.maximum(halflife, 1e-8))


def end_iteration(state: TrainState, batch: int, average: Average) -> TrainState:
    """Counts the iteration and moves the average. Batch statistics are averaged like weights: they
    belong together.

    What is an average already, in a collection "average" (StyleGAN2's mean of w), is copied. What
    does not move, and is its own average, stays as it is in every bit.
    """
    new = {"params": state.g.params, "mutable": state.g.mutable}
    decay = average.decay(state.step, batch)
    ema = jax.tree.map(lambda old, live: old + (1 - decay) * (live - old), state.ema, new)
    for name, collections in state.g.mutable.items():
        if "average" in collections:
            ema["mutable"][name]["average"] = collections["average"]
    return state.replace(step=state.step + 1, ema=ema)


class Iteration:
    """One iteration. Which phase is due is plain Python on the host; each step is one compiled
    program.

    XLA's CPU backend leaves convolution gradients slow inside `lax.cond` and `lax.scan`; so no step
    is nested in one.
    """

    def __init__(
        self,
        phases: Sequence[Phase],
        tx: dict,
        parallel,
        *,
        batch: int,
        average: Average,
        accumulate: int = 1,
    ):
        """tx: {"g": optimizer, "d": optimizer};
        parallel: parallel.Parallel; batch: images an iteration."""
        self.steps = [
            (phase, parallel.compile(make_step(phase, tx[phase.who], accumulate)))
            for phase in phases
        ]
        self.end = parallel.compile(functools.partial(end_iteration, batch=batch, average=average))
        self.parallel = parallel
        self.batches = max(phase.repeat for phase in phases)  # an iteration takes this many

    def due(self, step: int) -> list[int]:
        """The places of the phases that are due in iteration `step`."""
        return [n for n, (phase, _) in enumerate(self.steps) if phase.due(step)]

    def __call__(
        self, state: TrainState, batches: Sequence[PyTree], step: int
    ) -> tuple[TrainState, Metrics]:
        """batches: one pytree [B, ...] a step of the longest phase;
        step: the host's count of iterations."""
        metrics, k = {}, 0
        for phase, step_fn in self.steps:
            if phase.due(step):
                for batch in batches[-phase.repeat :]:
                    state, measured = step_fn(state, batch, self.parallel.scalar(np.int32(k)))
                    metrics, k = metrics | measured, k + 1
        return self.end(state), metrics
