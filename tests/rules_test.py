"""What the package promises of its own source, held by reading it."""

import ast
import pathlib

import pytest

import gan_jax

ROOT = pathlib.Path(gan_jax.__file__).parent
KINDS = {"Game", "FromNoise", "Translator", "Source"}
ASKING = {  # the only functions that may ask what an object has, each with its reason
    "models.traits": "a network of one's own may define some of the traits, or none",
    "models.further_networks": "a family of networks of one's own may have G and D alone",
    "runtime.registry.by_name": "a module of one's own is refused where it lacks what it needs",
    "runtime.registry.modules": "a package also has modules without what is looked for",
    "data.source._Adopted.__init__": "a source of one's own need not derive from Source",
    "data.source._Adopted.sides": "likewise",
    "data.source.open_source": "likewise",
    "data.source.outline": "likewise",
    "commands.describe.sentences": "a function has no __mro__, a class has one",
}


def trees(room=""):
    """(module, its syntax tree) of every file of the package, or of one room."""
    for path in sorted(ROOT.rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if not room or module == room or module.startswith(f"{room}."):
            yield module, ast.parse(path.read_text("utf-8"))


def scopes(name, node):
    """(dotted name of the function or class around it, syntax node) of all that is in a file."""
    for child in ast.iter_child_nodes(node):
        named = isinstance(child, ast.FunctionDef | ast.ClassDef)
        inner = f"{name}.{child.name}" if named else name
        yield inner, child
        yield from scopes(inner, child)


def asks_for_kind(node):
    """Whether a node asks an object what it is or has: hasattr, dir, getattr with a default, or
    isinstance of a kind of game or source."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        return False
    names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    names |= {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
    return (
        node.func.id in ("hasattr", "dir")
        or (node.func.id == "getattr" and len(node.args) == 3)
        or (node.func.id in ("isinstance", "issubclass") and bool(names & KINDS))
    )


def asking():
    return {
        scope for module, tree in trees() for scope, n in scopes(module, tree) if asks_for_kind(n)
    }


def test_kinds_are_told_apart_by_what_they_declare():
    assert asking() - ASKING.keys() == set()


def test_no_exception_outlives_its_reason():
    assert ASKING.keys() - asking() == set()


@pytest.mark.parametrize(
    "text", ["hasattr(x, 'a')", "getattr(x, 'a', 1)", "isinstance(x, base.Game | None)"]
)
def test_asking_is_found(text):
    assert asks_for_kind(ast.parse(text, mode="eval").body)
    assert not asks_for_kind(ast.parse("isinstance(x, int) or getattr(x, 'a')", mode="eval").body)


def test_a_games_objective_is_in_its_own_class():
    """One base class, a kind of game, and no `super()`: nothing is added to a loss elsewhere."""
    games = {}
    for module, tree in trees("algorithms"):
        for node in ast.walk(tree):
            assert not (isinstance(node, ast.Name) and node.id == "super"), module
            if isinstance(node, ast.ClassDef) and node.name == "Algorithm":
                games[module] = [ast.unparse(base) for base in node.bases]
    assert len(games) >= 7
    assert all(bases in (["base.FromNoise"], ["base.Translator"]) for bases in games.values())
