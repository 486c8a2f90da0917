"""What a game of pictures from noise can add to its generator's loss when that goes on to few
pictures: terms that hold it near the generator it starts from, the source."""

import dataclasses
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.algorithms import base
from gan_jax.distributed import collectives
from gan_jax.state import PyTree, TrainState

SAMPLES = 200  # of the source, that the importance of its weights is the mean over
COMPARED = 4  # pictures whose distances to each other are compared
FEATURES = "features"  # the collection that a generator's layers leave their maps in


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceTerms:
    """Settings of config.game and terms of G's loss, a field of the games that have them. The
    source is the generator that `config.init_from` gave; it is kept in the run's checkpoints.

    Attributes:
        ewc: weight of sum over weights of F (theta - theta of the source)^2, with F the mean square
            over the source's samples of d log sigmoid(D(G(z))) / d theta: elastic weight
            consolidation. Li et al. 2020, arXiv:2012.02780, eq. 2.
        correspondence: weight of the mean KL divergence between how like the pictures of some z are
            to each other by the source and by G, 1000 as published: cross-domain correspondence.
            Ojha et al. 2021, arXiv:2104.06820, eq. 2.
    Differs: the published correspondence comes with a second critic, of patches, away from fixed
    z; here that is a setting of its own, of projected's alone (`anchors`).
    """

    ewc: float = 0.0
    correspondence: float = 0.0

    def __post_init__(self):
        base.check_weights(self, "ewc", "correspondence")

    @property
    def used(self) -> bool:
        """Whether a source is compared to."""
        return bool(self.ewc or self.correspondence)

    def init_carry(
        self, net: nn.Module, g: base.Variables, z: jax.Array, y: jax.Array | None
    ) -> dict[str, PyTree]:
        """What is kept of the source, before it is known.

        net, z, y: the generator, some of its latents and labels.
        Raises:
            ValueError: a generator whose layers leave no maps to compare.
        """
        if not self.used:
            return {}
        own = {kind: networks["g"] for kind, networks in g.items()}
        if self.correspondence and not _maps(net, own, z, y, jax.random.key(0)):
            raise ValueError(
                "config.game.correspondence: this generator's layers leave no maps to compare. Set"
                " config.model to 'stylegan2' or 'style_dcgan'."
            )
        kept = {"source": jax.tree.map(jnp.copy, {k: x["g"] for k, x in g.items()})}
        if self.ewc:
            kept["importance"] = jax.tree.map(jnp.zeros_like, g["params"]["g"])
        return kept

    def begin(self, state: TrainState, log_d: Callable, n_classes: int) -> TrainState:
        """The state of a run whose networks have just come from another: keeps the source.

        log_d: (params of the generator, state, key, label int32 [1] or None) -> log
            sigmoid(D(G(z))) of one z, f32 [].
        """
        if not self.used:
            return state
        own = {"params": state.g.params["g"], "mutable": state.g.mutable["g"]}
        carry = state.carry | {"source": jax.tree.map(jnp.copy, own)}
        if self.ewc:
            rng = jax.random.key(0)
            carry["importance"] = importance(log_d, own["params"], state, rng, n_classes)
        return state.replace(carry=carry)

    def ewc_term(self, params_g: PyTree, state: TrainState) -> tuple[jax.Array | float, dict]:
        """`ewc` times the weighted squared distance to the source's weights; its metrics."""
        if not self.ewc:
            return 0.0, {}
        source, weights = state.carry["source"]["params"], state.carry["importance"]
        apart = jax.tree.map(
            lambda f, x, y: jnp.sum(f * jnp.square(x - y)), weights, params_g["g"], source
        )
        term = self.ewc * sum(jax.tree.leaves(apart))
        return term, {"g/ewc": term}

    def correspondence_term(
        self, g: nn.Module, params_g: PyTree, state: TrainState, rng: jax.Array, z_dim: int, y
    ) -> tuple[jax.Array | float, dict]:
        """`correspondence` times what the likeness of new pictures to each other has changed; its
        metrics. y: int32 [B], labels, or None."""
        if not self.correspondence:
            return 0.0, {}
        # the same z on every device, for all are compared with all
        k_z, k_layer, *k_noise = jax.random.split(rng, 4)
        z = jax.random.normal(k_z, (COMPARED, z_dim))
        if y is not None:
            y = collectives.gather(y)
            y = y[jnp.arange(COMPARED) % len(y)]
        now = {"params": params_g["g"], "mutable": state.g.mutable["g"]}
        before = _maps(g, state.carry["source"], z, y, k_noise[0])
        after = _maps(g, now, z, y, k_noise[1])
        layer = jax.random.randint(k_layer, (COMPARED,), 0, len(before))
        apart = changed_likeness(before, after, layer)
        term = self.correspondence * apart
        return term, {"g/correspondence": term}


def _maps(net: nn.Module, variables: PyTree, z, y, rng: jax.Array) -> list[jax.Array]:
    """What a generator's layers make of z, as in training."""
    where = {**variables["mutable"], FEATURES: {}}
    _, made = base.forward(net, variables["params"], where, z, y, rngs={"noise": rng})
    return jax.tree.leaves(made.get(FEATURES, {}))


def importance(
    log_d: Callable, params: PyTree, state: PyTree, rng: jax.Array, n_classes: int
) -> PyTree:
    """The mean over SAMPLES, the labels in turn, of the squared gradient of log_d(params, state,
    key, label), as params: the diagonal of the Fisher information."""

    @jax.jit
    def add(total, params, state, k):
        y = jnp.reshape(k % n_classes, 1) if n_classes else None
        grads = jax.grad(log_d)(params, state, jax.random.fold_in(rng, k), y)
        return jax.tree.map(lambda t, g: t + jnp.square(g) / SAMPLES, total, grads)

    total = jax.tree.map(jnp.zeros_like, params)
    for k in range(SAMPLES):
        total = add(total, params, state, jnp.int32(k))
    return total


def changed_likeness(
    before: list[Float[Array, "n _ _ _"]], after: list[Float[Array, "n _ _ _"]], layer: jax.Array
) -> Float[Array, ""]:
    """The mean over pairs of p log(p / q), where p and q are the softmax over the other pictures of
    the cosine likeness of feature maps, in the source (`before`) and after, for each picture i in
    layer[i]."""
    rows = jnp.arange(len(layer))

    def log_shares(maps):
        likeness = jnp.stack([cosines(x) for x in maps])[layer, rows]  # [n, n]
        others = jnp.where(jnp.eye(len(layer), dtype=bool), -jnp.inf, likeness)
        return jax.nn.log_softmax(others)

    p, q = log_shares(before), log_shares(after)
    same = jnp.eye(len(layer), dtype=bool)
    each = jnp.where(same, 0, jnp.exp(p) * (jnp.where(same, 0, p) - jnp.where(same, 0, q)))
    return each.sum() / (len(layer) * (len(layer) - 1))


def cosines(x: Float[Array, "n H W C"]) -> Float[Array, "n n"]:
    """Of pictures' maps with each other's."""
    flat = x.reshape(len(x), -1).astype(jnp.float32)
    flat = flat / jnp.maximum(jnp.linalg.norm(flat, axis=1, keepdims=True), 1e-8)
    return jnp.dot(flat, flat.T, precision="highest")


NONE = SourceTerms()
