"""Checkpoint -> files for inference: python tools/export.py runs/avatars --out exported."""

import json
import pathlib

from gan_jax.runtime import cli


def main() -> None:
    parser = cli.Parser(__doc__)
    parser.add_argument(
        "checkpoint", help="a run's workdir (its newest valid checkpoint) or one step's folder"
    )
    parser.add_argument("--out", required=True, type=pathlib.Path, help="folder to write to")
    cli.trusts_code(parser)
    flags = parser.parse_args()

    from gan_jax.algorithms.base import Translator
    from gan_jax.inference import export
    from gan_jax.runtime.files import replace_text

    sampler = export.load(flags.checkpoint, trusted=flags.trust_code)
    translates = isinstance(sampler.game, Translator)
    flags.out.mkdir(parents=True, exist_ok=True)
    export.save_safetensors(sampler, flags.out / "params.safetensors")
    export.save_orbax(sampler, flags.out / "params")
    if translates:
        export.save_translator(sampler, flags.out)
    else:
        export.save_stablehlo(sampler, flags.out / "sampler.stablehlo")
    about = {
        "checkpoint": str(sampler.step),
        "images": {"shape": ["b", *sampler.shape], "range": [-1, 1]},
        "z": list(sampler.game.latent(export.jax.random.key(0), 1).shape[1:]),
        "classes": sampler.classes,
        "platforms": export.PLATFORMS,
    } | ({"multiple": sampler.multiple} if translates else {})
    replace_text(flags.out / "about.json", json.dumps(about, indent=1) + "\n")
    for name, difference in export.round_trip(sampler, flags.out).items():
        print(f"{flags.out / name}: max difference {difference:.3g}")


if __name__ == "__main__":
    cli.tool(main)
