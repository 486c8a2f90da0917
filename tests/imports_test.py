"""Imports point down: a room imports only from rooms below it, and rooms of one level not from each
other."""

import ast
import pathlib

import gan_jax

ROOT = pathlib.Path(gan_jax.__file__).parent
LEVELS = """
main
commands
studio serving
training
start
build
evaluation
personalize
inference
reporting interop
algorithms recipe
models pretrained config
nn augment data metrics step
losses regularizers optim checkpoint
distributed
state
runtime
"""  # from the top; a name is a package or a module of gan_jax
LEVEL = {room: -i for i, line in enumerate(LEVELS.split("\n")) for room in line.split()}
NO_JAX = ("data", "runtime")
FRAMEWORKS = ("tensorflow.", "torch.", "clu.metric_writers.", "clu.periodic_actions.")


def modules():
    for path in sorted(ROOT.rglob("*.py")):
        yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), path


def imports(path):
    """Full names of all that a file imports, of `from x import y` both x and x.y."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_imports_point_down():
    for module, path in modules():
        room = module.split(".")[0]
        if room == "__init__":
            continue
        for name in imports(path):
            if name.startswith("gan_jax.") and (other := name.split(".")[1]) in LEVEL:
                assert other == room or LEVEL[other] < LEVEL[room], (
                    f"{module} must not import {name}"
                )


def test_rooms_without_jax():
    for module, path in modules():
        if module.split(".")[0] in NO_JAX:
            found = [
                n for n in imports(path) if n.split(".")[0] in ("jax", "flax", "optax", "orbax")
            ]
            assert not found, f"{module} imports {found}"


def test_no_framework_comes_along_and_modules_are_imported_by_name_in_one_place():
    for module, path in modules():
        names = list(imports(path))
        assert not [n for n in names if f"{n}.".startswith(FRAMEWORKS)], module
        if module != "runtime.registry":
            assert "importlib" not in names and "importlib.import_module" not in names, module


def test_every_room_has_a_level():
    rooms = {module.split(".")[0] for module, _ in modules()} - {"__init__"}
    assert rooms == set(LEVEL)
