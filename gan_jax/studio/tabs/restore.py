"""Restore: pictures and clips made larger and cleaner, and holes filled."""

import pathlib

import gradio as gr
import numpy as np
from PIL import Image

from gan_jax.data.images import save_png
from gan_jax.inference import restore
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
from gan_jax.studio.tabs.style import before_and_after

BRUSH = "#ff3b7f"  # color of what is painted


def build(studio: Studio) -> None:
    with gr.Tabs():
        with gr.Tab("Larger and cleaner", id="larger"):
            _larger(studio)
        with gr.Tab("Fill holes", id="holes"):
            _holes(studio)


def _larger(studio: Studio) -> None:
    enlargers = studio.shelf.enlargers()
    paths = [path for _, path in enlargers]
    with gr.Row():
        with gr.Column(min_width=320):
            files = parts.upload("Pictures, or a clip", "larger-files", clips=True)
            lacks = not set(restore.MODELS) & set(paths)
            model = gr.Dropdown(
                enlargers,
                value="fast" if "fast" in paths else first(paths),
                label="Network",
                info=f"more: pip install {restore.PACKAGE}=={restore.VERSION}" if lacks else "",
                elem_id="larger-model",
            )
            scale = gr.Slider(1, 8, 2, step=0.5, label="Times as large", info="1 cleans only")
            panel = Panel(studio, "larger", "Make it larger")
        with gr.Column(min_width=320):
            slider = parts.slider("larger-slider")
            results = parts.results("Results", "restore-results")
            clip = gr.Video(label="The clip", interactive=False, visible=False)
            archive = parts.archive("All of it", "larger-archive")

    studio.keeps([model], lambda path: chosen(studio.shelf.enlargers(), path))

    def compose(given, path, scale) -> Job:
        folder = studio.folder()
        paths, left = [each[0] for each in given or ()], []
        inputs = uploads.taken(paths, folder, moving=True, left_out=left)
        words = ["restore", *map(str, inputs), "--out", str(folder / "out")]
        words += ["--model", path, "--scale", f"{scale:g}"]
        return Job(f"larger: {len(inputs)} files", words, folder, notes=left)

    def show(job: Job):
        made, films = pictures_in(job.out / "out"), clips_in(job.out / "out")
        inputs = sorted((job.out / "in").iterdir())
        pair = before_and_after(inputs, made, job.out) if made and not films else None
        return [
            pair,
            made,
            gr.update(value=first(films), visible=bool(films)),
            file_of(packed(job.out / "out", "larger")),
        ]

    panel.does(compose, [files, model, scale], show, [slider, results, clip, archive])


def _holes(studio: Studio) -> None:
    models = studio.shelf.choices("inpaint")
    with gr.Row():
        with gr.Column(min_width=320):
            file = gr.Image(
                label="Picture",
                type="filepath",
                image_mode=None,
                sources=["upload", "clipboard"],
                height=180,
                elem_id="holes-file",
            )
            canvas = gr.ImageEditor(
                label="Paint over what is to be filled",
                type="numpy",
                image_mode="RGBA",
                format="png",
                sources=[],
                transforms=[],
                layers=False,
                brush=gr.Brush(default_size=24, colors=[BRUSH], color_mode="fixed"),
                height=420,
                elem_id="holes-canvas",
            )
            model = gr.Dropdown(models, value=models[0][1], label="Network", elem_id="holes-model")
            grow = gr.Slider(
                0, 32, 4, step=1, label="Larger by", info="pixels around what you painted"
            )
            panel = Panel(studio, "holes", "Fill it")
        with gr.Column(min_width=320):
            slider = parts.slider("holes-slider")
            archive = parts.archive("The picture", "holes-archive")

    studio.keeps([model], lambda path: chosen(studio.shelf.choices("inpaint"), path))

    def lay(path):
        """The picture as the ground of the canvas."""
        if not path:
            return None
        uploads.check(pathlib.Path(path), moving=False)
        return uploads.preview(pathlib.Path(path), studio.folder())

    def laid(path):
        try:
            return lay(path)
        except ValueError as error:
            raise gr.Error(str(error), duration=None, print_exception=False) from error

    file.change(laid, file, canvas, **PRIVATE)

    def compose(path, painted, model, grow) -> Job:
        folder = studio.folder()
        [picture] = uploads.taken([path], folder)
        mask = painted_mask(painted, picture)
        save_png(folder / "mask.png", mask)
        words = ["inpaint", str(picture), "--out", str(folder / "out"), "--model", model]
        words += ["--mask", str(folder / "mask.png")]
        return Job("filling", words + (["--grow", str(int(grow))] if grow else []), folder)

    def show(job: Job):
        made = pictures_in(job.out / "out")
        pair = before_and_after(sorted((job.out / "in").iterdir()), made, job.out)
        return [pair, file_of(first(made))]

    panel.does(compose, [file, canvas, model, grow], show, [slider, archive])


def painted_mask(painted: dict | None, picture: pathlib.Path) -> np.ndarray:
    """White uint8 [H, W, 1] where something was painted, of the picture's size.

    Raises:
        ValueError: nothing was painted.
    """
    layers = [layer for layer in (painted or {}).get("layers", ()) if layer is not None]
    if not any((layer[..., 3] > 0).any() for layer in layers):
        raise ValueError("Paint over what is to be filled first, with the brush.")
    height, width = uploads.size_of(picture)
    mask = np.zeros((height, width), np.uint8)
    for layer in layers:
        alpha = Image.fromarray(layer[..., 3]).resize((width, height), Image.Resampling.BILINEAR)
        mask = np.maximum(mask, np.where(np.asarray(alpha) > 8, 255, 0).astype(np.uint8))
    return mask[..., None]
