"""Config -> optax chain, one per player. Durations are counted in images, never in steps.

The updates are those of the papers and of PyTorch, which their authors' programs use; where optax's
defaults differ (RMSProp's eps inside the root), they are set. g is the gradient, w the weight, m
and v start at 0, t counts from 1:

    adam      m = b1 m + (1 - b1) g
              v = b2 v + (1 - b2) g^2
              w -= lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)
    rmsprop   v = b2 v + (1 - b2) g^2
              w -= lr g / (sqrt(v) + eps); no correction of v
    sgd       m = momentum m + g
              w -= lr m

clip_norm scales g first; weight_decay w is then added to it (L2, not AdamW's, which leaves g
alone).

    as published            name     lr                    b1   b2           eps   beside
    DCGAN                   adam     2e-4                  0.5  0.999        1e-8
    WGAN                    rmsprop  5e-5                  -    0.99         1e-8  clip_weight 0.01
    WGAN-GP (CIFAR-10)      adam     2e-4, linear to 0     0    0.9          1e-8
    SNGAN (CIFAR-10)        adam     2e-4, linear to 0     0    0.9          1e-8
    SAGAN                   adam     G 1e-4, D 4e-4        0    0.9          1e-8
    BigGAN                  adam     G 5e-5, D 2e-4        0    0.999        1e-6
    PyTorch-StudioGAN       adam     2e-4                  0.5  0.999        1e-6
    StyleGAN2(-ADA)         adam     2e-3 or 2.5e-3        0    0.99         1e-8  lazy phases
    R3GAN                   adam     2e-4, cosine to 5e-5  0    0.9 to 0.99  1e-8
    pix2pix, CycleGAN, CUT  adam     2e-4, linear to 0     0.5  0.999        1e-8
    StarGAN v2              adam     1e-4, mapping 1e-6    0    0.99         1e-8  weight_decay 1e-4
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import optax
from flax import traverse_util

from gan_jax.runtime import registry
from gan_jax.state import Phase


def constant(value: float, final: float, start: int, end: int) -> optax.Schedule:
    """The value, at every step."""
    return optax.constant_schedule(value)


def linear(value: float, final: float, start: int, end: int) -> optax.Schedule:
    """Holds the value until `start`, then goes in a line to `final` at `end` (steps)."""
    return optax.linear_schedule(value, final, max(end - start, 1), start)


def cosine(value: float, final: float, start: int, end: int) -> optax.Schedule:
    """Holds the value until `start`, then goes along half a cosine to `final` at `end` (steps)."""
    fall = optax.cosine_decay_schedule(1.0, max(end - start, 1))
    return lambda count: final + (value - final) * fall(jnp.maximum(count - start, 0))


def clip_weights(limit: float) -> optax.GradientTransformation:
    """Keeps every parameter in [-limit, limit] after the step. Arjovsky et al. 2017,
    arXiv:1701.07875, algorithm 1."""

    def update(updates, state, params):
        return jax.tree.map(lambda u, p: jnp.clip(p + u, -limit, limit) - p, updates, params), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def keep(frozen: Sequence[str], place: str) -> optax.GradientTransformation:
    """Leaves parameters as they are whose names, "synthesis/b4/conv1/kernel", are among `frozen` or
    lie below one of them: a zero gradient alone would not, for momentum and weight decay move on.

    place: of the setting in the config, for errors. Raises ValueError where a name is none.
    """

    def init(params):
        names = list(traverse_util.flatten_dict(params, sep="/"))
        for part in frozen:
            if not any(_below(name, part) for name in names):
                known = {
                    name.rsplit("/", n)[0] for name in names for n in range(name.count("/") + 1)
                }
                raise ValueError(
                    f"{place}: {part!r} is no parameter. {registry.suggest(part, sorted(known))}"
                )
        return optax.EmptyState()

    def update(updates, state, params=None):
        flat = traverse_util.flatten_dict(updates, sep="/")
        kept = {name: any(_below(name, part) for part in frozen) for name in flat}
        flat = {name: jnp.zeros_like(x) if kept[name] else x for name, x in flat.items()}
        return traverse_util.unflatten_dict(flat, sep="/"), state

    return optax.GradientTransformation(init, update)


def _below(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}/")


def per_network(
    chain: Callable[[str], optax.GradientTransformation],
    expected: Sequence[str] = (),
    place: str = "",
) -> optax.GradientTransformationExtraArgs:
    """An optimizer of its own, `chain(name)`, for each network of a player, with a count of steps
    of its own.

    Its `update` takes `only`, the names of the networks that move (None: all); the others' state
    stays as it is.
    expected: names that there must be; ValueError where one is not.
    place: of them in the config, for errors.
    """
    chain = functools.cache(chain)

    def init(params):
        for name in expected:
            registry.choose(params, name, place)
        return {name: chain(name).init(network) for name, network in params.items()}

    def update(grads, state, params, *, only=None):
        updates, state = jax.tree.map(jnp.zeros_like, grads), dict(state)
        for name in params if only is None else only:
            updates[name], state[name] = chain(name).update(grads[name], state[name], params[name])
        return updates, state

    return optax.GradientTransformationExtraArgs(init, update)


def make(
    *,
    place: str,
    name: str = "adam",
    lr: float = 2e-4,
    b1: float = 0.5,
    b2: float = 0.999,
    eps: float = 1e-8,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    schedule: str = "constant",
    final_lr: float = 0.0,
    final_b2: float | None = None,
    decay_from_kimg: float = 0.0,
    decay_kimg: float | None = None,
    clip_norm: float | None = None,
    clip_weight: float | None = None,
    frozen: Sequence[str] | str = (),
    phases: Sequence[Phase],
    batch: int,
    total_kimg: float,
) -> optax.GradientTransformation:
    """One network's optimizer.

    Args:
        name: "adam", "rmsprop" (decay b2) or "sgd"; the module says their updates.
        momentum: sgd's.
        lr: learning rate, before the lazy-regularization correction.
        b1, b2: decay of adam's two means.
        eps: added to the denominator (the root of the mean square), so that it is never 0.
        weight_decay: times the weight, added to its gradient (L2).
        schedule: "constant", "linear" or "cosine": from `decay_from_kimg` on, over `decay_kimg`
            (None: to the run's end), lr goes to `final_lr`, and adam's b2 to `final_b2` (None: it
            stays).
        clip_norm: bound on the gradient's global norm.
        clip_weight: bound on each weight after the step.
        frozen: names of parameters that do not move, or of what they lie below: ("mapping",
            "synthesis/b4"). Of D the first layers: FreezeD (Mo et al. 2020, arXiv:2002.10964).
        phases: those in which it moves. Lazy ones (every > 1) are optimizer steps of their own, so
            lr is multiplied by c = main steps / all steps, and b1, b2 raised to that power: k / (k
            + 1) for one lazy phase every k (Karras et al. 2020, arXiv:1912.04958, appendix B).
        batch, total_kimg: images an iteration, and of the whole run: they turn images into this
            optimizer's steps.
        place: of the settings in the config, for errors.
    Raises:
        ValueError: an unknown name, or a number out of its range.
    """
    _check(locals(), place)
    last = max(phase.until or math.inf for phase in phases)
    lasting = [phase for phase in phases if (phase.until or math.inf) == last]
    steps = sum(phase.repeat / phase.every for phase in lasting)  # an iteration
    main = sum(phase.repeat for phase in lasting if phase.every == 1)
    lazy = main / steps if main else 1.0
    until = total_kimg if decay_kimg is None else decay_from_kimg + decay_kimg
    start, end = (round(kimg * 1000 * steps / batch) for kimg in (decay_from_kimg, until))
    shape = registry.choose(SCHEDULES, schedule, f"{place}.schedule")
    since_start = _as_from_start(phases)

    def along(value: float, final: float) -> optax.Schedule:
        falls = shape(value, final, start, end)
        return lambda count: falls(since_start(count))

    rate = along(lr * lazy, final_lr * lazy)

    def adam(b2):
        return optax.adam(rate, b1**lazy, b2, eps)

    def scheduled_adam():
        decay = along(b2, final_b2)
        return optax.inject_hyperparams(adam)(lambda count: decay(count) ** lazy)

    makers = {
        "adam": lambda: adam(b2**lazy) if final_b2 is None else scheduled_adam(),
        "rmsprop": lambda: optax.rmsprop(rate, b2**lazy, eps, eps_in_sqrt=False),
        "sgd": lambda: optax.sgd(rate, momentum or None),
    }
    step = registry.choose(makers, name, f"{place}.name")()
    before = [optax.clip_by_global_norm(clip_norm)] if clip_norm is not None else []
    before += [optax.add_decayed_weights(weight_decay)] if weight_decay else []
    after = [clip_weights(clip_weight)] if clip_weight is not None else []
    if frozen:  # before, so that their gradients do not count in the norm, and after
        names = (frozen,) if isinstance(frozen, str) else tuple(frozen)
        still = keep(names, f"{place}.frozen")
        before, after = [still, *before], [*after, still]
    return optax.chain(*before, step, *after)


def _as_from_start(phases: Sequence[Phase]) -> Callable:
    """Of the steps that an optimizer has done: how many they were, had those of `phases` that play
    to the end, and no others, played from iteration 0 on. Schedules count images from there,
    whenever a phase begins or ends. Where all end, of those that end last.
    """
    turns = sorted({p.since for p in phases} | {p.until for p in phases if p.until is not None})
    turns = [0] + [turn for turn in turns if turn > 0]

    def rate(iteration):
        """Optimizer steps an iteration, from this turn on."""
        return sum(p.repeat / p.every for p in phases if p.plays(iteration))

    steps = [rate(turn) for turn in turns if rate(turn)][-1]

    def as_from_start(count):
        found, done = 0.0, 0.0
        for turn, following in zip(turns, [*turns[1:], jnp.inf], strict=True):
            length = (following - turn) * steps
            if rate(turn):
                found += jnp.clip((count - done) * (steps / rate(turn)), 0, length)
                done += (following - turn) * rate(turn)
            elif following != jnp.inf:  # it rests
                found += jnp.where(count >= done, length, 0)
        return found

    return as_from_start


def _check(settings: Mapping, place: str) -> None:
    """Raises ValueError where one of `make`'s settings is out of range,
    or they don't go together."""
    for name, fits in RANGES.items():
        if settings[name] is not None and not fits(settings[name]):
            raise ValueError(f"{place}.{name}={settings[name]} is out of range.")
    name, schedule = settings["name"], settings["schedule"]
    momentum, final_b2 = settings["momentum"], settings["final_b2"]
    if momentum and name != "sgd":
        raise ValueError(f"{place}.momentum={momentum}: only name='sgd' has it; adam's is b1.")
    if final_b2 is not None and (name != "adam" or schedule == "constant"):
        raise ValueError(
            f"{place}.final_b2={final_b2}: it needs name='adam' and schedule='linear' or 'cosine'."
        )


def rate(settings: Mapping, total_kimg: float, kimg: float) -> float:
    """The learning rate after `kimg` thousand images of a run of `total_kimg`, before the
    lazy-regularization correction.

    settings: of one network's optimizer, as `make` takes them.
    """
    given = registry.defaults(make) | dict(settings)
    start, length = given["decay_from_kimg"], given["decay_kimg"]
    end = total_kimg if length is None else start + length
    along = SCHEDULES[given["schedule"]]
    images = round(start * 1000), round(end * 1000)
    return float(along(given["lr"], given["final_lr"], *images)(round(kimg * 1000)))


SCHEDULES = {"constant": constant, "linear": linear, "cosine": cosine}
RANGES = {  # of the settings that are numbers; None passes where it is a setting's default
    "lr": lambda x: x >= 0,
    "b1": lambda x: 0 <= x < 1,
    "b2": lambda x: 0 <= x < 1,
    "eps": lambda x: x > 0,
    "momentum": lambda x: 0 <= x < 1,
    "weight_decay": lambda x: 0 <= x < math.inf,
    "decay_from_kimg": lambda x: 0 <= x < math.inf,
    "final_lr": lambda x: x >= 0,
    "decay_kimg": lambda x: 0 < x < math.inf,
    "final_b2": lambda x: 0 <= x < 1,
    "clip_norm": lambda x: x > 0,
    "clip_weight": lambda x: x > 0,
}
