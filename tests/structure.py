"""Counts of a checkout's structure: python -m tests.structure [CHECKOUT ...], a column each."""

import ast
import pathlib
import sys


def counts(root: pathlib.Path) -> dict[str, object]:
    """What a checkout at `root` has of files, imports, long lines and functions, kinds of tests."""
    package = root / "gan_jax"
    files = sorted(package.rglob("*.py"))
    trees = {path: ast.parse(path.read_text()) for path in files}
    nodes = [node for tree in trees.values() for node in ast.walk(tree)]
    functions = [
        (node.end_lineno - node.lineno + 1, f"{path.relative_to(package)}:{node.name}")
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    ]
    lengths = [(len(path.read_text().splitlines()), path.name) for path in files]
    rooms = {path.relative_to(package).parts[0] for path in files if path.parent != package}
    return {
        "files in the package's root": len(list(package.glob("*.py"))) - 1,  # not __init__.py
        "rooms": len(rooms),
        "files, lines": f"{len(files)}, {sum(n for n, _ in lengths):,}",
        "imports between rooms": len(arrows(package, trees)),
        "pairs of rooms that import each other": mutual(arrows(package, trees)),
        "files over 300 lines": sum(n > 300 for n, _ in lengths),
        "longest file": "{} ({})".format(*max(lengths)),
        "functions over 40 lines": sum(n > 40 for n, _ in functions),
        "longest function": "{} ({})".format(*max(functions)),
        "lines over 100 columns": sum(
            len(line) > 100 for path in files for line in path.read_text().splitlines()
        ),
        "named lambdas": sum(
            isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda) for node in nodes
        ),
        "hasattr": calls(nodes, "hasattr", 2),
        "getattr with a default": calls(nodes, "getattr", 3),
        "test functions": sum(
            path.read_text().count("\ndef test_") for path in (root / "tests").rglob("*_test.py")
        ),
    }


def calls(nodes: list[ast.AST], name: str, arguments: int) -> int:
    """Calls of the function `name` with so many arguments."""
    return sum(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == name
        and len(node.args) == arguments
        for node in nodes
    )


def arrows(package: pathlib.Path, trees: dict[pathlib.Path, ast.Module]) -> set[tuple[str, str]]:
    """(importing room, imported room); a file in the package's root is a room of its own."""
    found = set()
    for path, tree in trees.items():
        room = path.relative_to(package).parts[0].removesuffix(".py")
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gan_jax"):
                names = (node.module.split(".")[1:] or [alias.name] for alias in node.names)
                found |= {(room, name[0]) for name in names if name[0] != room}
    return {(a, b) for a, b in found if (package / b).is_dir() or (package / f"{b}.py").is_file()}


def mutual(arrows: set[tuple[str, str]]) -> int:
    """Pairs of rooms each of which imports the other."""
    return sum((b, a) in arrows for a, b in arrows) // 2


def main(paths: list[str]) -> None:
    columns = [counts(pathlib.Path(path)) for path in paths or ["."]]
    for name in columns[0]:
        print(f"| {name} | " + " | ".join(str(column[name]) for column in columns) + " |")


if __name__ == "__main__":
    main(sys.argv[1:])
