"""What notebooks show of a sampler or a run: a small picture and a few lines."""

import base64
import html
import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

from gan_jax.checkpoint.shared import is_shared
from gan_jax.data.images import as_array, as_picture, png_bytes
from gan_jax.runtime.text import shown

PICTURES = 8  # of a sampler
WIDEST = 800  # pixels: wider grids are made smaller
LISTED = 12  # names of classes


def card(title: str, lines: Sequence[str], picture: np.ndarray | None) -> str:
    """HTML of a title, lines of text and a picture uint8 [H, W, C], embedded as a data URI."""
    text = "<br>".join(html.escape(shown(line)) for line in lines)
    head = f"<b>{html.escape(shown(title))}</b><br>{text}"
    if picture is None:
        return f"<div>{head}</div>"
    uri = base64.b64encode(png_bytes(_small(picture))).decode()
    return f'<div>{head}<br><img alt="samples" src="data:image/png;base64,{uri}"></div>'


def class_line(classes: Sequence[str]) -> list[str]:
    """A line that names the classes, the first LISTED; none without classes."""
    if not classes:
        return []
    more = f" and {len(classes) - LISTED} more" if len(classes) > LISTED else ""
    return [f"{len(classes)} classes: {', '.join(classes[:LISTED])}{more}"]


def workdir_of(step: pathlib.Path) -> pathlib.Path:
    """The run that a checkpoint's folder is of: WORKDIR/checkpoints/STEP or WORKDIR/best/STEP."""
    return step.parent.parent


def name_of(step: pathlib.Path) -> str:
    """A run's name and step, of a shared model its folder's."""
    if is_shared(step):
        return step.name
    return f"{workdir_of(step).resolve().name}, step {step.name}"


def newest_grid(workdir: pathlib.Path) -> np.ndarray | None:
    """The last grid of samples that training drew; None where there is none."""
    files = sorted((workdir / "samples").glob("[0-9]*.png"))
    return as_array(Image.open(files[-1])) if files else None


def _small(picture: np.ndarray) -> np.ndarray:
    """At most WIDEST pixels wide."""
    height, width = picture.shape[:2]
    if width <= WIDEST:
        return picture
    return as_array(as_picture(picture).resize((WIDEST, round(height * WIDEST / width))))
