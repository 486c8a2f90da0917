"""What the studio has to offer: trained models, the user's runs, and persons."""

import datetime
import pathlib
from collections.abc import Iterable
from typing import NamedTuple

from gan_jax import checkpoint
from gan_jax.algorithms import make_game
from gan_jax.checkpoint import shared, steps_in
from gan_jax.config import Config, current
from gan_jax.inference import restore
from gan_jax.personalize import person
from gan_jax.runtime import files, registry

RUNS, PERSONS, MADE = "runs", "persons", "made"  # folders of the studio's folder
THUMBNAIL = "look"  # of a model in the zoo: look.webp, or look_CLASS.webp of each of its classes
ENLARGERS = {
    "photo": "photographs, Real-ESRGAN",
    "drawing": "drawings, Real-ESRGAN",
    "fast": "drawings and clips, quickly, Real-ESRGAN",
}


class Model(NamedTuple):
    """A generator that can be used.

    Attributes:
        name: of the zoo, or of a run's folder.
        label: for people: of a run with its date.
        path: what a command takes.
        command: which uses it, a Game.command.
        classes: names of its styles or classes.
        picture: an example of what it makes; None: there is none.
        styled: whether its styles can be mixed, and moved along directions.
        reads: whether a style can be taken from a picture.
    """

    name: str
    label: str
    path: str
    command: str
    classes: tuple[str, ...]
    picture: pathlib.Path | None
    styled: bool
    reads: bool


class Look(NamedTuple):
    """A style that a translator gives.

    Attributes:
        label: for people.
        model: that gives it.
        style: its class; "" where the model has one style.
        picture: an example; None: there is none.
    """

    label: str
    model: Model
    style: str
    picture: pathlib.Path | None


class Shelf:
    """What lies in a folder of the studio's user, and in the package.

    Args:
        folder: with runs/, persons/ and made/.
    """

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.runs, self.persons, self.made = (folder / name for name in (RUNS, PERSONS, MADE))

    def models(self, command: str) -> list[Model]:
        """All that a command uses: the package's first, then runs, the newest first."""
        zoo = [_model(name, name, shared.ZOO / name, name) for name in shared.names()]
        return [each for each in [*zoo, *self._own()] if each and each.command == command]

    def model(self, command: str, path: str | None) -> Model:
        """The one of a path. Raises ValueError where there is none, any more."""
        for each in self.models(command):
            if each.path == path:
                return each
        raise ValueError("Choose a model first: the one that was chosen is not there any more.")

    def choices(self, command: str) -> list[tuple[str, str]]:
        """(label, path) of all that a command uses."""
        return [(each.label, each.path) for each in self.models(command)]

    def _own(self) -> Iterable[Model | None]:
        """The user's runs and shared models that can be used."""
        for folder in self.run_folders():
            date = datetime.datetime.fromtimestamp(folder.stat().st_mtime)
            label = f"{folder.name} ({date:%d %b %Y, %H:%M})"
            yield _model(folder.name, label, folder, str(folder))

    def run_folders(self) -> list[pathlib.Path]:
        """Folders of runs, the newest first."""
        if not self.runs.is_dir():
            return []
        marks = ("config.json", "checkpoints", shared.ABOUT)
        found = [x for x in self.runs.iterdir() if any((x / mark).exists() for mark in marks)]
        return sorted(found, key=lambda x: x.stat().st_mtime, reverse=True)

    def looks(self) -> dict[str, Look]:
        """The styles of translators by their labels, those with one style first."""
        models = sorted(self.models("stylize"), key=lambda x: len(x.classes) > 1)
        found = [
            Look(
                f"{style} ({model.label})" if style else model.label.removeprefix("cartoon-"),
                model,
                style,
                _thumbnail(model, style) or model.picture,
            )
            for model in models
            for style in (model.classes or ("",))
        ]
        return {look.label: look for look in found}

    def enlargers(self) -> list[tuple[str, str]]:
        """What enlarges, (for people, what `gan-jax restore --model` takes)."""
        there = files.in_package(restore.PACKAGE, f"{restore.MODELS['photo'][0]}.param")
        own = [(f"{name} ({about})", name) for name, about in ENLARGERS.items()] if there else []
        return own + self.choices("restore")

    def people(self) -> list[str]:
        """Names of the persons that were learned."""
        if not self.persons.is_dir():
            return []
        return sorted(x.name for x in self.persons.iterdir() if person.is_person(x))


def _model(name: str, label: str, folder: pathlib.Path, path: str) -> Model | None:
    """What a folder holds; None where it can't be used from here: a run without a checkpoint, a
    game or network from outside gan_jax, another version's settings."""
    try:
        steps = [folder] if shared.is_shared(folder) else steps_in(folder / "checkpoints")
        meta = checkpoint.read_meta(steps[0])
        config = registry.build(Config, current(meta["config"]), f"{folder}: config")
        registry.check_trusted(
            {"algorithm": config.algorithm, "model": config.model}, (), str(folder)
        )
        classes = tuple(map(registry.normal, meta["classes"]))
        game = make_game(config, tuple(meta["shape"]), len(classes))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    classes = classes if game.labeled or not game.translates else ()
    sides = game.mixes_styles, game.reads_styles
    return Model(name, label, path, game.command, classes, _sample(folder), *sides)


def _sample(folder: pathlib.Path) -> pathlib.Path | None:
    """An example of what a model makes: the zoo's, or a run's last grid."""
    own = folder / f"{THUMBNAIL}.webp"
    grids = sorted((folder / "samples").glob("*.png"), key=lambda x: x.stat().st_mtime)
    return own if own.is_file() else (grids[-1] if grids else None)


def _thumbnail(model: Model, style: str) -> pathlib.Path | None:
    found = shared.ZOO / model.path / f"{THUMBNAIL}_{style}.webp"
    return found if style and found.is_file() else None
