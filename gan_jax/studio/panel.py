"""What all tabs share: the studio's places, and a button that starts a job and says how it is."""

import asyncio
import dataclasses
import html
import itertools
import logging
import pathlib
import re
import shutil
import zipfile
from collections.abc import AsyncIterator, Callable, Sequence

import gradio as gr

from gan_jax.runtime import cli
from gan_jax.studio import jobs
from gan_jax.studio.jobs import Job, Jobs
from gan_jax.studio.shelf import Shelf

EVERY = 0.4  # seconds between looks at a job
PRIVATE = {"api_visibility": "private", "show_progress": "hidden"}
PICTURES = (".png", ".webp", ".gif", ".jpg")


@dataclasses.dataclass(eq=False)
class Studio:
    """Attributes:
    jobs: the line of commands.
    shelf: models, runs and persons.
    scratch: a folder for uploads and results, gone when the studio ends.
    mine: the last job that a browser tab asked a panel for, by (tab, panel).
    lists: (components, a function of their values to their updates) of what may change while the
        page is open, such as a list of runs.
    """

    jobs: Jobs
    shelf: Shelf
    scratch: pathlib.Path
    mine: dict[tuple[str, str], Job] = dataclasses.field(default_factory=dict)
    lists: list[tuple[list, Callable]] = dataclasses.field(default_factory=list)
    _lent: dict = dataclasses.field(default_factory=dict)
    _numbers: itertools.count = dataclasses.field(default_factory=lambda: itertools.count(1))

    def folder(self) -> pathlib.Path:
        """A new folder for a job."""
        place = self.scratch / "results" / f"{next(self._numbers):04d}"
        place.mkdir(parents=True)
        return place

    def lent(self, file: pathlib.Path) -> str:
        """A copy of a file where the page may show it, one for each of its states."""
        key = file, file.stat().st_mtime_ns
        if key not in self._lent:
            self._lent[key] = str(shutil.copyfile(file, self.folder() / file.name))
        return self._lent[key]

    def keeps(self, components: Sequence, fresh: Callable) -> None:
        """From now on components are brought up to date when the page, or their tab, is opened."""
        self.lists.append((list(components), fresh))

    def left(self, tab: str) -> None:
        """A browser tab was closed."""
        self.jobs.leave(tab)
        for key in [key for key in self.mine if key[0] == tab]:
            del self.mine[key]


Compose = Callable[..., Job]
"""(values of inputs) -> a job; raises ValueError with a sentence for the page."""
Show = Callable[[Job], Sequence]
"""A job -> values of outputs, as far as they are there."""


class Panel:
    """A button that starts a job, one that stops it, and a line that says how it goes.

    Args:
        name: of the panel, another for each.
        go: the button's text.
    """

    def __init__(self, studio: Studio, name: str, go: str):
        self.studio, self.name = studio, name
        with gr.Row(elem_classes="go"):
            self.go = gr.Button(go, variant="primary", elem_id=f"{name}-go", scale=3)
            self.stop = gr.Button("Stop", elem_id=f"{name}-stop", scale=1, min_width=90)
        self.status = gr.HTML(said("", ""), elem_id=f"{name}-status")
        self.stop.click(self._stop, None, None, queue=False, **PRIVATE)

    def does(
        self,
        compose: Compose,
        inputs: Sequence,
        show: Show,
        outputs: Sequence,
        while_running: Show | None = None,
        button: gr.Button | None = None,
    ):
        """What the button does (or another `button`), and what is shown of it; returns the event,
        for what is to follow it.

        while_running: what is shown before the end.
        """

        async def run(request: gr.Request, *values) -> AsyncIterator:
            blank, key = [gr.skip()] * len(outputs), (request.session_hash or "", self.name)
            before = self.studio.mine.get(key)
            if before is not None and not before.over:
                yield [failed("One is at work here already: wait for it, or stop it."), *blank]
                return
            try:  # what takes time goes in a thread, so that other pages go on
                job = await asyncio.to_thread(compose, *values)
                job.owner = key[0]
                self.studio.mine[key] = self.studio.jobs.add(job)
            except (ValueError, OSError) as error:
                yield [failed(cli.in_words(error)), *blank]
                return
            last = text = None
            while not job.over:
                now, partly = self._progress(job), blank
                if while_running is not None and job.text != text:
                    partly = await asyncio.to_thread(tried, while_running, job) or blank
                if now != last:
                    yield [now, *partly]
                last, text = now, job.text
                await asyncio.sleep(EVERY)
            yield [ended(job), *(await asyncio.to_thread(tried, show, job) or blank)]

        pressed, changed = (button or self.go).click, [self.status, *outputs]
        return pressed(run, list(inputs), changed, concurrency_limit=None, **PRIVATE)

    def _stop(self, request: gr.Request) -> None:
        job = self.studio.mine.get((request.session_hash or "", self.name))
        if job is not None:
            self.studio.jobs.stop(job)

    def _progress(self, job: Job) -> str:
        before = self.studio.jobs.before(job)
        if job.state == jobs.WAITING and before:
            text = f"Waiting: {before} job{'s' if before > 1 else ''} before this one"
            return said(text, "busy")
        if job.stop:
            return said("Stopping", "busy")
        return said(job.text or "Starting", "busy", clock(job.seconds), share(job.text))


def tried(show: Show, job: Job) -> Sequence | None:
    """What is shown of a job; None where it can't be, which a log tells: how the job ended is said
    in any case."""
    try:
        return show(job)
    except (ValueError, OSError) as error:
        logging.warning("%s: its results can't be shown: %s", job.title, error)
        return None


def said(text: str, kind: str, note: str = "", part: tuple[int, int] | None = None) -> str:
    """A line of how a job goes, as HTML. part: (done, of how many)."""
    if not text:
        return '<div class="said" role="status"></div>'
    bar = f'<progress value="{part[0]}" max="{part[1]}"></progress>' if part else ""
    note = f'<span class="note">{html.escape(note)}</span>' if note else ""
    role = "alert" if kind == "failed" else "status"
    return f'<div class="said {kind}" role="{role}">{html.escape(text)} {note}{bar}</div>'


def failed(text: str) -> str:
    return said(text or "It failed, and said nothing.", "failed")


def ended(job: Job) -> str:
    """How a job ended, with the command that does the same."""
    told = [*job.notes, *(line for line in job.printed if line.startswith("set aside"))]
    notes = "".join(f"<li>{html.escape(line)}</li>" for line in told)
    if job.state == jobs.FAILED:
        return failed(job.text) + f"<ul>{notes}</ul>"
    text = job.text if job.state == jobs.STOPPED else f"Done in {clock(job.seconds)}"
    same = f"<details><summary>The same by command</summary><code>{html.escape(job.command)}</code>"
    return said(text, "done") + f"<ul>{notes}</ul>{same}</details>"


def clock(seconds: float) -> str:
    """12 s, or 3 min 5 s."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def share(text: str) -> tuple[int, int] | None:
    """(3, 12) of a line with 3/12 in it, or with 25%."""
    found = re.search(r"(\d+)\s*/\s*(\d+)", text)
    if found and 0 < int(found[2]) >= int(found[1]):
        return int(found[1]), int(found[2])
    percent = re.search(r"(\d+)\s*%", text)
    return (int(percent[1]), 100) if percent else None


def pictures_in(folder: pathlib.Path) -> list[str]:
    """The pictures of a folder, without those below it, in order."""
    if not folder.is_dir():
        return []
    return [str(x) for x in sorted(folder.iterdir()) if x.suffix in PICTURES]


def clips_in(folder: pathlib.Path) -> list[str]:
    """The videos of a folder."""
    return [str(x) for x in sorted(folder.glob("*.mp4"))]


def packed(folder: pathlib.Path, name: str) -> str | None:
    """A ZIP file of all files in a folder, beside it; None where there are none."""
    found = [x for x in sorted(folder.rglob("*")) if x.is_file()]
    if not found:
        return None
    place = folder.parent / f"{name}.zip"
    with zipfile.ZipFile(place, "w", zipfile.ZIP_STORED) as archive:
        for file in found:
            archive.write(file, file.relative_to(folder))
    return str(place)


def first(files: Sequence[str]) -> str | None:
    return files[0] if files else None


def file_of(path: str | None):
    """A component's update: a file to take home; hidden where there is none."""
    return gr.update(value=path, visible=path is not None)


def chosen(choices: Sequence, value):
    """A dropdown's update: its choices, or (label, value) of each; the value stays if it can."""
    values = [each[1] if type(each) is tuple else each for each in choices]
    return gr.update(choices=choices, value=value if value in values else first(values))
