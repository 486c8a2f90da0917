"""The page: its tabs, its look, and the line above them that says what runs now."""

import pathlib

import gradio as gr

from gan_jax.studio import jobs
from gan_jax.studio.panel import PRIVATE, Studio, clock, said, share
from gan_jax.studio.tabs import avatar, compare, draw, restore, style, train

TABS = {
    "Style": style.build,
    "Avatar and stickers": avatar.build,
    "Restore": restore.build,
    "Draw": draw.build,
    "Train": train.build,
    "Compare": compare.build,
}
CSS = pathlib.Path(__file__).parent / "page.css"
SYSTEM = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
EVERY = 2.0  # seconds between looks at what runs
CACHE = (3600, 24 * 3600)  # seconds: how often uploads are looked over, and how old they may become


def theme() -> gr.themes.Base:
    """Fonts of the system: a page that loads nothing from elsewhere."""
    mono = ["ui-monospace", "Menlo", "Consolas", "monospace"]
    look = gr.themes.Soft(primary_hue="indigo", font=SYSTEM, font_mono=mono)
    return look.set(  # so that each text has a contrast of 4.5 or more
        block_label_text_color="*primary_900",
        block_title_text_color="*primary_900",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        block_label_text_color_dark="*primary_100",
        block_title_text_color_dark="*primary_100",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        checkbox_label_background_fill_selected="*primary_700",
        input_placeholder_color="*neutral_600",
    )


def build(studio: Studio) -> gr.Blocks:
    how = {"analytics_enabled": False, "delete_cache": CACHE}
    with gr.Blocks(title="gan_jax studio", **how) as page:
        gr.HTML(
            "<h1>gan_jax studio</h1><p>Everything is computed on this machine; nothing leaves it."
            " Pictures are gone when the studio ends: download what you want to keep. Runs,"
            f" persons and packs stay in <code>{studio.shelf.folder}</code>.</p>",
            elem_id="head",
        )
        with gr.Row():
            now = gr.HTML(said("", ""), elem_id="now")
            stop = gr.Button("Stop it", visible=False, scale=0, min_width=100, elem_id="now-stop")
        with gr.Tabs():
            for name, make in TABS.items():
                before = len(studio.lists)
                with gr.Tab(name, id=name) as tab:
                    make(studio)
                for components, fresh in studio.lists[before:]:
                    for opened in (page.load, tab.select):
                        opened(fresh, components, components, **PRIVATE)
        gr.Timer(EVERY).tick(lambda: running(studio), None, [now, stop], **PRIVATE)

        def end():
            job = studio.jobs.current
            if job is not None and job.lasting:
                studio.jobs.stop(job)

        stop.click(end, None, None, queue=False, **PRIVATE)

        def left(request: gr.Request):
            studio.left(request.session_hash or "")

        page.unload(left)
    return page


def running(studio: Studio) -> tuple:
    """What runs now, for all browser tabs, and whether it can be stopped: a page that was loaded
    anew has no other button for it."""
    job = studio.jobs.current
    if job is None or job.state != jobs.RUNNING:
        return said("", ""), gr.update(visible=False)
    text = "Stopping" if job.stop else f"{clock(job.seconds)} {job.text}"
    line = said(f"Now: {job.title}", "busy", text, share(job.text))
    return line, gr.update(visible=job.lasting and not job.stop)
