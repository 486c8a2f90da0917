"""Which networks see the pictures of an evaluation, those first that training did not look through.

A generator that learned through a network, by its critic or by a loss, pleases that network whether
or not its pictures are good (Kynkaanniemi et al. 2023, arXiv:2203.06026). So such a run is never
judged by it alone.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from gan_jax import pretrained
from gan_jax.evaluation import measures
from gan_jax.evaluation.measures.base import Measure
from gan_jax.evaluation.protocol import Protocol
from gan_jax.pretrained import Net

JUDGES = "vgg16", "efflite0", "alexnet"  # the first that training did not look through is added
NOTE = "training looked through this network: no independent judge"


@dataclasses.dataclass(frozen=True)
class Nets:
    """The networks of an evaluation.

    Attributes:
        general: those of config.eval.features, independent ones first.
        own: by name, those that single measures name for themselves.
        added: the one in `general` that config.eval.features lacks; None: all are in it.
    """

    general: tuple[Net, ...]
    own: Mapping[str, Net] = dataclasses.field(default_factory=dict)
    added: str | None = None

    def of(self, measure: Measure) -> tuple[Net, ...]:
        """Those that a measure is taken by; one whose values name no network is taken once."""
        if measure.nets:
            return tuple(self.own[name] for name in measure.nets)
        return self.general if measure.by_net else self.general[:1]

    @property
    def in_training(self) -> list[str]:
        """Names of those that training looked through."""
        return [net.name for net in self.general if net.in_training]

    def hashes(self) -> dict[str, str]:
        """{name: SHA-256 of its weights}: the same on all processes, or sums would mix."""
        return {net.name: net.sha256 for net in (*self.general, *self.own.values())}

    def why_added(self) -> str:
        """What the log says of the one that was added."""
        seen = " and ".join(self.in_training)
        return (
            f"training looks through {seen}, which can't judge it alone: {self.added} measures too."
        )


def load(protocol: Protocol, frozen: Iterable[Net] = ()) -> Nets:
    """The networks of config.eval.features, and those that its measures name for themselves.

    Args:
        frozen: the networks that the game's critic or losses look through. Where no other is in
            config.eval.features, the first independent one of JUDGES is added.
    Raises:
        ValueError: no such network, or not its file.
    """
    frozen = list(frozen)

    def marked(net: Net) -> Net:
        seen = any(net.of_one_trunk(other) for other in frozen)
        return dataclasses.replace(net, in_training=True) if seen else net

    general = [marked(pretrained.load(*net, protocol.resize)) for net in protocol.nets()]
    added = None
    if all(net.in_training for net in general):
        found = _judge(protocol, frozen)
        general, added = [found, *general] if found else general, found and found.name
    general.sort(key=lambda net: net.in_training)
    wanted = {name for measure in measures.find(protocol.metrics) for name in measure.nets}
    own = {name: marked(pretrained.load(name, None, protocol.resize)) for name in sorted(wanted)}
    known = {(net.name, net.sha256): net for net in general}  # of equal weights one is enough
    own = {name: known.get((name, net.sha256), net) for name, net in own.items()}
    return Nets(tuple(general), own, added)


def _judge(protocol: Protocol, frozen: Sequence[Net]) -> Net | None:
    """The first of JUDGES that training did not look through and whose weights are here; None:
    training looked through all. Raises ValueError where none of the others is here."""
    refusal = None
    for name in JUDGES:
        try:
            net = pretrained.load(name, None, protocol.resize)
        except ValueError as error:
            refusal = refusal or error
            continue
        if not any(net.of_one_trunk(other) for other in frozen):
            return net
    if refusal is not None:
        raise refusal
    return None
