"""Draw: new pictures from noise, by seeds, classes and directions; style mixing; a walk."""

import gradio as gr

from gan_jax.runtime import cli
from gan_jax.studio import parts
from gan_jax.studio.jobs import Job
from gan_jax.studio.panel import (
    PRIVATE,
    Panel,
    Studio,
    chosen,
    file_of,
    first,
    packed,
    pictures_in,
)

DIRECTIONS = [f"pca{k}" for k in range(6)]  # with a slider each
MOST = 64  # pictures at once
MOST_LEGS = 12  # seeds of a walk
ALL = "all"


def build(studio: Studio) -> None:
    start = studio.shelf.models("sample")[0]
    with gr.Row():
        with gr.Column(min_width=320):
            model = gr.Dropdown(
                studio.shelf.choices("sample"),
                value=start.path,
                label="Generator",
                elem_id="draw-model",
            )
            seeds = gr.Textbox(
                "0-7",
                label="Seeds",
                info="one picture each, as in 0-9 or 1,5,10",
                max_lines=1,
                elem_id="draw-seeds",
            )
            name = gr.Dropdown(
                [ALL, *start.classes],
                value=first(start.classes) or ALL,
                label="Class",
                elem_id="draw-class",
            )
            truncation = gr.Slider(
                0,
                1,
                1,
                step=0.05,
                label="Truncation",
                info="1 as they are; less: likelier pictures, less variety",
            )
            with gr.Accordion("Directions", open=False, visible=start.styled) as edits:
                sliders = [
                    gr.Slider(-3, 3, 0, step=0.25, label=f"Direction {k + 1} ({each})")
                    for k, each in enumerate(DIRECTIONS)
                ]
            panel = Panel(studio, "draw", "Draw")
            with gr.Accordion("Mix styles", open=False, visible=start.styled) as mixes:
                columns = gr.Textbox("8-12", label="Seeds of the columns", max_lines=1)
                layers = gr.Textbox(
                    "", label="Layers from the column", info="0 the coarsest; empty: the first half"
                )
                mix = gr.Button("Draw a matrix")
            with gr.Accordion("Walk from seed to seed", open=False):
                frames = gr.Slider(6, 48, 16, step=1, label="Frames from seed to seed")
                walk = gr.Button("Make a walk")
        with gr.Column(min_width=320):
            results = parts.results("Pictures", "draw-results")
            sheet = parts.shown("Matrix, walk, or an example", "draw-sheet", visible=False)
            archive = parts.archive("All of it", "draw-archive")

    def other(path):
        each = studio.shelf.model("sample", path)
        known = gr.update(choices=[ALL, *each.classes], value=first(each.classes) or ALL)
        example = gr.update(visible=False)
        if each.picture:
            example = gr.update(value=studio.lent(each.picture), visible=True)
        return [known, *[gr.update(visible=each.styled)] * 2, example]

    model.change(other, model, [name, edits, mixes, sheet], **PRIVATE)
    studio.keeps([model], lambda path: chosen(studio.shelf.choices("sample"), path))

    def words_of(command, model, seeds, label, truncation, out):
        words = [command, model.path, "--out", str(out), f"--seeds={seeds.strip()}"]
        words += ["--class", label] if label != ALL else []
        return words + (["--truncation", f"{truncation:g}"] if truncation < 1 else [])

    def compose(path, seeds, label, truncation, *amounts) -> Job:
        folder, each = studio.folder(), studio.shelf.model("sample", path)
        words = words_of("sample", each, seeds, label, truncation, folder / "out")
        many = len(numbers(seeds)) * (len(each.classes) or 1 if label == ALL else 1)
        if many > MOST:
            raise ValueError(f"{many} pictures; at most {MOST} are drawn at once here.")
        moved = zip(DIRECTIONS, amounts, strict=True)
        edit = ",".join(f"{direction}={x:g}" for direction, x in moved if x)
        if edit and each.styled:
            words += ["--edit", edit]
        return Job("drawing", words, folder)

    def show(job: Job):
        made = pictures_in(job.out / "out")
        return [made, gr.update(visible=False), file_of(packed(job.out / "out", "pictures"))]

    outputs = [results, sheet, archive]
    inputs = [model, seeds, name, truncation]
    panel.does(compose, [*inputs, *sliders], show, outputs)

    def compose_mix(path, seeds, label, truncation, columns, layers) -> Job:
        folder, each = studio.folder(), studio.shelf.model("sample", path)
        if len(numbers(seeds)) * len(numbers(columns)) > MOST:
            raise ValueError(f"At most {MOST} mixtures are drawn at once here.")
        words = words_of("sample", each, seeds, label, truncation, folder / "out")
        words += [f"--mix={columns.strip()}"]
        return Job(
            "mixing", words + ([f"--layers={layers.strip()}"] if layers.strip() else []), folder
        )

    def show_mix(job: Job):
        made = pictures_in(job.out / "out" / "sheet")
        return [[], gr.update(value=first(made), visible=True), file_of(first(made))]

    panel.does(compose_mix, [*inputs, columns, layers], show_mix, outputs, button=mix)

    def compose_walk(path, seeds, label, truncation, frames) -> Job:
        folder, each = studio.folder(), studio.shelf.model("sample", path)
        if not 2 <= len(numbers(seeds)) <= MOST_LEGS:
            raise ValueError(f"A walk needs 2 to {MOST_LEGS} seeds.")
        words = words_of("interpolate", each, seeds, label, truncation, folder / "walk.gif")
        return Job("walking", [*words, "--frames", str(int(frames)), "--fps", "20"], folder)

    def show_walk(job: Job):
        made = pictures_in(job.out)
        return [[], gr.update(value=first(made), visible=True), file_of(first(made))]

    panel.does(compose_walk, [*inputs, frames], show_walk, outputs, button=walk)


def numbers(text: str) -> list[int]:
    """Of '0-7' or '1,5,10'. Raises ValueError as cli.parse_numbers."""
    return cli.parse_numbers((text or "").strip() or "?", "Seeds")
