"""A run's averaged generator as a small folder to pass on, with a page that says what it is."""

import json
import pathlib

import jax
import numpy as np

import gan_jax
from gan_jax import checkpoint
from gan_jax.checkpoint import shared
from gan_jax.data.images import to_uint8
from gan_jax.inference import loading
from gan_jax.inference.sampler import Sampler, algorithm_of
from gan_jax.runtime.files import replace_text

NO_WORDS = "Nothing was said of the data, the license and the limits: ask who made it."


def share(
    sampler: Sampler,
    folder: pathlib.Path,
    words: str | None = None,
    *,
    critic: bool = False,
    over: str | pathlib.Path | None = None,
) -> dict:
    """Writes what checkpoint/shared.py describes to `folder`; returns {"bytes": of the weights,
    "rounding": the largest difference of a picture to the run's, of 255}.

    Args:
        words: for the page: the data and its license, the command, the limits.
        critic: the critic's weights too, from which a run on other pictures can go on
            (config.init_from).
        over: another shared model, beside `folder` or of the package: only what differs from it is
            written, as the remodulation of a base that stayed.
    Raises:
        ValueError: something stands in `folder` that is no shared model; `over` is none, or
            elsewhere.
    """
    own = shared.is_shared(folder) and not (folder / "checkpoints").exists()
    if folder.exists() and not own and any(folder.iterdir()):
        raise ValueError(f"--out={folder}: it holds other files. Give a new folder.")
    below = None if over is None else _below(folder, pathlib.Path(over))
    leaves, meta = checkpoint.read(sampler.step, ("ema/",))
    needed = used(sampler, len(meta["classes"]))
    unused = {name: x for name, x in leaves.items() if name not in needed and x.dtype == np.float32}
    about = {
        "config": _own(meta["config"]),
        "shape": list(sampler.shape),
        "classes": list(meta["classes"]),
        "frozen": meta.get("frozen", {}),
        "step": checkpoint.step_of(sampler.step),
        "images": checkpoint.step_of(sampler.step) * sampler.batch,
        "made_by": f"gan_jax {gan_jax.__version__}",
    }
    parts = {name: x for name, x in leaves.items() if name not in unused}
    of_critic = checkpoint.read(sampler.step, ("d/params/", "d/mutable/"))[0] if critic else {}
    if critic and not of_critic:
        raise ValueError(f"--critic: {sampler.step} has no critic's weights.")
    shared.write(folder, parts | of_critic, unused, about, below)
    made = {
        "bytes": (folder / shared.WEIGHTS).stat().st_size,
        "rounding": difference(sampler, loading.load_sampler(folder)),
    }
    if below is not None:
        about["over"] = below.name
    count, about["critic"] = (sum(x.size for x in found.values()) for found in (parts, of_critic))
    replace_text(folder / shared.CARD, card(sampler, folder.name, words, about | made, count))
    return made


def _below(folder: pathlib.Path, over: pathlib.Path) -> pathlib.Path:
    """The folder of the model that one in `folder` is to be a difference to. Raises ValueError
    where it would not be found from there, or is a difference itself."""
    found = shared.find(over)
    if found is None:
        raise ValueError(f"--over={over}: no shared model there; gan-jax share writes one.")
    if shared.read_meta(found).get("over"):
        raise ValueError(f"--over={over}: it is a difference itself. Give the model below it.")
    place = shared.below(folder, found.resolve().name)
    if found.resolve() == folder.resolve() or place is None or not place.samefile(found):
        raise ValueError(
            f"--over={over}: a difference finds the model below it by its name, beside itself or in"
            f" the package. Give an --out beside {found}."
        )
    return place


KINDS = {
    "sample": "draws pictures from noise",
    "stylize": "translates pictures",
    "restore": "makes pictures larger",
    "inpaint": "fills holes in pictures",
}
"""Game.command -> what such a generator does."""


def used(sampler: Sampler, n_classes: int) -> set[str]:
    """The names of the leaves that its pictures depend on: CUT's heads are not among them, and of
    CycleGAN's generators one is."""
    game, shape = sampler.game, (2, *sampler.shape)
    batch = game.example_shapes(sampler.shape, n_classes)
    like = jax.eval_shape(game.init_generator, jax.random.key(0), batch)
    y = np.zeros(2, np.int32) if sampler.classes else None

    def pictures(ema, x):
        ema = game.prepare_for_sampling(ema, jax.random.key(0))
        z = game.latent(jax.random.key(0), 2)
        if not game.translates:
            return game.sample(ema, z, y)
        styles = [game.style_from_noise(ema, z, y)]
        if game.reads_styles:
            styles.append(game.style_from_picture(ema, x, y))
        return [game.restyle(ema, x, style) for style in styles]

    program = jax.make_jaxpr(pictures)(like, jax.ShapeDtypeStruct(shape, np.float32)).jaxpr
    read = {id(x) for step in program.eqns for x in step.invars}
    names = checkpoint.named({"ema": like})
    taken = zip(names, program.invars, strict=False)  # the last is the picture
    return {name for name, x in taken if id(x) in read}


def difference(a: Sampler, b: Sampler) -> int:
    """The largest difference between two samplers' pictures, of 255."""
    n = 4
    y = np.arange(n, dtype=np.int32) % len(a.classes) if a.classes else None
    if a.game.translates:
        side = a.multiple
        shape = (n, side, 2 * side, a.shape[2])
        x = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
        made = [net.restyle(x, net.styles_from_noise(0, y, n)) for net in (a, b)]
    else:
        z = a.latents(range(n))
        made = [net(z, y) for net in (a, b)]
    one, two = (to_uint8(x).astype(int) for x in made)
    return int(np.abs(one - two).max())


def _own(config: dict) -> dict:
    """The settings that rebuild the game; none that names a place on this machine."""
    kept = {name: config[name] for name in (*loading.GAME, "batch") if name in config}
    game = {name: x for name, x in kept.get("game", {}).items() if name != "weights"}
    return kept | {"game": game, "data": {}, "total_kimg": config["total_kimg"]}


def card(sampler: Sampler, name: str, words: str | None, about: dict, count: int) -> str:
    """The page, Markdown."""
    kind = KINDS[sampler.game.command]
    size = "x".join(map(str, sampler.shape))
    lines = [
        f"# {name}",
        "",
        (words or NO_WORDS).strip(),
        "",
        "## The model",
        "",
        f"* {algorithm_of(sampler.game)} with the networks of {about['config']['model']}; it"
        f" {kind}, trained at {size}.",
        f"* {count:,} weights, {about['bytes'] / 1e6:.2f} MB as float16; pictures differ from the"
        f" run's by at most {about['rounding']} of 255.",
        f"* {about['images']:,} images seen ({about['step']:,} steps of {sampler.batch}).",
    ]
    if over := about.get("over"):
        lines.append(f"* These are the weights that `{over}` has not, beside which it must lie.")
    if about["critic"]:
        lines.append(
            f"* The critic's {about['critic']:,} weights are among these megabytes: training goes"
            " on from here with `--config.init_from`."
        )
    for net in about["frozen"].values():
        lines.append(f"* Trained through the frozen network {net}.")
    if sampler.classes:
        lines.append(f"* Classes: {', '.join(sampler.classes)}.")
    return "\n".join([*lines, *_figures(sampler.step), ""])


def _figures(step: pathlib.Path) -> list[str]:
    """The run's last evaluation of just this step, a line a value; nothing where there was none."""
    file = step.parent.parent / "evaluations.jsonl"
    if shared.is_shared(step) or not file.is_file():  # whose folder stands anywhere
        return []
    number = checkpoint.step_of(step)
    records = map(json.loads, file.read_text("utf-8").splitlines())
    same = [record["values"] for record in records if record.get("step") == number]
    if not same:
        return []
    values = [f"| {name} | {value:.4g} |" for name, value in same[-1].items()]
    title = f"## Figures of the run's evaluation at step {number:,}"
    return ["", title, "", "| | |", "|---|---|", *values]
