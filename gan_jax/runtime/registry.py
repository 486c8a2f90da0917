"""Names in a config -> code. The only place that imports by name;
every failure is one line that says the fix."""

import dataclasses
import difflib
import importlib
import inspect
import pkgutil
import types
import typing
import unicodedata
from collections.abc import Iterable, Mapping

LISTED = 60  # names, at most, in an error


def normal(name: str) -> str:
    """A name as it is compared: in Unicode's NFC, for macOS may write é as two characters where a
    keyboard gives one."""
    return unicodedata.normalize("NFC", name)


def suggest(name: str, known: Iterable[str]) -> str:
    """'Known: a, b.' with 'Did you mean a?' in front where one is close;
    of very many names the first LISTED."""
    known = sorted(known)
    close = difflib.get_close_matches(str(name), known, n=1)
    more = f" and {len(known) - LISTED} more" if len(known) > LISTED else ""
    return (
        f"Did you mean {close[0]!r}? " if close else ""
    ) + f"Known: {', '.join(known[:LISTED]) or 'none'}{more}."


def by_name(package: str, name: str, key: str, *needs: str) -> types.ModuleType:
    """Module `gan_jax.<package>.<name>`, or any module by its dotted path, that has all of `needs`.

    Args:
        package: "algorithms", "models", "data.sources".
        name: a file's name in that package, or a dotted path such as "my_project.my_game".
        key: the config key the name came from, for the error.
        needs: names it must define, "Generator" ...
    Raises:
        ValueError: no such module, naming the known ones; or it lacks what it needs.
    """
    path = name if "." in name else f"gan_jax.{package}.{name}"
    if not all(part.isidentifier() for part in path.split(".")):
        raise ValueError(
            f"{key}={name!r}: not a module's name, nor a dotted path such as my_project.my_module."
        )
    try:
        module = importlib.import_module(path)
        lacking = [n for n in needs if not hasattr(module, n)]
        if lacking:
            raise ValueError(f"{key}={name!r}: {path} has no {' and no '.join(lacking)}.")
        return module
    except ModuleNotFoundError as error:
        if error.name is None or not (path == error.name or path.startswith(error.name + ".")):
            raise  # the module is there; something it imports is not
    known = (m.__name__.rpartition(".")[2] for m in modules(package, *needs))
    raise ValueError(f"{key}={name!r}: no module {path}. {suggest(name, known)}")


def modules(package: str, *needs: str) -> list[types.ModuleType]:
    """All modules of `gan_jax.<package>` that define all of `needs`, by their names."""
    folder = importlib.import_module(f"gan_jax.{package}")
    names = sorted(module.name for module in pkgutil.iter_modules(folder.__path__))
    found = [importlib.import_module(f"{folder.__name__}.{name}") for name in names]
    return [module for module in found if all(hasattr(module, n) for n in needs)]


def check_trusted(names: Mapping[str, str], trusted: Iterable[str], where: str) -> None:
    """Raises ValueError where a name that came out of a file would import code from outside
    gan_jax.

    Args:
        names: {what it names, "algorithm": the name, as `by_name` takes it}; without dots it is one
            of ours.
        trusted: dotted paths that the user has named.
        where: the file, for the error.
    """
    for kind, name in names.items():
        if "." in name and not name.startswith("gan_jax.") and name not in trusted:
            raise ValueError(
                f"{where}: its {kind}, {name!r}, is Python from outside gan_jax, which would run."
                f" If you trust it: --trust-code {name}, or in Python trusted=[{name!r}]"
            )


def choose(table: Mapping[str, typing.Any], name: str, key: str):
    """`table[name]`, or a ValueError naming the config key and what is allowed. Names meet as
    `normal` has them."""
    if name in table:
        return table[name]
    by_normal = {normal(str(known)): value for known, value in table.items()}
    if normal(str(name)) not in by_normal:
        raise ValueError(f"{key}={name!r} is not known. {suggest(name, map(str, table))}")
    return by_normal[normal(str(name))]


def build(factory: typing.Callable, kwargs: Mapping[str, typing.Any], key: str, **given):
    """`factory(**given, **kwargs)` after checking the config's kwargs against its signature.

    Args:
        factory: a dataclass, a Flax module or a function with annotated arguments.
        kwargs: the config's sub-dict, plain values.
        key: the config key of that sub-dict ("config.game"), for errors.
        **given: arguments the program supplies; the config may not repeat them.
    Raises:
        ValueError: an unknown, repeated, missing or wrongly typed argument.
    """
    check(factory, kwargs, key, given)
    return factory(**given, **{k: _plain(v) for k, v in kwargs.items()})


def check(
    factory: typing.Callable, kwargs: Mapping[str, typing.Any], key: str, given: Iterable[str] = ()
) -> dict[str, typing.Any]:
    """Raises ValueError as `build`, without calling the factory; returns all arguments that it
    would be called with, defaults included, but for `given`."""
    parameters, hints = inspect.signature(factory).parameters, typing.get_type_hints(factory)
    free = {name: parameters[name].default for name in settings_of(factory) if name not in given}
    for name, value in kwargs.items():
        if name not in free:
            raise ValueError(f"{key}.{name}: no such setting. {suggest(name, free)}")
        _check_type(value, hints.get(name), f"{key}.{name}")
    needed = [
        n for n, default in free.items() if default is inspect.Parameter.empty and n not in kwargs
    ]
    if needed:
        raise ValueError(f"{key} lacks {', '.join(needed)}: {factory.__module__} needs it.")
    return free | {k: _plain(v) for k, v in kwargs.items()}


def settings_of(factory: typing.Callable) -> list[str]:
    """Names of its arguments; of a Flax module without those that are Flax's own."""
    parameters = inspect.signature(factory).parameters
    return [
        name for name in parameters if "parent" not in parameters or name not in ("parent", "name")
    ]


def defaults(factory: typing.Callable) -> dict[str, typing.Any]:
    """Argument -> its default; without those that have none."""
    found = {
        name: parameter.default for name, parameter in inspect.signature(factory).parameters.items()
    }
    if dataclasses.is_dataclass(factory):
        fields = dataclasses.fields(factory)
        found |= {
            f.name: f.default_factory()
            for f in fields
            if f.default_factory is not dataclasses.MISSING
        }
    return {
        name: default for name, default in found.items() if default is not inspect.Parameter.empty
    }


def _plain(value):
    """Config lists become tuples: modules and games must be hashable."""
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value


def _check_type(value, hint, key):
    """Checks plain types only (int, float, str, bool, tuple, None and unions of them);
    others pass."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    kinds = [typing.get_origin(o) or o for o in options]
    if not all(k in (int, float, str, bool, tuple, dict, type(None)) for k in kinds):
        return
    ok = any(
        (isinstance(value, k) and not (isinstance(value, bool) and k is not bool))
        or (k is float and isinstance(value, int) and not isinstance(value, bool))
        or (k is tuple and isinstance(value, list))
        for k in kinds
    )
    if not ok:
        names = " or ".join("None" if k is type(None) else k.__name__ for k in kinds)
        raise ValueError(f"{key}={value!r} is a {type(value).__name__}; it must be {names}.")
