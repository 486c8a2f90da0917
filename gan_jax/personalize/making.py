"""Pictures of one person -> that person's generator: read, inverted, tuned, looked at, kept."""

import pathlib
from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np

import gan_jax
from gan_jax import pretrained
from gan_jax.data import generated, geometry
from gan_jax.data.images import grid, save_png, save_sheet, to_uint8
from gan_jax.nn import alpha
from gan_jax.personalize import encoder as encoders
from gan_jax.personalize import person, prior
from gan_jax.personalize.base import Base
from gan_jax.personalize.encoder import Encoder
from gan_jax.personalize.inversion import Inversion, Inverted
from gan_jax.personalize.person import Person
from gan_jax.personalize.pictures import Pictures, two_groups
from gan_jax.personalize.tuning import Tuned, Tuning

KEPT_SIDE = 64  # pixels of the pictures that the person's folder keeps
SHOWN = 16  # pictures on a sheet, at most
EVERY = 10  # rounds of the tuning between lines of progress
ALONE = 0.3  # of the spread of W: how far samples of a person of one picture wander
COPY = 0.5  # of what the person's pictures lie apart: a sample nearer to one of them is its copy
QUANTILE = 95  # per cent of a person's own pictures that are accepted


def make(
    base: Base,
    pictures: Pictures,
    out: pathlib.Path,
    *,
    space: str = "w",
    steps: int = 200,
    rounds: int = 100,
    locality: float = 0.1,
    encoder: Encoder | None = None,
    seed: int = 0,
    preview: pathlib.Path | None = None,
    log: Callable[[str], None] = print,
) -> Person:
    """Makes a person of `pictures` in the folder `out`: its files, sheet/pictures.png (each
    picture, its inversion, and how the tuned generator draws it) and sheet/samples.png.

    Args:
        space, steps: of the inversion.
        rounds, locality: of the tuning.
        encoder: where the inversion starts; None: that of the base, if there is one, or else at
            the most similar samples.
        preview: a PNG that is written again and again: the pictures, as they are inverted and,
            every so many rounds, as they are tuned.
        log: takes lines of progress and of what was found.
    """
    person.check_place(out)
    if person.is_person(out):
        log(f"{out}: made anew, with what was made of it kept")
    for line in pictures.notes:
        log(line)
    n = len(pictures)
    log(f"{n} picture{'s' if n > 1 else ''}; inverting to {space} on {base.sampler.step}")
    if n == 1:
        log("one picture: the person can be drawn as on it; ten or more show how they vary")

    def of_inversion(step, near):
        log(f"  step {step}/{steps}: LPIPS {near.mean():.3f} (worst {near.max():.3f})")

    encoder = encoder or encoders.of(base)
    begin = None if encoder is None else encoder(pictures.values)
    search = Inversion(base, space, steps)
    found = search(pictures.values, seed=seed, begin=begin, log=of_inversion)
    for line in two_groups(found.ws.mean(1), pictures.names):
        log(line)

    kept = np.asarray(alpha.straight(jnp.asarray(pictures.values)))
    rows = [to_uint8(kept), base.pictures(found.ws)]
    mark = generated.xmp(f"gan_jax {gan_jax.__version__}")

    def show(*drawn):
        if preview is not None:
            save_png(preview, _side_by_side([*rows, *drawn]), mark)

    def of_tuning(number, near, params):
        if number % EVERY == 0:
            log(f"  round {number}/{rounds}: LPIPS {near.mean():.3f} (worst {near.max():.3f})")
            if preview is not None:
                show(base.pictures(found.ws, params))

    show()

    log("tuning")
    tuning = Tuning(base, rounds, locality=locality)
    tuned = tuning(pictures.values, found.ws, seed=seed, log=of_tuning)
    log(
        f"LPIPS to the pictures: {found.start.mean():.3f} at the start, {found.distance.mean():.3f}"
        f" inverted ({found.net.split()[0]}); {tuned.start.mean():.3f} to"
        f" {tuned.distance.mean():.3f} tuned ({tuned.net.split()[0]})"
    )
    small = kept_size(rows[0])
    about = record(pictures, found, tuned) | {"seed": seed, "space": space, "locality": locality}
    person.write(out, base, tuned.params, found.ws, small, about)
    made = person.read(out, base)
    rows.append(base.pictures(made.ws, made.params))
    save_sheet(out, "pictures.png", _side_by_side(rows), mark)
    new, taken = sample(made, SHOWN, seed)
    save_sheet(out, "samples.png", grid(base.pictures(new, made.params), 4), mark)
    log(taken)
    log(f"{out}: {(out / person.WEIGHTS).stat().st_size / 1e6:.2f} MB; pictures in {out}/sheet")
    return made


def _side_by_side(rows: Sequence[np.ndarray]) -> np.ndarray:
    """uint8 [n, H, W, C] each -> one picture, the first SHOWN of a row below those before."""
    return grid(np.concatenate([row[:SHOWN] for row in rows]), min(len(rows[0]), SHOWN))


def record(pictures: Pictures, found: Inverted, tuned: Tuned) -> dict:
    """What a person's file says of how the person was made."""

    def listed(values):
        return [round(float(x), 5) for x in values]

    files = zip(pictures.names, pictures.hashes, strict=True)
    return {
        "made_by": f"gan_jax {gan_jax.__version__}",
        "made_from": [{"file": name, "sha256": digest} for name, digest in files],
        "inversion": {
            "net": found.net,
            "steps": found.steps,
            "distance": listed(found.distance),
            "offset": listed(found.offset),
        },
        "tuning": {
            "net": tuned.net,
            "rounds": tuned.rounds,
            "distance": listed(tuned.distance),
        },
    }


def kept_size(pictures: np.ndarray) -> np.ndarray:
    """uint8 [n, H, W, C] -> of KEPT_SIDE pixels on the shorter side, where they have more."""
    height, width = pictures.shape[1:3]
    scale = min(1, KEPT_SIDE / min(height, width))
    size = round(height * scale), round(width * scale)
    return np.stack([geometry.fit(x, size, "stretch") for x in pictures])


def sample(made: Person, n: int, seed: int = 0) -> tuple[np.ndarray, str]:
    """(n styles [n, L, W] of the person, a line that says how many were drawn for them, and how
    many of them are copies of the person's pictures).

    Mixtures of the anchors (prior.samples), of a person of one picture that style and its
    neighbors. Each is drawn as a picture and accepted where it is no farther from the mean of the
    person's own pictures than QUANTILE of those are, as they are or as the generator draws them;
    the farthest apart among the accepted are taken, greedily.
    """
    base, anchors = made.base, made.ws
    if len(anchors) == 1:
        rng, width = np.random.default_rng(seed), anchors.shape[2]
        away = rng.standard_normal((n, 1, width)) / width**0.5 * base.statistics.std
        ws = (anchors + ALONE * away).astype(np.float32)
        return ws, f"{n} samples around the one picture's style"
    pool = 4 * n
    ws = prior.samples(anchors.reshape(len(anchors), -1), pool, seed)
    ws = ws.reshape(pool, *anchors.shape[1:])
    own, new = embed(made.pictures), embed(kept_size(base.pictures(ws, made.params)))
    # of each picture to the mean of the others, so that a picture is not measured by itself
    others = (own.sum(0) - own) / max(len(own) - 1, 1)
    drawn = embed(kept_size(base.pictures(anchors, made.params)))
    limit = max(
        np.percentile(np.linalg.norm(own - others, axis=1), QUANTILE),
        np.percentile(np.linalg.norm(drawn - own.mean(0), axis=1), QUANTILE),
    )
    away = np.linalg.norm(new - own.mean(0), axis=1)
    fits = away <= limit
    rows = np.flatnonzero(fits) if fits.sum() >= n else away.argsort()[:n]
    chosen = farthest(new[rows], n)
    words = (
        f"{fits.mean():.0%} of {pool} samples are as near to the person as their own pictures once"
        " drawn"
    )
    if fits.sum() < n:
        words += (
            f"; the {n} nearest are taken, and may not look like the person. More pictures, more"
            " --rounds or a better base would help"
        )
    copied = copies(new[rows[chosen]], own)
    return ws[rows[chosen]], f"{words}; {copied} of the {len(chosen)} chosen copy a picture"


def copies(new: np.ndarray, own: np.ndarray) -> int:
    """How many of the features new [m, F] lie nearer to one of own [n, F] than COPY times the
    median of what those lie from the nearest other."""
    apart = np.linalg.norm(own[:, None] - own[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    nearest = np.linalg.norm(new[:, None] - own[None], axis=2).min(1)
    return int((nearest < COPY * np.median(apart.min(1))).sum())


def embed(pictures: np.ndarray) -> np.ndarray:
    """uint8 [n, H, W, C] -> [n, F], by EfficientNet-Lite0."""
    net = pretrained.load("efflite0")
    return np.concatenate([np.asarray(net(x[None]).features) for x in pictures])


def farthest(features: np.ndarray, n: int) -> np.ndarray:
    """Rows of [m, F]: the one nearest to the mean, then each the farthest from all before, n."""
    rows = [int(np.linalg.norm(features - features.mean(0), axis=1).argmin())]
    near = np.linalg.norm(features - features[rows[0]], axis=1)
    while len(rows) < min(n, len(features)):
        rows.append(int(near.argmax()))
        near = np.minimum(near, np.linalg.norm(features - features[rows[-1]], axis=1))
    return np.array(rows)
