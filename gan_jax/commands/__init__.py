"""The command `gan-jax`: a module a command, each with `main(argv)`, which returns an exit status
or None. The files of tools/ are the same commands in a checkout."""

import functools
import sys

import gan_jax
from gan_jax.runtime import cli, registry

COMMANDS = {
    "studio": "a page in the browser for all of it, without typing commands",
    "train": "train a GAN, or go on with a run",
    "configs": "list the configs that come with the package",
    "describe": "list a config's settings and networks, with what each means",
    "sample": "draw pictures from a run",
    "interpolate": "walk from picture to picture, as a video",
    "stylize": "put a picture, a folder or a video into a style",
    "restore": "make pictures and videos larger and cleaner",
    "inpaint": "fill holes in pictures and videos",
    "avatar": "draw a person on a photograph in ten drawing styles",
    "personalize": "turn pictures of one person into a generator of that person",
    "look": "teach a base the look of one drawing, or of a few",
    "encoder": "train a network that reads a base's styles off pictures in one pass",
    "stickers": "draw a pack of stickers of a person",
    "ideas": "draw ideas for a person, such as other clothes, by what you like",
    "direction": "find a direction of change from examples with and without it",
    "forget": "remove a person, and all that was made of it",
    "evaluate": "measure any folder of pictures against any other",
    "sweep": "train a config with several settings and seeds, and compare them",
    "compare": "train several configs for the same time, and compare what they draw",
    "report": "put runs side by side on one HTML page",
    "curves": "plot a metric of several runs over training time",
    "convert": "turn other people's weights into a run",
    "share": "write a run's generator as a small folder to pass on",
    "models": "list the trained models that come with the package",
    "prepare": "turn pictures into a data set",
    "export": "write files for inference elsewhere: safetensors, orbax, StableHLO",
    "serve": "answer HTTP requests with a trained model",
    "bench": "measure the speed and memory of a config's training",
}
"""Each with a sentence, in the order of the help."""


def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns its exit status, or exits with it."""
    argv = sys.argv[1:] if argv is None else argv
    name, *rest = argv or ["--help"]
    if name in ("-h", "--help", "help"):
        print(overview())
    elif name == "--version":
        print(gan_jax.__version__)
    else:
        cli.tool(functools.partial(_run, name, rest))
    return 0


def _run(name: str, argv: list[str]) -> int | None:
    if name not in COMMANDS:
        raise ValueError(f"no command {name!r}. {registry.suggest(name, COMMANDS)}")
    return registry.by_name("commands", name, "gan-jax", "main").main(argv)


def overview() -> str:
    """The list of commands."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {about}" for name, about in COMMANDS.items()]
    head = "usage: gan-jax COMMAND ...\n\nGANs on JAX: train, sample, stylize, evaluate.\n"
    tail = "\ngan-jax COMMAND --help lists a command's flags; gan-jax --version the version."
    return "\n".join([head, *lines, tail])
