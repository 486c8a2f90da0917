"""How well a base is inverted, tuned and kept: on its own samples, whose styles are known, on
pictures that it never saw, and on a drawn person, whose skin and hair are known."""

import io
import time
from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from PIL import Image

from gan_jax.data import drawings
from gan_jax.data.images import as_array, to_uint8
from gan_jax.data.source import Source, open_source
from gan_jax.evaluation.probes import Labeled, Usefulness
from gan_jax.nn import alpha
from gan_jax.personalize import making, pictures, prior
from gan_jax.personalize.base import Base, seen
from gan_jax.personalize.inversion import Inversion, psnr
from gan_jax.personalize.tuning import Tuning
from gan_jax.pretrained.perceptual import distance

PEOPLE = 1200  # of the embedded portraits, as configs have them
OTHERS = 16  # samples of everybody else, to see how far they move


def of_samples(base: Base, n: int, steps: int) -> dict[str, float]:
    """Samples of the base, inverted: the error of w by the spread of W, and LPIPS. The start is the
    second nearest of the known samples, for the nearest is the answer itself."""
    rows = np.linspace(0, len(base.statistics.ws) - 1, n).round().astype(int)
    known = base.statistics.ws[rows]
    target = np.asarray(base.draw(base.params, base.repeat(jnp.asarray(known))))
    inversion, began = Inversion(base, steps=steps), time.monotonic()
    found = inversion(target, known=rows)
    off = np.linalg.norm(found.ws[:, 0] - known, axis=1) / base.statistics.std
    return {
        "w_error": float(off.mean()),
        "lpips_start": float(found.start.mean()),
        "lpips": float(found.distance.mean()),
        "seconds_a_picture": (time.monotonic() - began) / n,
    }


def of_held_out(
    base: Base,
    n: int,
    steps: int,
    rounds: int,
    localities: Sequence[float],
    tuned: int,
    identities: int = PEOPLE,
) -> dict[str, float]:
    """Held-out portraits: LPIPS and PSNR in W, in W+, and after pivotal tuning of `tuned` of them,
    each by itself; and how far everybody else's pictures move by it, LPIPS."""
    held = _avatars(base.shape, identities, labels="style", split="test")
    rows = np.linspace(0, len(held) - 1, n).round().astype(int)
    given = held.load(rows, np.zeros(n, np.uint32))["image"]
    target = np.stack([pictures.fitted(x, base.shape) for x in given])
    values, found = {}, {}
    for space in ("w", "w+"):
        found[space] = Inversion(base, space, steps)(target)
        made = base.draw(base.params, jnp.asarray(found[space].ws))
        values[f"lpips_{space}"] = float(found[space].distance.mean())
        values[f"psnr_{space}"] = float(psnr(made, jnp.asarray(target)).mean())
    values["lpips_start"] = float(found["w"].start.mean())
    values["offset_w+"] = float(found["w+"].offset.mean())
    rng = np.random.default_rng(0)
    others = base.statistics.ws[rng.choice(len(base.statistics.ws), OTHERS, replace=False)]
    ws = base.repeat(jnp.asarray(others))
    net = Inversion(base).net
    for locality in localities:
        tuning = Tuning(base, rounds, locality=locality, batch=1)
        near, power, moved = [], [], []
        for k in range(tuned):
            one, w = target[k : k + 1], found["w"].ws[k : k + 1]
            made = tuning(one, w)
            drawn = base.draw(made.params, jnp.asarray(w))
            near.append(_lpips(net, drawn, one))
            power.append(float(psnr(drawn, jnp.asarray(one)).mean()))
            moved.append(_lpips(net, base.draw(made.params, ws), base.draw(base.params, ws)))
        values[f"lpips_tuned_{locality:g}"] = float(np.mean(near))
        values[f"psnr_tuned_{locality:g}"] = float(np.mean(power))
        values[f"others_moved_{locality:g}"] = float(np.mean(moved))
    values["lpips_w_of_tuned"] = float(found["w"].distance[:tuned].mean())
    return values


def _lpips(net, a, b) -> float:
    """The mean over pictures, one by one: one compilation, little memory."""
    a, b = jnp.asarray(a), jnp.asarray(b)
    rows = (slice(k, k + 1) for k in range(len(a)))
    each = [distance(seen(net, net.params, a[k]), seen(net, net.params, b[k]))[0] for k in rows]
    return float(np.mean(each))


def of_person(
    base: Base,
    counts: Sequence[int],
    *,
    style: str = "avataaars",
    identity: int = 1100,
    steps: int = 200,
    rounds: int = 100,
    drawn: int = 200,
    identities: int = PEOPLE,
    log: Callable[[str], None] = print,
) -> dict[int, dict[str, float]]:
    """One drawn person with other mouths and eyes, made from so many pictures each: what share of
    `drawn` samples keep skin and hair by classifiers, and how far samples lie from each other and
    from the nearest of the person's pictures, by features of EfficientNet-Lite0, beside the
    same of held-back pictures of the person."""
    size = base.shape[0]

    def as_drawn(shown):
        """As the base has pictures: its size, its channels."""
        values = np.stack([pictures.fitted(x, base.shape) for x in shown])
        return to_uint8(np.asarray(alpha.straight(jnp.asarray(values))))

    def person(variants):
        parts = ("mouth", "eyes", "eyebrows")
        files = (drawings.draw(style, identity, size, k, parts) for k in variants)
        return np.stack([as_array(Image.open(io.BytesIO(file))) for file in files])

    probes = {name: probe_of(base.shape, style, name, identities) for name in ("skin", "hair")}
    wanted = dict(zip(probes, drawings.person(identity), strict=True))
    held = as_drawn(person(range(1000, 1000 + 40)))
    values = {}
    for count in counts:
        own = person(range(count))
        target = np.stack([pictures.fitted(x, base.shape) for x in own])
        found = Inversion(base, steps=steps)(target)
        tuned = Tuning(base, rounds)(target, found.ws)
        w = prior.samples(found.ws[:, 0], drawn)
        new = base.pictures(np.asarray(base.repeat(jnp.asarray(w))), tuned.params)
        each = {"lpips": float(tuned.distance.mean())}
        for name, (probe, variables) in probes.items():
            for kind, shown in (("", new), ("_real", held)):
                right = probe.probabilities(variables, shown).argmax(1) == wanted[name]
                each[f"{name}_kept{kind}"] = float(right.mean())
        sets = {"own": as_drawn(own), "new": new, "held": held}
        features = {name: making.embed(x) for name, x in sets.items()}
        for name in ("new", "held"):
            far = _far(features[name], features["own"])
            each[f"nearest_own_{name}"] = float(far.min(1).mean())
            among = _far(features[name], features[name])
            each[f"apart_{name}"] = float(among.sum() / (len(among) * (len(among) - 1)))
        values[count] = each
        log(f"{count} pictures: " + ", ".join(f"{k} {v:.3g}" for k, v in each.items()))
    return values


def _far(a, b):
    return np.linalg.norm(a[:, None] - b[None], axis=2)


def probe_of(shape: Sequence[int], style: str, name: str, identities: int):
    """(how it was trained, a classifier of skin or hair on drawings of a style). shape: H, W, C."""
    source = _avatars(shape, identities, labels=name, styles=(style,))
    batch = source.load(np.arange(len(source)), np.zeros(len(source), np.uint32))
    probe = Usefulness()
    sets = [Labeled(batch["image"], batch["label"])]
    return probe, probe.fit(sets, len(source.classes), seed=0)


def _avatars(shape: Sequence[int], identities: int, **settings) -> Source:
    """The embedded portraits, of a shape H, W, C."""
    side, _, channels = shape
    sizes = {"resolution": side, "channels": channels, "identities": identities}
    return open_source({"source": "avatars"} | sizes | settings)
