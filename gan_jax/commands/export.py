"""Checkpoint -> files for inference: gan-jax export runs/avatars --out exported."""

import pathlib

from gan_jax.runtime import cli


def main(argv: list[str] | None = None) -> None:
    parser = cli.Parser(__doc__, "export")
    parser.add_argument(
        "checkpoint", help="a run's workdir (its newest valid checkpoint) or one step's folder"
    )
    parser.add_argument("--out", required=True, type=pathlib.Path, help="folder to write to")
    cli.trusts_code(parser)
    flags = parser.parse_args(argv)

    from gan_jax.inference import export, loading

    sampler = loading.load_sampler(flags.checkpoint, trusted=flags.trust_code)
    for name, difference in export.export(sampler, flags.out).items():
        print(f"{flags.out / name}: max difference {difference:.3g}")
