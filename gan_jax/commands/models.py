"""The trained models that come with gan_jax: gan-jax models; one's page: gan-jax models NAME.

Wherever a run's folder is taken to draw or to restyle, a model's name is taken too:
gan-jax stylize NAME photo.jpg --out styled.
"""

from gan_jax.runtime import cli, registry

WIDTH = 100  # columns


def main(argv: list[str] | None = None) -> None:
    parser = cli.Parser(__doc__, "models")
    parser.add_argument("name", nargs="?", metavar="NAME", help="print its page")
    flags = parser.parse_args(argv)

    from gan_jax.checkpoint import shared

    known = {name: shared.ZOO / name for name in shared.names()}
    if flags.name is not None:
        if not known:
            raise ValueError(f"{flags.name}: no models come with this version.")
        folder = registry.choose(known, flags.name, "NAME")
        print((folder / shared.CARD).read_text("utf-8").rstrip())
        return
    if not known:
        print("no models come with this version")
    for name, folder in known.items():
        size = (folder / shared.WEIGHTS).stat().st_size / 1e6
        print(f"{name}  {size:.1f} MB  {sentence((folder / shared.CARD).read_text('utf-8'))}")


def sentence(page: str) -> str:
    """The first line of a page below its title."""
    return next((x for x in page.splitlines()[1:] if x and not x.startswith("#")), "")[:WIDTH]
