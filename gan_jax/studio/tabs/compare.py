"""Compare: runs side by side, on the page that gan-jax report makes."""

import html

import gradio as gr

from gan_jax.studio import parts
from gan_jax.studio.jobs import DONE, Job
from gan_jax.studio.panel import Panel, Studio, file_of

PAGE = "report.html"


def build(studio: Studio) -> None:
    runs = gr.CheckboxGroup(_runs(studio), label="Runs, the newest first", elem_id="compare-runs")
    panel = Panel(studio, "compare", "Compare")
    page = gr.HTML(elem_id="compare-page")
    archive = parts.archive("The page, to keep", "compare-archive")
    studio.keeps([runs], lambda _: gr.update(choices=_runs(studio)))

    def compose(chosen) -> Job:
        if not chosen:
            raise ValueError("Choose one run or more.")
        folder = studio.folder()
        places = [str(studio.shelf.runs / name) for name in chosen]
        return Job("comparing", ["report", *places, "--out", str(folder / PAGE)], folder)

    def show(job: Job):
        if job.state != DONE:
            return ["", file_of(None)]
        # a page of its own: its style and ours don't meet, and it can't reach the studio
        text = html.escape((job.out / PAGE).read_text("utf-8"))
        frame = f'<iframe class="report" sandbox="allow-scripts" title="report" srcdoc="{text}">'
        return [f"{frame}</iframe>", file_of(str(job.out / PAGE))]

    panel.does(compose, [runs], show, [page, archive])


def _runs(studio: Studio) -> list[str]:
    return [x.name for x in studio.shelf.run_folders() if (x / "metrics.jsonl").is_file()]
