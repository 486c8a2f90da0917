"""Checkpoint -> files for inference: gan-jax export runs/avatars --out exported.

stablehlo are programs for JAX on any device, safetensors bare weights, onnx one file that takes and
gives pictures, for any language, web a page that runs in a browser, without a server.
"""

import pathlib

from gan_jax.runtime import cli

FORMATS = ("stablehlo", "safetensors", "onnx", "web")


def main(argv: list[str] | None = None) -> None:
    flags = parse(argv)

    from gan_jax.inference import export, exportable

    sampler = exportable.load(flags.checkpoint, flags.trust_code)
    formats = flags.format or export.FORMATS
    if set(formats) & set(export.FORMATS):
        for name, difference in export.export(sampler, flags.out, formats).items():
            print(f"{flags.out / name}: max difference {difference:.3g}")
    name = pathlib.Path(flags.checkpoint).name
    if "onnx" in formats:
        for file, difference in onnx().save_onnx(sampler, flags.out, name).items():
            print(f"{flags.out / file}: max difference {difference:g} of 255")
    if "web" in formats:
        onnx()
        from gan_jax.inference import web

        place, difference = web.save(sampler, flags.out, name, flags.runtime)
        size = sum(file.stat().st_size for file in place.iterdir())
        print(f"{place}: {size / 1e6:.1f} MB, max difference {difference:g} of 255")
        print(f"look at it: python -m http.server --directory {place}")


def onnx():
    """The module that writes ONNX. Raises ValueError where its packages are missing."""
    try:
        from gan_jax.inference import export_onnx
    except ImportError as error:
        raise ValueError(
            f"--format: onnx and web need {error.name}: pip install 'gan_jax[onnx]'."
        ) from error
    return export_onnx


def parse(argv: list[str] | None):
    parser = cli.Parser(__doc__, "export")
    add = parser.add_argument
    add(
        "checkpoint",
        help="a run's workdir (its newest valid checkpoint), one step's folder, or what `gan-jax"
        " models` lists; also photo, drawing, fast and other networks that `gan-jax restore` and"
        " `gan-jax inpaint` take",
    )
    add("--out", required=True, type=pathlib.Path, help="folder to write to")
    add(
        "--format",
        action="append",
        default=[],
        choices=FORMATS,
        help="may be repeated (default: stablehlo and safetensors)",
    )
    add(
        "--runtime",
        type=pathlib.Path,
        metavar="TGZ",
        help="of web: the file that `npm pack onnxruntime-web` makes (default: npm is run)",
    )
    cli.trusts_code(parser)
    return parser.parse_args(argv)
