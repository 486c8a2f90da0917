"""Ideas for a person: the person as they are, with something else in one region, such as other
clothes; and what was liked of them, which decides the next sheet."""

import json
import pathlib
from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

import gan_jax
from gan_jax.data import generated, lettering
from gan_jax.data.images import as_rgb, grid, save_png, save_sheet
from gan_jax.personalize import likes, person
from gan_jax.personalize.inversion import Inversion
from gan_jax.personalize.person import Person
from gan_jax.runtime import files, registry

REGIONS = {"bottom": (0.72, 1.0), "middle": (0.35, 0.72), "top": (0.0, 0.35)}
"""What may change, as shares of the height: clothes; eyes, glasses, mouth; hair and hats."""
POOL = 3  # ideas that are drawn for each on the first sheet
COLUMNS = 4
STATE, STYLES, SHEET = "ideas.json", "ideas.safetensors", "ideas.png"


def rows_of(region: str, height: int) -> slice:
    """The rows of a region."""
    top, bottom = registry.choose(REGIONS, region, "region")
    return slice(round(top * height), round(bottom * height))


def draw(
    made: Person, region: str, n: int, steps: int, seed: int, log: Callable[[str], None] = print
) -> np.ndarray:
    """n styles [n, L, W]: searches in W+ by the person's generator that start at samples of the
    base and end where the drawing is like the person's most usual one, but for the region."""
    base, rng = made.base, np.random.default_rng(seed)
    usual = np.linalg.norm(made.ws - made.ws.mean(0), axis=(1, 2)).argmin()
    target = np.asarray(base.draw(made.params, jnp.asarray(made.ws[usual])[None]))
    rows = rng.choice(len(base.statistics.ws), n, replace=False)
    mask = np.ones(base.shape[:2], np.float32)
    mask[rows_of(region, base.shape[0])] = 0

    def progress(step, near):
        log(f"  step {step}/{steps}: LPIPS to the person, where they stay, {near.mean():.3f}")

    search = Inversion(base, "w+", steps, spread=0.0, params=made.params)
    begin = base.statistics.ws[rows]
    return search(np.repeat(target, n, 0), begin=begin, mask=mask, seed=seed, log=progress).ws


def make(
    made: Person,
    out: pathlib.Path,
    *,
    region: str = "bottom",
    count: int = 12,
    steps: int = 75,
    like: Sequence[int] = (),
    dislike: Sequence[int] = (),
    seed: int = 0,
    log: Callable[[str], None] = print,
) -> pathlib.Path:
    """Writes numbered ideas to `out`, a picture each, and a sheet of the new ones; returns the
    sheet. With `like` and `dislike`, numbers of ideas that are there, it follows them.

    Raises:
        ValueError: a number that no idea has, or that is in both; another region or person than
            before; all ideas were shown.
    """
    base = made.base
    rows_of(region, base.shape[0])
    person.check_output(out, made.folder)
    state, ws = _read(out)
    if state is None:
        if like or dislike:
            raise ValueError(f"--like, --dislike: there are no ideas in {out} yet. Leave them out.")
        log(f"drawing {POOL * count} ideas, for this sheet and {POOL - 1} more")
        ws = draw(made, region, POOL * count, steps, seed, log)
        state = {"region": region, "seed": seed, "shown": [], "liked": [], "disliked": []}
        state["person"] = made.about["sha256"]
    elif state["region"] != region:
        raise ValueError(f"{out}: its ideas are of the region {state['region']}. Give a new --out.")
    elif state["person"] != made.about["sha256"]:
        raise ValueError(f"{out}: its ideas are of the person as made before. Give a new --out.")
    _rate(state, like, dislike)
    pictures = base.pictures(ws, made.params)
    pool = likes.features(pictures, (rows_of(region, base.shape[0]), slice(None)))
    rated = [(n, True) for n in state["liked"]] + [(n, False) for n in state["disliked"]]
    seen = pool[[state["shown"][n - 1] for n, _ in rated]]
    taste = likes.fit(pool, seen, [liked for _, liked in rated])
    rows = likes.choose(taste, pool, count, state["shown"])
    if not rows:
        raise ValueError(f"{out}: all {len(ws)} ideas were shown. Give a new --out, and --seed.")
    first = len(state["shown"]) + 1
    state["shown"] += rows
    mark = generated.xmp(f"gan_jax {gan_jax.__version__}")
    new = {out / f"{number:02d}.png": row for number, row in enumerate(rows, first)}
    own = [*new, out / STYLES, out / STATE, out / "sheet" / SHEET]
    person.mark_output(out, made, own)
    for file, row in new.items():
        save_png(file, pictures[row], mark)
    files.replace_bytes(out / STYLES, safetensors.numpy.save({"ws": ws}))
    files.replace_text(out / STATE, json.dumps(state) + "\n")
    return save_sheet(out, SHEET, _sheet(pictures[rows], first), mark)


def _read(out: pathlib.Path) -> tuple[dict | None, np.ndarray | None]:
    """What was shown and liked, and all ideas' styles; None, None of a new folder."""
    if not (out / STATE).is_file():
        return None, None
    try:
        state = json.loads((out / STATE).read_text("utf-8"))
        ws = safetensors.numpy.load_file(out / STYLES)["ws"]
        whole = all(0 <= row < len(ws) for row in state["shown"]) and state["region"] in REGIONS
        whole = whole and {"liked", "disliked", "person"} <= state.keys()
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise ValueError(f"{out}: its ideas can't be read ({error}). Give a new --out.") from error
    if not whole:
        raise ValueError(f"{out}: its {STATE} does not fit its {STYLES}. Give a new --out.")
    return state, ws


def _rate(state: dict, like: Sequence[int], dislike: Sequence[int]) -> None:
    """Adds what was liked and disliked; a new word on an idea replaces the old."""
    for number in (*like, *dislike):
        if not 1 <= number <= len(state["shown"]):
            raise ValueError(
                f"--like, --dislike: no idea has the number {number}; there are 1 to"
                f" {len(state['shown'])}."
            )
    both = sorted(set(like) & set(dislike))
    if both:
        raise ValueError(f"--like, --dislike: {both[0]} is in both.")
    state["liked"] = sorted({*state["liked"], *like} - set(dislike))
    state["disliked"] = sorted({*state["disliked"], *dislike} - set(like))


def _sheet(pictures: np.ndarray, first: int) -> np.ndarray:
    """The pictures over white, each with its number."""
    cells = [as_rgb(x) for x in pictures]
    scale = max(1, -(-128 // min(cells[0].shape[:2])))
    cells = [x.repeat(scale, 0).repeat(scale, 1) for x in cells]
    rows = []
    for start in range(0, len(cells), COLUMNS):
        part = cells[start : start + COLUMNS]
        names = [str(first + start + k) for k in range(len(part))]
        names += [" "] * (COLUMNS - len(part))
        rows.append(lettering.with_names(grid(np.stack(part), COLUMNS), names))
    return np.concatenate(rows)
