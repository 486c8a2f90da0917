"""Text is UTF-8 on every machine: no file is read or written in the encoding that a system happens
to have."""

import ast

import pytest

from tests.paths import ROOT

PLACE = {"read_text": 0, "write_text": 1}  # of the encoding among the arguments


def unsaid(call):
    """Whether a call reads or writes text and says no encoding."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
    said = {keyword.arg: keyword.value for keyword in call.keywords}
    if "encoding" in said:
        return False
    if name in PLACE and isinstance(call.func, ast.Attribute):
        return len(call.args) <= PLACE[name]
    if name in ("run", "Popen", "check_output"):
        return "text" in said
    modes = call.args[1:2] if isinstance(call.func, ast.Name) else call.args[:1]
    mode = said.get("mode", *modes) if modes or "mode" in said else ast.Constant("r")
    words = mode.value if isinstance(mode, ast.Constant) else None
    return (
        name == "open"
        and isinstance(words, str)
        and "b" not in words
        and set(words) <= set("rwaxt+")
    )


@pytest.mark.parametrize(
    "line",
    [
        "open(x)",
        "open(x, 'w')",
        "open(x, mode='a')",
        "x.open()",
        "x.open('a')",
        "x.read_text()",
        "x.write_text(y)",
        "subprocess.run(x, text=True)",
    ],
)
def test_calls_that_say_no_encoding_are_seen(line):
    assert unsaid(ast.parse(line).body[0].value)


@pytest.mark.parametrize(
    "line",
    [
        "open(x, 'rb')",
        "open(x, encoding='utf-8')",
        "x.open('ab')",
        "x.open('a', encoding='utf-8')",
        "x.read_text('utf-8')",
        "x.write_text(y, 'utf-8')",
        "Image.open(x)",
        "tarfile.open(x, 'r:gz')",
        "subprocess.run(x)",
        "x.read_bytes()",
    ],
)
def test_other_calls_are_left_alone(line):
    assert not unsaid(ast.parse(line).body[0].value)


@pytest.mark.parametrize("folder", ["gan_jax", "tools", "configs"])
def test_text_is_utf_8(folder):
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and unsaid(node)
    ]
    assert not found
