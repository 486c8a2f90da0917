"""Avatar and stickers: a person on one picture in ten drawing styles; a person learned from a few
pictures, and packs of stickers and ideas for clothes of that person."""

import json
import pathlib
import shutil

import gradio as gr

from gan_jax.personalize import ideas, person
from gan_jax.runtime.text import file_name, shown
from gan_jax.studio import parts, uploads
from gan_jax.studio.jobs import DONE, Job
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

SIDES = ("128", "256", "512")
EFFORT = {"quick": (60, 20), "good": (200, 100), "thorough": (400, 200)}
"""Steps of the inversion, and rounds of the tuning."""
BASE_SIZE = "64 x 64 pixels, in flat colors"


def build(studio: Studio) -> None:
    with gr.Tabs():
        with gr.Tab("From one picture", id="one"):
            _one(studio)
        with gr.Tab("Learn a person", id="learn"):
            learned = _learn(studio)
        with gr.Tab("Stickers", id="stickers") as stickers:
            who = _stickers(studio)
        with gr.Tab("Clothes and other ideas", id="ideas") as others:
            whose = _ideas(studio)
        with gr.Tab("Forget a person", id="forget") as forget:
            whom = _forget(studio)

    def known(*values):
        found = [chosen(studio.shelf.people(), value) for value in values]
        return found if len(found) > 1 else found[0]

    boxes = [who, whose, whom]
    studio.keeps(boxes, known)
    for tab, box in zip((stickers, others, forget), boxes, strict=True):
        tab.select(known, box, box, **PRIVATE)
    learned.then(known, boxes, boxes, **PRIVATE)


def _one(studio: Studio) -> None:
    model = studio.shelf.model("stylize", "ten-styles")
    with gr.Row():
        with gr.Column(min_width=320):
            file = gr.Image(
                label="A photograph or drawing of a person, face to the front",
                type="filepath",
                image_mode=None,
                sources=["upload", "webcam", "clipboard"],
                height=280,
                elem_id="avatar-file",
            )
            styles = gr.CheckboxGroup(
                list(model.classes),
                value=list(model.classes),
                label="Styles",
                elem_id="avatar-styles",
            )
            side = gr.Radio(SIDES, value="256", label="Pixels a side")
            seed = gr.Number(0, label="Seed", precision=0, minimum=0, info="other variants")
            panel = Panel(studio, "avatar", "Draw avatars")
        with gr.Column(min_width=320):
            results = parts.results("Avatars", "avatar-results")
            archive = parts.archive("All of them", "avatar-archive")

    def compose(path, styles, side, seed) -> Job:
        folder = studio.folder()
        inputs = uploads.taken([path], folder)
        if not styles:
            raise ValueError("Choose one style or more.")
        words = ["avatar", *map(str, inputs), "--out", str(folder / "out"), "--side", side]
        for style in styles if len(styles) < len(model.classes) else ():
            words += ["--style", style]
        return Job("avatars", words + (["--seed", str(int(seed))] if seed else []), folder)

    def show(job: Job):
        made = pictures_in(job.out / "out")
        named = [(path, pathlib.Path(path).stem.rpartition("_")[2]) for path in made]
        return [named, file_of(packed(job.out / "out", "avatars"))]

    panel.does(compose, [file, styles, side, seed], show, [results, archive])


def _learn(studio: Studio):
    with gr.Row():
        with gr.Column(min_width=320):
            files = parts.upload("5 to 50 drawings of one person's head", "learn-files")
            name = gr.Textbox(label="Name of the person", max_lines=1, elem_id="learn-name")
            effort = gr.Radio(
                list(EFFORT),
                value="good",
                label="Effort",
                info="on two CPU cores about 3, 10 and 20 minutes for 10 pictures",
                elem_id="learn-effort",
            )
            find = gr.Checkbox(
                label="Find the face on each picture", info="needs a detector of faces"
            )
            panel = Panel(studio, "learn", "Learn this person")
        with gr.Column(min_width=320):
            gr.Markdown(
                "The person is learned on the base *portraits*, which draws heads of"
                f" {BASE_SIZE}. Nothing leaves this machine. The files that a person was made of"
                " are listed with the person, and *Forget a person* removes all of it."
            )
            sheet = parts.shown(
                "Your pictures, as they are found, as they are learned", "learn-sheet"
            )
            samples = parts.shown("New pictures of the person", "learn-samples")

    def compose(given, name, effort, find) -> Job:
        folder, left = studio.folder(), []
        inputs = uploads.taken([each[0] for each in given or ()], folder, left_out=left)
        place = studio.shelf.persons / checked_name(name)
        if person.is_person(place) or studio.jobs.busy(place):
            raise ValueError(f"There is a person named {name}. Give another name, or forget it.")
        place.parent.mkdir(parents=True, exist_ok=True)
        steps, rounds = EFFORT[effort]
        words = ["personalize", *map(str, inputs), "--out", str(place), "--steps", str(steps)]
        words += ["--rounds", str(rounds), "--preview", str(folder / "now.png")]
        title = f"{name}: learning from {len(inputs)} pictures"
        words += ["--faces"] if find else []
        return Job(title, words, folder, lasting=True, notes=left)

    def place_of(job: Job) -> pathlib.Path:
        return pathlib.Path(job.words[job.words.index("--out") + 1])

    def now(job: Job):
        there = job.out / "now.png"
        return [str(there) if there.is_file() else gr.skip(), gr.skip()]

    def show(job: Job):
        if job.state != DONE:
            return [gr.skip(), gr.skip()]
        sheets = place_of(job) / "sheet"
        return [copy(sheets / part, job.out) or gr.skip() for part in person.SHEETS]

    return panel.does(compose, [files, name, effort, find], show, [sheet, samples], now)


def _people(studio: Studio, name: str) -> gr.Dropdown:
    people = studio.shelf.people()
    return gr.Dropdown(people, value=first(people), label="Person", elem_id=f"{name}-person")


def _stickers(studio: Studio) -> gr.Dropdown:
    with gr.Row():
        with gr.Column(min_width=320):
            who = _people(studio, "stickers")
            messenger = gr.Radio(["whatsapp", "telegram"], value="whatsapp", label="Messenger")
            count = gr.Slider(3, 30, 12, step=1, label="How many", elem_id="stickers-count")
            emoji = gr.Textbox("🙂", label="Emoji that stand for them, by comma, in turn")
            edit = gr.Textbox(
                label="Change all of them",
                placeholder="pca0=1,pca2=-0.5",
                info="directions: classes of the base, pca0 to pca9, sefa0 to sefa9",
            )
            loop = gr.Checkbox(label="Animated (WhatsApp)")
            outline = gr.Slider(0, 24, 8, step=1, label="White outline, in pixels")
            seed = gr.Number(0, label="Seed", precision=0, minimum=0, info="another choice")
            panel = Panel(studio, "stickers", "Make the pack")
        with gr.Column(min_width=320):
            results = parts.results("Stickers", "stickers-results")
            archive = parts.archive("The pack", "stickers-archive")

    def compose(who, messenger, count, emoji, edit, loop, outline, seed) -> Job:
        place = _chosen(studio, who)
        folder = studio.folder()
        out = studio.shelf.made / who / f"stickers-{messenger}"
        words = ["stickers", str(place), "--out", str(out), "--count", str(int(count))]
        words += ["--messenger", messenger, f"--emoji={emoji.strip() or '🙂'}"]
        words += ["--outline", str(int(outline)), "--seed", str(int(seed or 0))]
        words += [f"--edit={edit.strip()}"] if edit.strip() else []
        return Job(f"{who}: stickers", words + (["--loop"] if loop else []), folder)

    def show(job: Job):
        place = pathlib.Path(job.words[job.words.index("--out") + 1])
        if job.state != DONE:
            return [gr.skip(), gr.skip()]
        shutil.copytree(place, job.out / "pack", dirs_exist_ok=True)
        made = [x for x in pictures_in(job.out / "pack") if not x.endswith("tray.png")]
        name = f"{place.parent.name}-stickers"
        return [made, file_of(packed(job.out / "pack", name))]

    inputs = [who, messenger, count, emoji, edit, loop, outline, seed]
    panel.does(compose, inputs, show, [results, archive])
    return who


def _ideas(studio: Studio) -> gr.Dropdown:
    with gr.Row():
        with gr.Column(min_width=320):
            whose = _people(studio, "ideas")
            regions = {"clothes": "bottom", "eyes, glasses, mouth": "middle", "hair, hats": "top"}
            region = gr.Radio(list(regions), value="clothes", label="What may change")
            like = gr.CheckboxGroup([], label="You like", elem_id="ideas-like")
            dislike = gr.CheckboxGroup([], label="You don't like", elem_id="ideas-dislike")
            panel = Panel(studio, "ideas", "Show ideas")
            gr.Markdown(
                "The first ideas take some minutes. Say what you like, and press again: the next"
                " ones follow it."
            )
        with gr.Column(min_width=320):
            results = parts.results("Ideas, by number", "ideas-results")
            archive = parts.archive("All of them", "ideas-archive")

    def place_of(who, region) -> pathlib.Path:
        return studio.shelf.made / who / f"ideas-{regions[region]}"

    def compose(who, region, like, dislike) -> Job:
        place, folder = _chosen(studio, who), studio.folder()
        both = sorted(set(like) & set(dislike))
        if both:
            raise ValueError(f"Idea {both[0]} is in both lists: take it out of one.")
        out = place_of(who, region)
        words = [
            "ideas",
            str(place),
            "--out",
            str(out),
            "--region",
            regions[region],
            "--count",
            "8",
        ]
        begun = (out / ideas.STATE).is_file()
        words += ["--like", ",".join(like)] if like and begun else []
        words += ["--dislike", ",".join(dislike)] if dislike and begun else []
        return Job(f"{who}: ideas", words, folder)

    def show(job: Job):
        place = pathlib.Path(job.words[job.words.index("--out") + 1])
        if job.state != DONE:
            return [gr.skip()] * 4
        shutil.copytree(place, job.out / "ideas", dirs_exist_ok=True)
        made = [(x, pathlib.Path(x).stem) for x in pictures_in(job.out / "ideas")]
        state = json.loads((place / ideas.STATE).read_text("utf-8"))
        numbers = [name.lstrip("0") for _, name in made]
        boxes = [
            gr.update(choices=numbers, value=[str(n) for n in state[key]])
            for key in ("liked", "disliked")
        ]
        return [made[::-1], *boxes, file_of(packed(job.out / "ideas", "ideas"))]

    panel.does(compose, [whose, region, like, dislike], show, [results, like, dislike, archive])

    def another():
        return [[], gr.update(choices=[], value=[]), gr.update(choices=[], value=[])]

    for box in (whose, region):
        box.change(another, None, [results, like, dislike], **PRIVATE)
    return whose


def _forget(studio: Studio) -> gr.Dropdown:
    gr.Markdown(
        "Removes what was learned of a person, and all packs and ideas that were made here of the"
        " person. Your own pictures stay. It can't be undone."
    )
    whom = _people(studio, "forget")
    sure = gr.Checkbox(label="Yes, forget this person", elem_id="forget-sure")
    panel = Panel(studio, "forget", "Forget")

    def compose(who, sure) -> Job:
        place = _chosen(studio, who)
        if not sure:
            raise ValueError("Tick the box first: it can't be undone.")
        return Job(f"{who}: forgetting", ["forget", str(place)], studio.folder())

    def show(job: Job):
        people = studio.shelf.people()
        return [gr.update(choices=people, value=first(people)), False]

    panel.does(compose, [whom, sure], show, [whom, sure])
    return whom


def _chosen(studio: Studio, who: str | None) -> pathlib.Path:
    """A person's folder. Raises ValueError where none is chosen."""
    if not who or who not in studio.shelf.people():
        raise ValueError("No person is chosen. Learn one first, under Learn a person.")
    return studio.shelf.persons / who


def checked_name(name: str | None) -> str:
    """A person's or a run's name that can be a folder's.

    Raises:
        ValueError: none, or one with characters that folders can't have.
    """
    plain = (name or "").strip()
    if not plain:
        raise ValueError("Give a name.")
    if len(plain) > 60 or plain.startswith("-") or file_name(plain, "") != plain:
        raise ValueError(
            f"{shown(plain[:60])!r} can't be a name: use letters, digits and spaces, at most 60."
        )
    return plain


def copy(file: pathlib.Path, folder: pathlib.Path) -> str | None:
    """A file's copy among a job's results; None where it is not there."""
    if not file.is_file():
        return None
    return str(shutil.copyfile(file, folder / file.name))
