"""Figures of personalization on a base: python tools/measure_personalization.py --base runs/base.

Samples of the base and held-out portraits, inverted and tuned; and one drawn person, made from 5 to
50 pictures. One JSON object is written to --out.
"""

import json
import pathlib

from gan_jax.runtime import cli
from gan_jax.runtime.files import replace_text


def main(argv: list[str] | None = None) -> None:
    parser = cli.Parser(__doc__)
    add = parser.add_argument
    add("--base", required=True, help="a run's workdir, or a name of gan-jax models")
    add("--out", required=True, type=pathlib.Path, help="JSON file to write")
    add("--count", type=int, default=100, help="samples and portraits each (default %(default)s)")
    add("--tuned", type=int, default=10, help="portraits that are tuned (default %(default)s)")
    add("--steps", type=int, default=200, help="of the inversion (default %(default)s)")
    add("--rounds", type=int, default=100, help="of the tuning (default %(default)s)")
    add(
        "--people",
        default="5,10,20,50",
        help="pictures of the person, by comma (default %(default)s)",
    )
    flags = parser.parse_args(argv)

    from gan_jax.evaluation import personalization
    from gan_jax.inference import loading
    from gan_jax.personalize.base import Base

    base = Base(loading.load_sampler(flags.base, command="sample"))
    values = {"base": str(base.sampler.step), "sha256": base.sha256}
    values["samples"] = personalization.of_samples(base, flags.count, flags.steps)
    print(values["samples"])
    sizes = flags.count, flags.steps, flags.rounds
    values["held_out"] = personalization.of_held_out(base, *sizes, (0.0, 0.1), flags.tuned)
    print(values["held_out"])
    counts = [int(n) for n in flags.people.split(",")]
    how = {"steps": flags.steps, "rounds": flags.rounds}
    values["person"] = personalization.of_person(base, counts, **how)
    replace_text(flags.out, json.dumps(values, indent=1) + "\n")


if __name__ == "__main__":
    cli.tool(main)
