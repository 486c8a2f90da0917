"""How well a generator has taken a new style from few pictures: how near its pictures are to the
whole style, how various, how much of them is copied, and what of the source's is kept."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from gan_jax import pretrained
from gan_jax.data.drawings import HAIRS, SKINS
from gan_jax.data.source import open_source
from gan_jax.evaluation.personalization import PEOPLE, probe_of
from gan_jax.inference.sampler import Sampler
from gan_jax.metrics.kid import kid

PER_CLUSTER = 50  # pictures of a cluster that are compared with each other
BATCH = 8  # pictures that a net sees at a time


def measure(
    source: Sampler,
    source_class: str,
    adapted: Sampler,
    style: str,
    own: UInt8[np.ndarray, "k H W C"],
    count: int,
) -> dict[str, float]:
    """Of `count` z, drawn by both.

    Args:
        source_class, style: the drawing styles of the source's pictures and of the adapted ones.
        own: the pictures that it was adapted to.
    Returns:
        kid, kid_own: KID (VGG16) to the style's portraits of people that were not among the
            few, of the pictures and of the few themselves; intra_lpips: the mean LPIPS (AlexNet)
            of pictures to each other among those that are nearest to one of the few, and
            intra_lpips_real the same of the style's portraits (Ojha et al. 2021); nearest: the mean
            LPIPS to the nearest of the few, and nearest_real; skin_kept, hair_kept: share of z of
            which classifiers find the same in both pictures, and _chance: of other z.
    """
    settings = {"source": "avatars", "resolution": adapted.shape[0], "channels": adapted.shape[2]}
    whole = open_source(settings | {"styles": (style,), "labels": None, "identities": PEOPLE})
    rows = np.linspace(len(own), len(whole) - 1, count).round().astype(int)
    real = whole.load(rows, np.zeros(count, np.uint32))["image"]
    before = source.sample(count, seed=0, label=source_class)
    made = adapted.sample(count, seed=0, label=adapted.classes[0] if adapted.classes else None)
    sets = {"made": made, "real": real, "own": own}
    vgg = {name: features("vgg16", x) for name, x in sets.items()}
    values = {"kid": kid(vgg["real"], vgg["made"]).value}
    values["kid_own"] = kid(vgg["real"], vgg["own"]).value
    seen = {name: features("lpips_alex", x) for name, x in sets.items()}
    for name, end in (("made", ""), ("real", "_real")):
        to_own = distances(seen[name], seen["own"])
        values[f"nearest{end}"] = float(to_own.min(1).mean())
        values[f"intra_lpips{end}"] = intra(seen[name], to_own.argmin(1))
    for name, names in (("skin", SKINS), ("hair", HAIRS)):
        found = []
        for pictures, drawn in ((before, source_class), (made, style)):
            probe, variables = probe_of(adapted.shape, drawn, name, PEOPLE)
            found.append(probe.probabilities(variables, pictures).argmax(1))
        shares = [np.bincount(x, minlength=len(names)) / count for x in found]
        values[f"{name}_kept"] = float((found[0] == found[1]).mean())
        values[f"{name}_chance"] = float(shares[0] @ shares[1])
    return values


def features(net: str, pictures: UInt8[np.ndarray, "n H W C"]) -> Float[np.ndarray, "n F"]:
    """Of pictures over white, a few at a time."""
    loaded = pretrained.load(net)
    parts = np.array_split(pictures, max(1, len(pictures) // BATCH))
    return np.concatenate([np.asarray(loaded(x).features) for x in parts])


def distances(a: Float[np.ndarray, "n F"], b: Float[np.ndarray, "m F"]) -> np.ndarray:
    """Squared, [n, m]: LPIPS, of its features."""
    cross = np.asarray(jnp.dot(jnp.asarray(a), jnp.asarray(b).T, precision="highest"))
    return np.maximum(0, (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * cross)


def intra(seen: Float[np.ndarray, "n F"], cluster: np.ndarray) -> float:
    """The mean over clusters of two or more of the mean distance of their members to each other."""
    found = []
    for k in np.unique(cluster):
        members = seen[cluster == k][:PER_CLUSTER]
        if n := len(members) - 1:
            found.append(distances(members, members).sum() / (n * (n + 1)))
    return float(np.mean(found)) if found else 0.0
