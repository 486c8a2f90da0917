"""Train: a run on the user's pictures or on built-in ones, watched, stopped, and gone on with."""

import json
import pathlib
import shutil
from collections.abc import Sequence
from typing import NamedTuple

import gradio as gr
import pandas as pd

from gan_jax.runtime import files
from gan_jax.studio import parts, uploads
from gan_jax.studio.jobs import Job
from gan_jax.studio.panel import PRIVATE, Panel, Studio, chosen, first
from gan_jax.studio.tabs.avatar import checked_name, copy

BEGUN = "studio.json"  # in a run's folder: how it was begun here
PICTURES = "pictures"  # of the studio's folder: what runs are trained on
IMAGES = "thousands of pictures"
LOSSES = {"d/loss": "D loss", "g/loss": "G loss"}
MOST_PICTURES = 5000  # that come from the page
POINTS = 400  # of a curve


class Recipe(NamedTuple):
    """Attributes:
    config: its name.
    least: pictures that it needs; 0: it has its own.
    inside: whether they lie in a folder of the folder, as a class.
    kimg: thousands of pictures that D sees, of the config itself.
    """

    config: str
    least: int
    inside: bool
    kimg: float


RECIPES = {
    "New pictures like mine (30 or more; about an hour)": Recipe("folder", 30, False, 160.0),
    "A drawing style from about ten heads (minutes)": Recipe("portraits_few", 5, True, 6.0),
    "Built-in heads in ten styles, 64 x 64 (ten minutes)": Recipe("avatars", 0, False, 64.0),
    "Built-in heads, 32 x 32, DCGAN (ten minutes)": Recipe("avatars_dcgan", 0, False, 128.0),
}
"""Minutes are of two CPU cores."""


def build(studio: Studio) -> None:
    with gr.Row():
        with gr.Column(min_width=320):
            recipe = gr.Radio(
                list(RECIPES), value=first(list(RECIPES)), label="Recipe", elem_id="train-recipe"
            )
            files_ = parts.upload("Your pictures", "train-files")
            folder = gr.Textbox(
                label="Or a folder of this machine",
                placeholder="/home/me/photos",
                max_lines=1,
                elem_id="train-folder",
            )
            name = gr.Textbox(label="Name of the run", max_lines=1, elem_id="train-name")
            kimg = gr.Number(
                None,
                label="How long: thousands of pictures",
                info="empty: as long as the recipe says",
                minimum=0,
                elem_id="train-kimg",
            )
            panel = Panel(studio, "train", "Train")
            with gr.Accordion("Go on with a run that was stopped", open=False):
                again = gr.Dropdown(begun(studio), label="Run", elem_id="train-again")
                go_on = gr.Button("Go on", elem_id="train-go-on")
        with gr.Column(min_width=320):
            grid = parts.shown("What it draws now", "train-grid")
            # hidden until there is something, for a plot takes its axes from its first values
            losses = gr.LinePlot(
                None,
                x=IMAGES,
                y="loss",
                color="player",
                label="Losses",
                height=220,
                visible=False,
                elem_id="train-losses",
            )
            kid = gr.LinePlot(
                None,
                x=IMAGES,
                y="KID",
                label="KID to the pictures (less is better)",
                height=220,
                visible=False,
                elem_id="train-kid",
            )
            saved = gr.Markdown(elem_id="train-saved")

    def compose(recipe, given, folder, name, kimg) -> Job:
        plan, name = RECIPES[recipe], checked_name(name)
        workdir = studio.shelf.runs / name
        if (workdir / "config.json").exists() or studio.jobs.busy(workdir):
            raise ValueError(f"There is a run named {name}. Give another name, or go on with it.")
        left: list[str] = []
        path = pictures(given, folder, name, plan, left) if plan.least else None
        workdir.mkdir(parents=True, exist_ok=True)
        how = {"recipe": recipe, "path": None if path is None else str(path), "kimg": kimg}
        files.replace_text(workdir / BEGUN, json.dumps(how) + "\n")
        return _job(studio, name, words_of(workdir), left)

    def pictures(given, folder, name, plan, left) -> pathlib.Path:
        """The folder that is trained on."""
        if folder and folder.strip():
            place = pathlib.Path(folder.strip()).expanduser()
            if not place.is_dir():
                raise ValueError(f"{place}: no such folder on this machine.")
            return place.absolute()
        paths = [each[0] for each in given or ()]
        if len(paths) < plan.least:
            raise ValueError(f"{len(paths)} pictures; this recipe needs {plan.least} or more.")
        place = studio.shelf.folder / PICTURES / name
        scratch = studio.folder()
        uploads.taken(paths, scratch, most=MOST_PICTURES, left_out=left)
        shutil.rmtree(place, ignore_errors=True)  # of a run of this name that never began
        inside = place / "mine" if plan.inside else place
        inside.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(scratch / "in", inside)
        return place

    def show(job: Job):
        workdir = _workdir(job)
        return [
            newest_grid(workdir, job.out) or gr.skip(),
            plotted(losses_of(workdir)),
            plotted(kid_curve(workdir)),
            f"The run is kept in `{workdir}`.",
        ]

    outputs = [grid, losses, kid, saved]
    new = panel.does(compose, [recipe, files_, folder, name, kimg], show, outputs, show)

    def compose_again(name) -> Job:
        workdir = studio.shelf.runs / (name or "")
        if name not in begun(studio):
            raise ValueError("Choose a run.")
        if studio.jobs.busy(workdir):
            raise ValueError(f"{name} trains already, or waits for it.")
        return _job(studio, name, words_of(workdir))

    panel.does(compose_again, [again], show, outputs, show, go_on)

    def needs(recipe):
        """The places for pictures are hidden where a recipe has its own."""
        return [gr.update(visible=RECIPES[recipe].least > 0)] * 2

    recipe.change(needs, recipe, [files_, folder], **PRIVATE)
    studio.keeps([again], lambda name: chosen(begun(studio), name))
    new.then(lambda name: chosen(begun(studio), name), again, again, **PRIVATE)


def begun(studio: Studio) -> list[str]:
    """Names of runs that were begun here, the newest first."""
    return [x.name for x in studio.shelf.run_folders() if (x / BEGUN).is_file()]


def words_of(workdir: pathlib.Path) -> list[str]:
    """The command that begins a run, or goes on with it: by a recipe's name, never by words that
    came with the folder.

    Raises:
        ValueError: it was not begun here, or BEGUN is damaged.
    """
    try:
        how = json.loads((workdir / BEGUN).read_text("utf-8"))
        plan, path, kimg = RECIPES[how["recipe"]], how["path"], how["kimg"]
        words = ["train", "--config", plan.config, "--workdir", str(workdir)]
        words += [f"--config.data.path={path}"] if plan.least else []
        if kimg:
            often = kimg / 4 if kimg < 8 else None  # a short try is seen, too
            words += [f"--config.total_kimg={float(kimg):g}"]
            keys = ("log_every_kimg", "sample_every_kimg") if often else ()
            words += [f"--config.{key}={float(often):g}" for key in keys]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ValueError(
            f"{workdir.name}: {BEGUN} there is not as the studio writes it; go on by the command."
        ) from error
    return words


def _job(studio: Studio, name: str, words: list[str], notes: Sequence[str] = ()) -> Job:
    kept = {"lasting": True, "alone": True}
    return Job(f"{name}: training", words, studio.folder(), notes=notes, **kept)


def _workdir(job: Job) -> pathlib.Path:
    return pathlib.Path(job.words[job.words.index("--workdir") + 1])


def newest_grid(workdir: pathlib.Path, scratch: pathlib.Path) -> str | None:
    """A copy of a run's last grid of samples."""
    grids = sorted((workdir / "samples").glob("*.png"))
    return copy(grids[-1], scratch) if grids else None


def lines_of(file: pathlib.Path) -> list[dict]:
    """Of a file of JSON lines; the last may be half written."""
    found = []
    for line in file.read_text("utf-8").splitlines() if file.is_file() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return [line for line in found if "images" in line]


def losses_of(workdir: pathlib.Path) -> pd.DataFrame:
    """Losses of a run's log over thousands of pictures."""
    lines = lines_of(workdir / "metrics.jsonl")
    rows = [
        (line["images"] / 1000, line[key], name)
        for line in lines[:: max(1, len(lines) // POINTS)]
        for key, name in LOSSES.items()
        if key in line
    ]
    return pd.DataFrame(rows, columns=[IMAGES, "loss", "player"])


def kid_curve(workdir: pathlib.Path) -> pd.DataFrame:
    """KID over thousands of pictures, where it was measured, by the first network."""
    lines = lines_of(workdir / "metrics.jsonl")
    keys = sorted({key for line in lines for key in line if key.startswith("eval/kid")})
    rows = [(line["images"] / 1000, line[keys[0]]) for line in lines if keys and keys[0] in line]
    return pd.DataFrame(rows, columns=[IMAGES, "KID"])


def plotted(table: pd.DataFrame):
    """A plot's update; hidden where there is nothing."""
    return gr.update(value=table, visible=True) if len(table) else gr.update(visible=False)
