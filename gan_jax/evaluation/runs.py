"""A checkpoint of a run, measured on its own."""

import dataclasses
import json
import pathlib
from collections.abc import Sequence

import jax

from gan_jax import checkpoint, recipe
from gan_jax.algorithms import check_partner
from gan_jax.config import Config, differences
from gan_jax.data.source import Source, open_source
from gan_jax.distributed import agreement
from gan_jax.evaluation import checks, measures, record
from gan_jax.evaluation.evaluator import Evaluator, other_classes
from gan_jax.evaluation.protocol import Protocol
from gan_jax.inference import loading
from gan_jax.inference.sampler import Sampler
from gan_jax.runtime import registry
from gan_jax.runtime.files import append_line
from gan_jax.runtime.text import shown


def run(
    config: Config,
    workdir: pathlib.Path,
    path: str | None = None,
    metrics: Sequence[str] | None = None,
    overrides: Sequence[str] = (),
) -> dict:
    """Measures a checkpoint, prints the numbers and adds the record to the workdir's
    `evaluations.jsonl`.

    Args:
        config: its `data` and `eval`; the networks are the checkpoint's own, and where the config
            has others, that is logged.
        path: of a checkpoint; None: the newest valid one in the workdir.
        metrics: names of measures; None: all for which there is enough; what is left out is logged.
        overrides: of those in `config` the ones that were given on the command line, as
            loading.load_sampler takes them.
    """
    registry.build(Protocol, _settings(config, metrics or ()), "config.eval")
    sampler = loading.load_sampler(
        path or workdir, trusted=(config.algorithm, config.model), overrides=overrides
    )
    meta = checkpoint.read_meta(sampler.step)
    config = recipe.as_decided(config, meta["config"])
    for line in _drawn_otherwise(config, meta["config"], sampler.changed):
        _log(f"the checkpoint draws as it was trained, not as the config has it now: {line}")
    wanted = metrics or _fitting(config, sampler.game)
    protocol = registry.build(Protocol, _settings(config, wanted), "config.eval")
    checks.check(protocol, config.data, sampler.game, lenient=not metrics)
    workdir.mkdir(parents=True, exist_ok=True)
    source = _opened(config, sampler)
    trained = meta.get("data", {}).get("fingerprint") == source.fingerprint
    evaluator = Evaluator(
        protocol, config.data, source, sampler.game, _log, trained=trained, lenient=not metrics
    )
    _log(f"the generator of {sampler.step}")
    step = checkpoint.step_of(sampler.step)
    found = evaluator(sampler.ema, step=step, images=step * sampler.batch, folder=workdir)
    if sampler.changed:
        found["protocol"]["redrawn"] = dict(sampler.changed)
    if jax.process_index() == 0:
        for line in record.lines(found):
            _log(line)
        append_line(workdir / "evaluations.jsonl", found)
        _log(f"by the protocol that stands beside them in {workdir / 'evaluations.jsonl'}")
    return found


def _log(text: str) -> None:
    if jax.process_index() == 0:
        print(shown(text), flush=True)


def _settings(config: Config, metrics: Sequence[str]) -> dict:
    """config.eval with these metrics, if any."""
    return dict(config.eval) | ({"metrics": tuple(metrics)} if metrics else {})


def _fitting(config: Config, game) -> list[str]:
    """All measures that are of this kind of game, and the config's own."""
    known = [
        name
        for name, measure in measures.known().items()
        if game.translates or not measure.needs.translator
    ]
    return known + [name for name in config.eval.get("metrics", ()) if "." in name]


def _drawn_otherwise(config: Config, saved: dict, redrawn: dict) -> list[str]:
    """What the config has otherwise than the checkpoint, and is not drawn with here:
    'config.g.flat: 2 -> None'."""
    saved = registry.defaults(Config) | saved  # it may be older than a setting
    now = json.loads(json.dumps(dataclasses.asdict(config)))
    old, new = ({name: settings[name] for name in loading.GAME} for settings in (saved, now))
    lines = differences(old, new)
    return [x for x in lines if x.partition(":")[0].removeprefix("config.") not in redrawn]


def _opened(config: Config, sampler: Sampler) -> Source:
    """config.data. Raises ValueError where its pictures are not such as the sampler draws."""
    source = open_source(config.data)
    agreement.agree({"the fingerprint of config.data": source.fingerprint})
    for note in source.notes:
        _log(note)
    if source.shape != sampler.shape or tuple(source.classes) != sampler.classes:
        raise ValueError(
            f"config.data: pictures are {list(source.shape)} in {len(source.classes)} classes, but"
            f" {sampler.step} draws {list(sampler.shape)} in {len(sampler.classes)}. Give the"
            f" config the run was made with.{other_classes(sampler.classes, source.classes)}"
        )
    check_partner(config, sampler.game, source)
    return source
