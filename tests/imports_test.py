"""Dependencies point down only: a lower layer never imports a higher one, and siblings of one layer stay apart."""

import ast
import pathlib

import pytest

import gan_jax

ROOT = pathlib.Path(gan_jax.__file__).parent
LAYERS = [  # from the bottom; "package." stands for all of its modules
    ["signals"],
    ["launch"],
    ["axis", "lookup", "state", "unpickle", "workdir"],
    ["weights"],
    ["losses", "regularizers", "data.", "nn.", "metrics."],
    ["augment", "augment."],
    ["models.", "additions", "cluster", "parallel", "log", "charts", "lettering", "video", "frames"],
    ["algorithms.", "optim", "update", "checkpoint", "clips", "faces"],
    ["config", "video_parts", "statistics", "classify", "foreign."],
    ["export", "translations", "runs", "prepare"],
    ["protocol"],
    ["measure"],
    ["evaluate", "stylize"],
    ["build", "describe", "report"],
    ["train"],
    ["main"],
]


def layer(module):
    for number, names in enumerate(LAYERS):
        if any(module == n or (n.endswith(".") and module.startswith(n)) or f"{module}." == n for n in names):
            return number
    raise AssertionError(f"gan_jax.{module} has no layer: put it in LAYERS")


def modules():
    for path in sorted(ROOT.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__").removesuffix("__init__")
        if name:
            yield name, path


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize(("module", "path"), list(modules()))
def test_imports_point_down(module, path):
    known = dict(list(modules()))
    for name in imports(path):
        if not name.startswith("gan_jax."):
            continue
        target = name.removeprefix("gan_jax.")
        while target and target not in known:
            target = target.rpartition(".")[0]
        if target and target != module:
            same_package = target.split(".")[0] == module.split(".")[0]
            assert layer(target) < layer(module) or same_package, f"{module} must not import {target}"


@pytest.mark.parametrize(("module", "path"), [(m, p) for m, p in modules() if m.startswith("data") or m == "launch"])
def test_data_and_launcher_know_nothing_of_jax(module, path):
    assert not [name for name in imports(path) if name.split(".")[0] in ("jax", "flax", "optax", "orbax")]


@pytest.mark.parametrize(("module", "path"), list(modules()))
def test_no_framework_comes_along_and_names_are_looked_up_in_one_place(module, path):
    names = list(imports(path))
    assert not [name for name in names if name.split(".")[0] in ("tensorflow", "torch")]
    assert not [n for n in names if n.startswith("clu.metric_writers") or n.startswith("clu.periodic_actions")]
    if module != "lookup":
        assert "importlib" not in names and "importlib.import_module" not in names
