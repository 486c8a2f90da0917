"""What a run's settings are, and how a config file and the command line give them."""

import ast
import dataclasses
import importlib.util
import inspect
import json
import math
import os
import pathlib
import traceback
import types
from collections.abc import Callable, Mapping, Sequence

import ml_collections
import numpy as np

from gan_jax.data.pairs import NESTED, SIDES
from gan_jax.runtime import registry

Settings = Mapping[str, object]  # the keyword arguments of some callable
DTYPES = {
    "float32": "as accurate as the hardware is",
    "bfloat16": "half the memory and, on GPU and TPU, faster",
}

FORMER = ("augment_below",)  # settings of older runs, whose outcome stands in their others
LOCATIONS = ("path", "name", "data_dir")  # settings of config.data that say which data it is


@dataclasses.dataclass(frozen=True)
class Config:
    """A run's settings: the top level of a config file. Plain values; durations in thousands of
    images (kimg).

    Images are counted as the generator's: iterations x `batch`. A critic that takes n optimizer
    steps an iteration sees n times as many.
    """

    algorithm: str  # gan_jax/algorithms/<name>.py, or a dotted path of your own
    model: str  # gan_jax/models/<name>.py, or a dotted path: has Generator and Discriminator
    data: dict  # {"source": gan_jax/data/sources/<name>.py, ...: the arguments of its Source}
    batch: int  # images of an optimizer step, over all devices and processes
    total_kimg: float  # the run's length
    g: dict = dataclasses.field(default_factory=dict)  # arguments of the model's Generator
    # arguments of the model's Discriminator, or of the game's own critic
    d: dict = dataclasses.field(default_factory=dict)
    # {name: arguments}, of the model's further networks
    networks: dict = dataclasses.field(default_factory=dict)
    game: dict = dataclasses.field(default_factory=dict)  # arguments of the algorithm
    # {"name": a name in augment.AUGMENTS, ...}: what critics see
    augment: dict = dataclasses.field(default_factory=dict)
    # settings that the training pictures decide where they are not given, names in recipe.RULES
    from_data: tuple = ()
    conditional: bool | None = None  # whether the networks take labels; None: as the data has them
    # or "bfloat16": of activations; weights, logits, losses and penalties stay float32
    dtype: str = "float32"
    # parts of the batch, one after the other in each optimizer step, to save memory
    accumulate: int = 1
    opt_g: dict = dataclasses.field(default_factory=dict)  # arguments of optim.make, G's side
    opt_d: dict = dataclasses.field(default_factory=dict)  # arguments of optim.make, D's side
    ema_halflife_kimg: float = 10.0  # of the averaged generator, which sampling uses
    # half-life at most this share of the images seen so far; None: no ramp
    ema_rampup: float | None = 0.05
    # the half-life rises along half a cosine over so many; None: at once
    ema_rise_kimg: float | None = None
    seed: int = 0  # of initialization, noise and the order of the data
    parallel: str = "jit"  # or "pmap": how a step is compiled for several devices
    workers: int = 0  # processes that read images; 0: a thread of this one
    log_every_kimg: float = 1.0  # from a line of the log to the next
    sample_every_kimg: float = 20.0  # from a sample grid to the next
    save_every_kimg: float = 20.0  # from a checkpoint to the next
    # from an evaluation to the next; None: none while training
    eval_every_kimg: float | None = None
    eval: dict = dataclasses.field(default_factory=dict)  # arguments of protocol.Protocol
    keep: int = 3  # checkpoints kept, the newest
    grid_rows: int = 8  # pictures a class in the sample grid
    grid_cols: int = 8  # columns of the grid where there are no classes
    # workdir or checkpoint whose matching weights a new run starts from
    init_from: str | None = None
    init_class: str | None = None  # of its classes the one that all of this run's start as
    # experiment trackers, in reporting/trackers.py: "wandb", "mlflow", or both, "wandb,mlflow"
    trackers: tuple | str = ()
    # iterations that JAX's profiler records into WORKDIR/profile; None: none
    profile_steps: int | None = None
    # several processes: one silent for so long is gone, and ends the others
    heartbeat_seconds: int = 100
    join_seconds: int = 300  # several processes: how long each waits for the others at the start

    def __post_init__(self):
        for name in DURATIONS:
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(
                    f"config.{name}={value}: it must be above 0 (thousands of images)."
                )
        for name, least in LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"config.{name}={value}: it must be at least {least}.")
        registry.choose(DTYPES, self.dtype, "config.dtype")
        if self.ema_rampup is not None and not 0 < self.ema_rampup < math.inf:
            raise ValueError(
                f"config.ema_rampup={self.ema_rampup}: it must be above 0, or None for no ramp."
            )
        if self.init_class is not None and self.init_from is None:
            raise ValueError(
                f"config.init_class={self.init_class!r}: it is a class of config.init_from, which"
                " is not given."
            )
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"config.seed={self.seed}: it must be 0 to {2**32 - 1}.")

    @property
    def total_steps(self) -> int:
        """Iterations of the whole run."""
        return self.steps(self.total_kimg)

    def steps(self, kimg: float) -> int:
        """Iterations that make up so many thousand images, at least one."""
        return max(1, round(kimg * 1000 / self.batch))


DURATIONS = (
    "total_kimg", "ema_halflife_kimg", "ema_rise_kimg", "log_every_kimg", "sample_every_kimg",
    "save_every_kimg", "eval_every_kimg",
)  # fmt: skip
COUNTS = (
    "batch", "accumulate", "keep", "grid_rows", "grid_cols", "heartbeat_seconds", "join_seconds",
    "profile_steps",
)  # fmt: skip
LEAST = {"workers": 0} | dict.fromkeys(COUNTS, 1)


def load(spec: str, overrides: Sequence[str] = ()) -> Config:
    """Reads a config file, which is Python and runs as code, and applies overrides.

    Args:
        spec: a name of `named_configs`, as "avatars", or a file, as "configs/avatars.py"; with an
            argument for its get_config: "avatars:smoke", "configs/avatars.py:smoke".
        overrides: "game.penalty=r1", "data={'source': 'folder', 'path': 'photos'}": a dotted key
            and a Python value; what is no Python value is a string. Any setting can be given, also
            one that the file leaves at its default. With "smoke" among the arguments, data that the
            overrides or another argument name are used, shrunk, in place of the data that stand in
            for the config's own.
    Raises:
        ValueError: no such file, no get_config in it, an unknown setting or a wrong type.
    """
    return _load(spec, [_parsed(text) for text in overrides])


def _load(spec: str, overrides: Sequence[tuple[str, object]]) -> Config:
    """`load` with the overrides as keys and values."""
    path, arg = _file_and_argument(spec)
    get = _get_config(path)
    settings = get(arg or None)
    if "smoke" in arg.split(","):
        settings = _with_named_data(settings, get, arg, [key for key, _ in overrides])
    return _built(settings, overrides)


def _built(settings: dict, overrides: Sequence[tuple[str, object]]) -> Config:
    for key, value in overrides:
        _set(settings, key, value)
    built = registry.build(Config, settings, "config")
    _check_values(settings, "config")
    given = tuple(f"{key}." for key, _ in overrides)  # which the pictures don't decide
    left = tuple(name for name in built.from_data if not f"{name}.".startswith(given))
    return dataclasses.replace(built, from_data=left)


def resolve(config: "str | os.PathLike | Config", overrides: Mapping[str, object]) -> Config:
    """A config's name, its file or a Config, with overrides {"game.penalty": "r1"}. Raises
    ValueError as `load`."""
    given = list(_copied(overrides).items())
    if not isinstance(config, Config):
        return _load(os.fspath(config), given)
    return _built(_copied(dataclasses.asdict(config)), given)


def named_configs() -> dict[str, pathlib.Path]:
    """The configs that come with gan_jax, by name: of the installed package, or of a checkout."""
    package = pathlib.Path(__file__).parent
    for folder in (package / "configs", package.parent / "configs"):
        if folder.is_dir():
            return {file.stem: file for file in sorted(folder.glob("*.py"))}
    return {}


def _file_and_argument(spec: str) -> tuple[str, str]:
    """("configs/avatars.py", "smoke") of "configs/avatars.py:smoke", or of "avatars:smoke"."""
    name, _, arg = spec.partition(":")
    if not name.isidentifier():  # a file
        path, dot_py, arg = spec.partition(".py:")
        return path + dot_py.removesuffix(":"), arg
    files = named_configs()
    if name not in files:
        raise ValueError(
            f"--config={name}: no such config. Give a file (.py) or a name. "
            + registry.suggest(name, files)
        )
    return str(files[name]), arg


def parse_arg(arg: str | None, **defaults) -> types.SimpleNamespace:
    """A config file's argument -> values: "smoke" or "smoke,batch=32" against `smoke=False,
    batch=64`.

    Raises:
        ValueError: a name that `defaults` lacks, or a value of another type.
    """
    values = {"smoke": False, **defaults}
    for item in filter(None, (arg or "").split(",")):
        name, _, text = item.partition("=")
        old = registry.choose(values, name, "the config's argument")
        new = _value(text) if text else True
        if type(new) is not type(old):
            raise ValueError(
                f"the config's argument {item!r}: {name} must be {type(old).__name__}, as in"
                f" {name}={old}."
            )
        values[name] = new
    return types.SimpleNamespace(**values)


def as_json(config: Config) -> dict:
    """The config as JSON has it: what is written beside a run and compared."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def current(settings: Mapping) -> dict:
    """What a run recorded of its config, without settings that there are no more."""
    return {name: value for name, value in settings.items() if name not in FORMER}


def differences(old: Mapping, new: Mapping, prefix: str = "config") -> list[str]:
    """'config.opt_g.lr: 0.0002 -> 0.0001', a line for each setting that differs."""
    lines = []
    for key in sorted({*old, *new}):
        a, b = old.get(key), new.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            lines += differences(a, b, f"{prefix}.{key}")
        elif a != b:
            lines.append(f"{prefix}.{key}: {a!r} -> {b!r}")
    return lines


def _with_named_data(
    small: dict, get: Callable[[str | None], dict], arg: str, keys: Sequence[str]
) -> dict:
    """A smoke run's settings, in which data that the user names take the place of those that stand
    in for the config's own, only made smaller.

    small: the settings of `get(arg)`. keys: of the overrides. Data are named by an override
    (data.a.path=horses) or by an argument (photo=me.jpg): of two sides each for itself, of pairs
    both.
    """
    full = get(",".join(item for item in arg.split(",") if item != "smoke") or None)
    usual = get(None)
    data = [settings.get("data", {}) for settings in (small, full)]
    two_sides = all("a" in settings for settings in data)
    places = [f"data.{side}" for side in SIDES] if two_sides else ["data"]
    places = ["data.of"] if all("of" in settings for settings in data) else places
    named = [place for place in places if _is_named(place, small, full, usual, keys)]
    if named and full["data"].get("source") == "paired":
        named = places
    for place in named:
        parent, _, key = place.rpartition(".")
        found = dict(_at(full, place))
        if "resolution" in found and "resolution" in _at(small, place):
            found["resolution"] = _at(small, place)["resolution"]
        _at(small, parent)[key] = found
    old, new, default = (_at(x, "eval.held_out") for x in (small, full, usual))
    renamed = _located(new) != _located(default) or _below("eval.held_out", keys)
    if new and not old and renamed:
        small.setdefault("eval", {})["held_out"] = new
    return small


def _is_named(place: str, small: dict, full: dict, usual: dict, keys: Sequence[str]) -> bool:
    """Whether the user names the data at `place` ("data", "data.a"), for which others stand in.

    usual: the settings without any argument.
    keys: of the overrides; one that the stand-in doesn't take is meant for the config's own data.
    """
    old, new, default = (_at(settings, place) for settings in (small, full, usual))
    if old.get("source") == new.get("source"):
        return False
    stand_in = registry.by_name("data.sources", old["source"], "config.data.source", "Source")
    taken = inspect.signature(stand_in.Source).parameters
    own = _below(place, keys) + _below(place.replace("data", "eval.held_out", 1), keys)
    return _located(new) != _located(default) or any(
        key in LOCATIONS or key.partition(".")[0] not in taken for key in own
    )


def _at(settings: dict, place: str) -> dict:
    """The settings at a dotted place, "" for all; {} where there are none."""
    for part in filter(None, place.split(".")):
        settings = settings.get(part) or {}
    return settings


def _located(data: dict) -> dict:
    """Where the data are: the settings in LOCATIONS, of the two sides too."""
    own = {key: data[key] for key in LOCATIONS if key in data}
    return own | {side: _located(data[side]) for side in NESTED if side in data}


def _below(place: str, keys: Sequence[str]) -> list[str]:
    """Of dotted keys those below a place, from there on."""
    return [key.removeprefix(f"{place}.") for key in keys if key.startswith(f"{place}.")]


def _get_config(path: str) -> Callable[[str | None], dict]:
    """A config file's get_config: argument -> plain settings. Raises ValueError as `load`."""
    file = pathlib.Path(path)
    if not file.is_file():
        if file.stem in named_configs():
            raise ValueError(f"--config={path}: no such file. Did you mean --config {file.stem}?")
        known = [str(p) for p in sorted(file.parent.glob("*.py"))] if file.parent.is_dir() else []
        hint = registry.suggest(path, known) if known else "`gan-jax configs` lists what there is."
        raise ValueError(f"--config={path}: no such file. {hint}")
    module_spec = importlib.util.spec_from_file_location("gan_jax_config", file)
    if module_spec is None:
        raise ValueError(f"--config={path}: not a Python file (.py).")
    module = importlib.util.module_from_spec(module_spec)

    def run(arg: str | None) -> dict:
        try:
            module_spec.loader.exec_module(module)
            settings = module.get_config(arg) if "get_config" in vars(module) else None
        except SyntaxError as error:
            raise ValueError(f"--config={path}: line {error.lineno}: {error.msg}.") from error
        except ValueError as error:
            raise ValueError(f"--config={path}: {error}") from error
        # the file is the user's code: whatever it raises is about that file
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            lines = [frame.lineno for frame in frames if frame.filename == str(file)]
            where = f"line {lines[-1]}: " if lines else ""
            raise ValueError(f"--config={path}: {where}{type(error).__name__}: {error}") from error
        if not isinstance(settings, ml_collections.ConfigDict | dict):
            raise ValueError(
                f"--config={path}: it has no get_config(arg=None) that returns the settings, a"
                " ConfigDict."
            )
        return _copied(settings)

    return run


def _copied(settings: Mapping) -> dict:
    """Plain dicts and values all the way down, none of them shared:
    an override of opt_g must not reach opt_d."""
    return {key: _plain(x) for key, x in settings.items()}


def _plain(x):
    """A setting as JSON has it: a path is a text, a number of numpy's one of Python's."""
    if isinstance(x, Mapping | ml_collections.ConfigDict):
        return _copied(x)
    if type(x) in (list, tuple):
        return type(x)(map(_plain, x))
    if isinstance(x, os.PathLike):
        return os.fspath(x)
    return x.item() if isinstance(x, np.generic) else x


def set_override(settings: dict, text: str) -> None:
    """Sets "game.penalty=r1" in a config's settings. Raises ValueError where there is no value, or
    no such place."""
    _set(settings, *_parsed(text))


def _parsed(text: str) -> tuple[str, object]:
    """("game.penalty", "r1") of "game.penalty=r1"."""
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--config.{text}: give a value, as in --config.{text}=1.")
    return key, _value(value)


def _set(settings: dict, key: str, value: object) -> None:
    *parents, last = key.split(".")
    place = settings
    for i, parent in enumerate(parents):
        place = place.setdefault(parent, {})
        if not isinstance(place, dict):
            raise ValueError(
                f"--config.{key}={value}: config.{'.'.join(parents[: i + 1])} is {place!r}, it has"
                " no settings."
            )
    place[last] = value


def _check_values(value, place: str) -> None:
    """Raises ValueError at what no setting can be, however deep inside: a NaN, an infinity, a
    number beyond 32 bits, an empty text, which as a path is the current folder, or what JSON has
    not."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            _check_values(part, f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for part in value:
            _check_values(part, place)
    elif isinstance(value, int) and abs(value) >= 2**32:
        shown = value if abs(value) < 10**40 else "(a number of over 40 digits)"
        raise ValueError(f"{place}={shown}: whole numbers are at most {2**32 - 1}.")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{place}={value}: it must be a finite number.")
    elif not isinstance(value, str | int | float | None):
        raise ValueError(
            f"{place}: a {type(value).__name__} is no setting; give numbers, texts, True, False,"
            " None, and lists and dicts of them."
        )
    elif value == "":
        raise ValueError(
            f"{place}='': it is empty, as a variable that is not set is. Give a value, or leave it"
            " out."
        )


def _value(text: str):
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        # "none" stays a name, d.norm=none; None is nothing
        return {"true": True, "false": False}.get(text, text)
