"""Components that several tabs have, alike in each."""

import gradio as gr

TALL, LOW = 480, 230  # pixels
BELOW = "below"  # the class of galleries whose pictures begin below their label


def upload(label: str, name: str, clips: bool = False) -> gr.Gallery:
    """Takes several pictures, and, where `clips`, videos."""
    return gr.Gallery(
        label=label,
        interactive=True,
        type="filepath",
        file_types=["image", "video"] if clips else ["image"],
        columns=4,
        height=LOW,
        object_fit="contain",
        fit_columns=False,
        elem_classes=BELOW,
        elem_id=name,
    )


def results(label: str, name: str) -> gr.Gallery:
    """Shows several pictures."""
    return gr.Gallery(
        label=label,
        columns=4,
        height=TALL,
        object_fit="contain",
        fit_columns=False,
        elem_classes=BELOW,
        interactive=False,
        buttons=["download", "fullscreen"],
        elem_id=name,
    )


def shown(label: str, name: str, visible: bool = True) -> gr.Image:
    """Shows one picture."""
    return gr.Image(
        label=label,
        type="filepath",
        interactive=False,
        visible=visible,
        buttons=["download", "fullscreen"],
        elem_id=name,
    )


def slider(name: str) -> gr.ImageSlider:
    """Shows a picture before and after, a slider between them."""
    return gr.ImageSlider(
        label="Before and after",
        type="filepath",
        height=420,
        interactive=False,
        buttons=["fullscreen"],
        elem_id=name,
    )


def archive(label: str, name: str) -> gr.File:
    """A file to take home; hidden until there is one."""
    return gr.File(label=label, interactive=False, visible=False, elem_id=name)
