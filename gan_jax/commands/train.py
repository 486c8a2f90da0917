"""Trains: gan-jax train --config avatars --workdir runs/avatars. The same command again resumes.

With --mode eval it measures what the run has made so far.
"""

import argparse
import dataclasses
import functools
import logging
import pathlib
import sys
import traceback

from gan_jax.runtime import cli, xla_flags
from gan_jax.runtime import workdir as workdirs
from gan_jax.runtime.files import replace_text
from gan_jax.runtime.signals import Signals, Stopped
from gan_jax.runtime.text import shown

EXPECTED = (ValueError, OSError, FloatingPointError, RuntimeError)  # JAX's own are RuntimeErrors


def parse(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """(flags, overrides): `--config.game.penalty=r1` or `--config.game.penalty r1` ->
    "game.penalty=r1"."""
    overrides, rest = [], []
    words = iter(argv)
    for word in words:
        if word.startswith("--config.") and word != "--config.help":
            text = word.removeprefix("--config.")
            overrides.append(text if "=" in text else f"{text}={next(words, '')}")
        else:
            rest.append(word)
    return _parser("--config.help" in rest).parse_args(rest), overrides


def _parser(describes: bool) -> argparse.ArgumentParser:
    """describes: whether settings are listed only, which needs no workdir."""
    parser = argparse.ArgumentParser(
        prog="gan-jax train",
        description=(
            "Trains a GAN. Running the same command again resumes from the newest checkpoint in"
            " --workdir. --mode eval measures that checkpoint instead, by every metric for which"
            " there is enough. `python -m gan_jax.main` is the same command."
        ),
        epilog=(
            "Any setting: --config.NAME=VALUE, --config.game.penalty=r1, --config.opt_g.lr=1e-4;"
            " --config.help lists them all, with what each means. The config file is Python and"
            " runs as code: use only files you trust."
        ),
        allow_abbrev=False,
    )
    cli.check_values(parser)
    add = parser.add_argument
    add(
        "--config",
        required=True,
        metavar="NAME[:ARG]",
        help="one of `gan-jax configs`, as avatars, or a file, as configs/avatars.py; :smoke runs"
        " any in seconds",
    )
    add("--config.help", dest="describe", action="store_true", help="list the settings, and end")
    add("--workdir", required=not describes, help="where checkpoints, samples and logs go")
    add(
        "--restart",
        action="store_true",
        help="train: begin at step 0; what is in --workdir is moved to WORKDIR/earlier-1, -2, ...",
    )
    add("--mode", choices=("train", "eval"), default="train", help="default: %(default)s")
    add(
        "--checkpoint",
        metavar="PATH",
        help="eval: another one, as WORKDIR/best (default: the newest in --workdir)",
    )
    add("--metrics", metavar="A,B", help="eval: only these, as in kid,memorisation (default: all)")
    place = "several processes: process 0's address, if JAX can't find it itself"
    add("--coordinator", metavar="HOST:PORT", help=place)
    add("--num_processes", type=int, help="several processes: how many")
    add("--process_id", type=int, help="several processes: which one this is, from 0")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status: 0 finished; 1 an error, printed in one line; 128 + its number: a
    signal stopped it.

    What a signal stopped in training is saved: whatever starts jobs may start it again.
    """
    with Signals() as signals:
        return _main(sys.argv[1:] if argv is None else argv, signals)


def _main(argv: list[str], signals: Signals) -> int:
    workdir = None
    try:
        flags, overrides = parse(argv)
        xla_flags.prepare()
        cli.print_any_text()
        cli.find_modules_here()
        logging.basicConfig(format="%(message)s")
        logging.getLogger("gan_jax").setLevel(logging.INFO)
        workdir = workdirs.of(flags.workdir) if flags.workdir else None
        from gan_jax import config

        signals.check()
        settings = config.load(flags.config, overrides)
        if flags.describe:
            from gan_jax.commands import describe

            print(describe.describe(settings))
            return 0
        signals.check()
        if flags.mode == "train" and (flags.checkpoint or flags.metrics):
            raise ValueError("--checkpoint and --metrics go with --mode eval.")
        if flags.mode == "eval" and flags.restart:
            raise ValueError("--restart goes with --mode train.")
        _run(flags, settings, overrides, workdir, signals)
    except (*EXPECTED, KeyboardInterrupt) as error:
        return _report(error, workdir)
    return 0


def _run(flags, settings, overrides: list[str], workdir: pathlib.Path, signals: Signals) -> None:
    """Trains or evaluates, on all processes together."""
    from gan_jax import evaluation, training
    from gan_jax.distributed import agreement, cluster

    stopped = None
    place = (flags.coordinator, flags.num_processes, flags.process_id)
    limits = (settings.heartbeat_seconds, settings.join_seconds)
    with cluster.joined(*place, *limits, functools.partial(_report, workdir=workdir)):
        given = {
            "--mode": flags.mode,
            "--checkpoint": flags.checkpoint,
            "--metrics": flags.metrics,
            "--workdir": str(workdir.absolute()),
            "--num_processes": flags.num_processes,
            "--restart": flags.restart,
        }
        facts = {"config": dataclasses.asdict(settings)}
        agreement.agree(given | facts | agreement.software())
        signals.check()
        if flags.mode == "eval":
            metrics = flags.metrics and flags.metrics.split(",")
            evaluation.run(settings, workdir, flags.checkpoint, metrics, overrides)
            signals.check()
            return
        try:
            training.run(settings, workdir, restart=flags.restart, signals=signals)
        except Stopped as error:
            if not error.saved:
                raise
            stopped = error  # all processes stop together, as at the end
    if stopped:
        raise stopped


def _report(error: BaseException, workdir: pathlib.Path | None) -> int:
    """Prints what ended the run; returns the exit status."""
    if isinstance(error, Stopped):
        status = f"(exit status {error.status})"
        print(f"{error} {status}. Existing checkpoints are intact.", file=sys.stderr)
        return error.status
    if isinstance(error, EXPECTED):
        _explain(error, workdir)
    else:
        traceback.print_exception(error)
    return 1


def _explain(error: Exception, workdir: pathlib.Path | None) -> None:
    """The error in one line; its traceback goes to a file, if the run has a folder and no other run
    is using it.

    Nothing is written among other things, as pictures.
    """
    text = shown(cli.in_words(error).partition("\n")[0])
    # a full disk, met in the middle of a write
    if isinstance(error, OSError) and error.errno and not error.filename:
        text += f" (--workdir={workdir})"
    hint = " Out of memory: lower config.batch." if "RESOURCE_EXHAUSTED" in str(error) else ""
    print(f"error: {text}{hint}", file=sys.stderr)
    if workdir is None or not workdir.is_dir():
        return
    log = workdir / "error.log"
    try:
        if not workdirs.is_run(workdir) and any(workdir.iterdir()):
            return
        with workdirs.lock(workdir):
            replace_text(log, "".join(traceback.format_exception(error)), "backslashreplace")
    except OSError as unwritable:
        print(f"(the traceback can't be written: {unwritable})", file=sys.stderr)
    except workdirs.InUse:
        pass  # it is the other run's folder
    else:
        print(f"(traceback: {log})", file=sys.stderr)
