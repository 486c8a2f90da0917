"""Measures of a translator: what became of each picture's style, what stayed of its content.
Picture i of `fake` was made of picture i of `contents`, from the start again after the last."""

from collections.abc import Callable

import numpy as np

from gan_jax.evaluation.features import Images
from gan_jax.evaluation.probes import Labelled, Usefulness
from gan_jax.metrics import diversity, flicker, kid, pixels

Embed = Callable[[Images, np.ndarray], np.ndarray]  # (pictures, which) -> features f32 [n, F]
Translate = Callable[
    [Images, np.ndarray | None], Images
]  # (contents, classes to go to) -> their translations
LATENTS = 10  # of one picture, for `variety`
SOURCES = 100  # pictures looked at where each is translated several times
CHUNK = 256  # pictures of the size of the data, loaded at a time
SHIFTS = (
    (0, 1),
    (1, 0),
    (2, 3),
    (3, -2),
    (-4, 4),
)  # pixels down and right: a hand-held camera's from frame to frame


def fidelity(fake: Images, truth: Images, contents: Images) -> dict[str, float]:
    """PSNR (dB), SSIM, MAE (of 255) against the true translations: means over the pictures;
    "_input": of copying the input.

    PSNR's mean leaves out pictures equal to their truth, whose PSNR is infinite.
    """
    sides: dict[str, list] = {}
    for ids in _chunks(fake.count):
        wanted = truth.load(ids % truth.count)
        for suffix, images in (
            ("", fake.load(ids)),
            ("_input", contents.load(ids % contents.count)),
        ):
            for name in ("psnr", "ssim", "mae"):
                sides.setdefault(name + suffix, []).append(getattr(pixels, name)(images, wanted))
    joined = {name: np.concatenate(values) for name, values in sides.items()}
    return {name: float(values[np.isfinite(values)].mean()) for name, values in joined.items()}


def style(
    fake: np.ndarray,
    contents: np.ndarray,
    real: np.ndarray,
    labels: tuple | None,
    classes: tuple[str, ...],
) -> tuple[dict, dict]:
    """KID to the style gone to: (of the translations, of the same pictures untouched), by style.

    fake, contents, real: features f32 [n, F]. labels: a class for each of the three, or None: then
    there is one style, "". With them, pictures that were of the style before are left out.
    """
    found, control, which = {}, {}, np.arange(len(fake)) % len(contents)
    for number, name in enumerate(classes or ("",)):
        into, target = np.ones(len(fake), bool), real
        if labels is not None:
            y_fake, y_contents, y_real = labels
            into, target = (
                (y_fake == number) & (y_contents[which] != number),
                real[y_real == number],
            )
        found[name] = kid.kid(target, fake[into]).value
        control[name] = kid.kid(target, contents[np.unique(which[into])]).value
    return found, control


def attributes(
    judge: Usefulness, fake: Images, contents: Images, real: Images, held_out: Images | None
) -> dict:
    """How far each coloured attribute (skin, hair) is from its picture's own: mean distance in
    sRGB, of 255 a channel.

    Read off pictures by classifiers trained on the real ones, as the mean of the known colours
    weighted by their probability. "_shuffled": held against another picture's colour; "_floor": of
    held-back real pictures, how well the colour is read at all.
    """
    values = {}
    train = real.load(np.arange(real.count))
    made = fake.load(np.arange(fake.count))
    partners = np.arange(fake.count) % contents.count
    for name, colors in real.colors.items():
        palette, labels = np.unique(colors, axis=0, return_inverse=True)
        variables = judge.fit([Labelled(train, labels.reshape(-1))], len(palette), seed=0)
        read = lambda images, palette=palette, variables=variables: (
            judge.probabilities(variables, images) @ palette
        )
        found = read(made)
        distance = lambda a, b: float(np.linalg.norm(a - b, axis=1).mean())
        own = contents.colors[name]
        values[f"{name}_error"] = distance(found, own[partners])
        values[f"{name}_error_shuffled"] = distance(found, own[_others(contents.count)][partners])
        if held_out is not None:
            apart = held_out.load(np.arange(held_out.count))
            values[f"{name}_error_floor"] = distance(read(apart), held_out.colors[name])
    return values


def identity(fake: np.ndarray, contents: np.ndarray) -> dict[str, float]:
    """Mean cosine distance of features f32 [n, F] between a picture and what became of it;
    "_shuffled": of another one.

    With a face recognition net (config.eval.features="face", photographs of faces): is it the same
    person still?
    """
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (contents, fake))
    partners = np.arange(len(b)) % len(a)
    distance = lambda which: float(1 - (a[which] * b).sum(1).mean())
    return {
        "identity": distance(partners),
        "identity_shuffled": distance(_others(len(a))[partners]),
    }


def _others(n: int) -> np.ndarray:
    """int [n]: for each of n pictures the number of another, by chance."""
    order = np.random.default_rng(0).permutation(n)
    others = np.empty(n, int)
    others[order] = np.roll(order, 1)
    return others


def variants(translate: Translate, contents: Images, fake: Images) -> Images:
    """Translations of the first SOURCES contents by LATENTS latents each, those of one picture in a
    row, into one style."""
    sources = min(SOURCES, contents.count, fake.count)
    repeated = Images(lambda ids: contents.load(ids // LATENTS), sources * LATENTS)
    labels = None if fake.labels is None else np.repeat(fake.labels[:sources], LATENTS)
    return translate(repeated, labels)


def variety(made: Images, embed: Embed, squared: bool) -> float:
    """Mean distance of features between two translations of one picture: of `variants`."""
    groups = np.split(embed(made, np.arange(made.count)), made.count // LATENTS)
    return float(np.mean([diversity.pairwise(group, squared) for group in groups]))


def shift_error(translate: Translate, contents: Images, labels: np.ndarray | None) -> float:
    """Warp error on shifted pictures: mean |T(shift x) - shift T(x)| in grey levels of 255; 0 does
    not flicker.

    Of the first SOURCES pictures; shifts are SHIFTS, the edges repeated; compared where neither
    shows an edge.
    """
    ids = np.arange(min(SOURCES, contents.count))
    labels = None if labels is None else labels[np.resize(np.arange(len(labels)), len(ids))]
    x = contents.load(ids)
    plain, errors = translate(_set(x), labels).load(ids), []
    for down, right in SHIFTS:
        moved = translate(_set(flicker.shift(x, down, right)), labels).load(ids)
        errors.append(flicker.shift_error(plain, moved, down, right))
    return float(np.mean(errors))


def _set(pixels: np.ndarray) -> Images:
    return Images(lambda ids: pixels[ids], len(pixels))


def _chunks(n: int) -> list[np.ndarray]:
    return np.split(np.arange(n), range(CHUNK, n, CHUNK))
