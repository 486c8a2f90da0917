"""Shapes that cannot lie: wrong ones are refused in tests, and users pay nothing for it."""

import ast
import importlib.util
import inspect
import pathlib

import jax
import jax.numpy as jnp
import jaxtyping
import pytest

from gan_jax import losses
from gan_jax.nn import conv, layers
from tests import shapes

X, KERNEL = jnp.zeros((2, 8, 8, 3)), jnp.zeros((3, 3, 3, 4))

PACKAGE = pathlib.Path(losses.__file__).parent


def test_a_wrong_rank_is_refused():
    with pytest.raises(jaxtyping.TypeCheckError, match="parameter 'x'"):
        conv.pool(X[0])


def test_an_axis_of_one_name_has_one_length():
    with pytest.raises(jaxtyping.TypeCheckError, match="parameter 'w'"):
        conv.conv_pool(X, KERNEL[:, :, :2])


def test_a_module_is_checked_where_it_is_called_and_where_it_is_made():
    with pytest.raises(jaxtyping.TypeCheckError, match="parameter 'x'"):
        layers.Conv(4).init(jax.random.key(0), X[0])
    with pytest.raises(jaxtyping.TypeCheckError, match="parameter 'features'"):
        layers.Conv("4")


def test_users_get_plain_functions():
    """A module loaded without the tests' hook has its functions as they are written."""
    path = pathlib.Path(losses.__file__)
    spec = importlib.util.spec_from_file_location("plain_losses", path)
    plain = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plain)
    assert inspect.unwrap(plain.hinge_d) is plain.hinge_d
    assert inspect.unwrap(losses.hinge_d) is not losses.hinge_d


def test_the_package_never_asks_for_the_check():
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text("utf-8")
        assert "beartype" not in text and "jaxtyped" not in text, path


def public_functions(path):
    """Of a file: those at its top, and methods of its public classes; `__call__` is public."""
    for node in ast.parse(path.read_text("utf-8")).body:
        inside = isinstance(node, ast.ClassDef) and node.name[0] != "_"
        for part in node.body if inside else [node]:
            named = isinstance(part, ast.FunctionDef)
            if named and (part.name == "__call__" or part.name[0] != "_"):
                yield part


@pytest.mark.parametrize("room", shapes.ROOMS)
def test_public_functions_say_their_shapes(room):
    """Every argument and the result have a type, and no array but a random key is a bare one."""
    bare = None, "jax.Array", "Array", "np.ndarray"
    paths = [*PACKAGE.glob(f"{room}.py"), *(PACKAGE / room).rglob("*.py")]
    assert paths
    for path in sorted(paths):
        for function in public_functions(path):
            given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
            said = {a.arg: a.annotation for a in given if a.arg not in ("self", "cls")}
            for name, annotation in (said | {"return": function.returns}).items():
                text = annotation and ast.unparse(annotation)
                allowed = name == "rng" and text == "jax.Array"
                assert allowed or text not in bare, f"{path.name}: {function.name}: {name}: {text}"
