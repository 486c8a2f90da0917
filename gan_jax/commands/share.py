"""A run's generator as a small folder to pass on:
gan-jax share runs/mine --out my-model --card about.md.

It holds the averaged weights as float16, what rebuilds the generator, and a page (README.md) with
the words of --card: the data and its license, the command that trained it, its limits. Whoever gets
it uses it as a run: gan-jax stylize my-model photo.jpg --out styled.
"""

import pathlib

from gan_jax.runtime import cli


def main(argv: list[str] | None = None) -> None:
    parser = cli.Parser(__doc__, "share")
    add = parser.add_argument
    add("checkpoint", help="a run's workdir (its newest valid checkpoint) or one step's folder")
    add("--out", required=True, type=pathlib.Path, help="folder to write; its name is the model's")
    add(
        "--card", type=pathlib.Path, metavar="FILE", help="Markdown: data, license, command, limits"
    )
    add(
        "--critic",
        action="store_true",
        help="the critic too, so that a run on other pictures can start from it (config.init_from)",
    )
    add(
        "--over",
        metavar="MODEL",
        help="write only what differs from this shared model, which a remodulation has left as it"
        " was: a name of gan-jax models, or a folder beside --out",
    )
    cli.trusts_code(parser)
    flags = parser.parse_args(argv)
    if flags.card is not None and not flags.card.is_file():
        raise ValueError(f"--card={flags.card}: no such file.")
    try:
        words = flags.card.read_text("utf-8") if flags.card else None
    except UnicodeDecodeError as error:
        raise ValueError(f"--card={flags.card}: it is no text in UTF-8.") from error

    from gan_jax.inference import loading, share

    sampler = loading.load_sampler(flags.checkpoint, trusted=flags.trust_code)
    made = share.share(sampler, flags.out, words, critic=flags.critic, over=flags.over)
    print(
        f"{flags.out}: {made['bytes'] / 1e6:.2f} MB; its pictures differ from the run's by at most"
        f" {made['rounding']} of 255"
    )
    if words is None:
        print("without --card its page says nothing of the data, the license and the limits")
