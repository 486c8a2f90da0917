"""Style: pictures, or a clip, in the style of a translator."""

import pathlib

import gradio as gr

from gan_jax.checkpoint import shared
from gan_jax.data import faces
from gan_jax.studio import parts, uploads
from gan_jax.studio.jobs import Job
from gan_jax.studio.panel import (
    PRIVATE,
    Panel,
    Studio,
    chosen,
    clips_in,
    file_of,
    first,
    packed,
    pictures_in,
)
from gan_jax.studio.shelf import Look

SIZES = {"as it is": None, "1024": 1024, "720": 720, "512": 512, "256": 256}
"""Of the shorter side, in pixels."""


def build(studio: Studio) -> None:
    looks = studio.shelf.looks()
    with gr.Row():
        with gr.Column(min_width=320):
            files = parts.upload("Pictures, or a clip", "style-files", clips=True)
            examples = gr.Gallery(
                examples_of(studio, looks),
                label="Styles",
                columns=5,
                height=170,
                allow_preview=False,
                interactive=False,
                object_fit="cover",
                buttons=[],
                elem_id="style-examples",
                elem_classes=["examples", parts.BELOW],
            )
            look = gr.Dropdown(
                list(looks),
                value=next(iter(looks), None),
                label="Style",
                info="ten-styles are for heads, seen from the front; the others for any picture",
                elem_id="style-look",
            )
            strength = gr.Slider(
                0, 1, 1, step=0.05, label="Strength", info="0 as it was, 1 in full style"
            )
            with gr.Accordion("More", open=False):
                size = gr.Dropdown(
                    list(SIZES), value="720", label="Pixels of the shorter side, at most"
                )
                only_faces = gr.Checkbox(
                    label="Only the faces",
                    interactive=faces.installed(),
                    info="" if faces.installed() else f"needs a detector: {faces.INSTALL}",
                )
                seed = gr.Number(0, label="Seed", precision=0, minimum=0, info="other variants")
                reference = gr.Image(
                    label="Take the style of this picture (styles of heads only)",
                    type="filepath",
                    image_mode=None,
                    sources=["upload", "clipboard"],
                    height=160,
                    elem_id="style-reference",
                )
            panel = Panel(studio, "style", "Put into this style")
        with gr.Column(min_width=320):
            slider = parts.slider("style-slider")
            results = parts.results("Results", "style-results")
            clip = gr.Video(label="The clip", interactive=False, visible=False)
            archive = parts.archive("All of it", "style-archive")

    def pick(event: gr.SelectData):
        return event.value["caption"]

    examples.select(pick, None, look, **PRIVATE)

    def fresh(_, label):
        now = studio.shelf.looks()
        return [examples_of(studio, now), chosen(list(now), label)]

    studio.keeps([examples, look], fresh)

    def compose(given, label, strength, size, only_faces, seed, reference) -> Job:
        folder = studio.folder()
        found = studio.shelf.looks().get(label)
        if found is None:
            raise ValueError("Choose a style first.")
        paths, left = [each[0] for each in given or ()], []
        inputs = uploads.taken(paths, folder, moving=True, left_out=left)
        words = ["stylize", found.model.path, *map(str, inputs), "--out", str(folder / "out")]
        if found.style:
            words += ["--style", found.style]
        if strength < 1:
            words += ["--strength", f"{strength:g}"]
        words += side_words(inputs, SIZES[size])
        if only_faces:
            words += ["--faces"]
        if seed:
            words += ["--seed", str(int(seed))]
        if reference:
            if not found.model.reads:
                raise ValueError(
                    f"The style {label!r} takes nothing from a picture. Choose a style of heads, or"
                    " take the picture away."
                )
            [at] = uploads.taken([reference], folder / "reference")
            words += ["--reference", str(at)]
        return Job(f"style: {label}", words, folder, notes=left)

    def show(job: Job):
        out = job.out / "out"
        made, films = pictures_in(out), clips_in(out)
        inputs = sorted((job.out / "in").iterdir())
        pair = before_and_after(inputs, made, job.out) if made and not films else None
        return [
            pair,
            [(path, pathlib.Path(path).stem) for path in [*made, *pictures_in(out / "sheet")]],
            gr.update(value=first(films), visible=bool(films)),
            file_of(packed(out, "styled")),
        ]

    inputs = [files, look, strength, size, only_faces, seed, reference]
    panel.does(compose, inputs, show, [slider, results, clip, archive])


def examples_of(studio: Studio, looks: dict[str, Look]) -> list[tuple[str, str]]:
    """(picture, label) of the styles that have one."""
    found = [(look.picture, look.label) for look in looks.values() if look.picture]
    own = [(picture, label) for picture, label in found if picture.is_relative_to(shared.ZOO)]
    others = [(studio.lent(x), label) for x, label in found if not x.is_relative_to(shared.ZOO)]
    return [(str(picture), label) for picture, label in own] + others


def side_words(inputs: list[pathlib.Path], most: int | None) -> list[str]:
    """--side, where a picture's or a clip's shorter side is longer than that."""
    if most is None:
        return []
    return ["--side", str(most)] if any(uploads.short_side(x) > most for x in inputs) else []


def before_and_after(
    inputs: list[pathlib.Path], made: list[str], folder: pathlib.Path
) -> tuple[str, str] | None:
    """The first picture that came out, with what it was; None where it moves."""
    for after in map(pathlib.Path, made):
        fit = [before for before in inputs if after.stem.startswith(before.stem)]
        if fit and after.suffix == ".png":
            before = max(fit, key=lambda x: len(x.stem))  # of IMG_1 and IMG_10
            return uploads.preview(before, folder), uploads.preview(after, folder / "after")
    return None
