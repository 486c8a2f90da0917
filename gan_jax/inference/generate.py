"""New pictures from noise as files: one a seed and a class, a grid of them all, style mixing."""

import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from gan_jax.data.images import grid, save_png, save_sheet, to_uint8
from gan_jax.inference.sampler import Sampler
from gan_jax.runtime.text import file_name


def generate(
    sampler: Sampler,
    seeds: Sequence[int],
    out: pathlib.Path,
    *,
    name: str | None = None,
    truncation: float | None = None,
    cols: int = 8,
    edit: Callable[[np.ndarray], np.ndarray] | None = None,
) -> tuple[int, pathlib.Path]:
    """A PNG a seed and a class in `out`, and sheet/grid.png, a row a seed and a column a class.

    Args:
        name: only this class; None: all, data.images.MOST_COLUMNS at most.
        cols: of the grid, where there is one class or none.
        edit: styles f32 [n, L, W] -> others that are drawn in their place; of a generator that
            `has_styles`.
    Returns (how many pictures, the grid's file). Raises ValueError where there is no such class.
    """
    labels = sampler.columns(name)
    names = [sampler.classes[label] for label in labels]
    y = np.asarray(labels, np.int32) if labels else None
    rows = []
    for seed in seeds:  # a picture depends on its own seed only, not on its neighbors
        z = np.repeat(sampler.latents([seed], truncation), max(1, len(labels)), axis=0)
        if edit is None:
            rows.append(to_uint8(sampler(z, y, truncation)))
        else:
            rows.append(
                to_uint8(sampler.render(edit(np.asarray(sampler.styles(z, y, truncation)))))
            )
        for image, label in zip(rows[-1], names or [""], strict=True):
            save_png(out / _file(seed, label, sampler.classes), image)
    pictures = np.concatenate(rows)
    sheet = grid(pictures, len(names) if len(names) > 1 else cols)
    return len(pictures), save_sheet(out, "grid.png", sheet)


def _file(seed: int, label: str, classes: tuple[str, ...]) -> str:
    stem = f"seed{seed:04d}"
    if not label:
        return f"{stem}.png"
    return file_name(f"{stem}_{label}", ".png", [f"{stem}_{other}" for other in classes])


def mix(
    sampler: Sampler,
    seeds: Sequence[int],
    columns: Sequence[int],
    out: pathlib.Path,
    *,
    layers: Sequence[int] | None = None,
    name: str | None = None,
    truncation: float | None = None,
) -> pathlib.Path:
    """sheet/mix.png: pictures of the seeds `columns` above, of `seeds` on the left, and between
    them those with the row's styles but in `layers`, where they have the column's.

    Args:
        layers: 0 is the coarsest; None: the first half.
        name: the class of all; needed where there are classes.
    Raises:
        ValueError: a generator without styles, a class that is missing or unknown, or no such
            layer.
    """
    if not sampler.has_styles:
        raise ValueError(
            f"--mix: {sampler.step} has no styles to mix; StyleGAN2 has, as"
            " trained by --config avatars_stylegan2."
        )
    if sampler.classes and name is None:
        raise ValueError(
            f"--mix: say whose pictures are mixed by --class. Known: {', '.join(sampler.classes)}."
        )
    z = sampler.latents([*seeds, *columns], truncation)
    y = np.full(len(z), sampler.label(name), np.int32) if name is not None else None
    ws = np.asarray(sampler.styles(z, y, truncation))  # [rows + columns, L, W]
    depth = ws.shape[1]
    layers = list(range(depth // 2) if layers is None else layers)
    if max(layers) >= depth:
        raise ValueError(f"--layers: {max(layers)}: this generator has layers 0 to {depth - 1}.")
    across = ws[len(seeds) :]
    corner = np.full_like(to_uint8(sampler.render(across[:1])), 255)
    rows = [np.concatenate([corner, to_uint8(sampler.render(across))])]
    for own in ws[: len(seeds)]:
        mixed = np.repeat(own[None], len(columns) + 1, axis=0)
        mixed[1:, layers] = across[:, layers]
        rows.append(to_uint8(sampler.render(mixed)))
    return save_sheet(out, "mix.png", grid(np.concatenate(rows), len(columns) + 1))
