import dataclasses
import sys

import flax.linen as nn
import pytest

from gan_jax.runtime import registry


@dataclasses.dataclass
class Thing:
    size: int
    rate: float = 0.5
    name: str | None = None
    widths: tuple[int, ...] = (1,)
    on: bool = False


class Module(nn.Module):
    shape: tuple
    width: int = 3


def test_by_name_finds_ours_and_a_dotted_path(tmp_path, monkeypatch):
    assert registry.by_name("algorithms", "noise_to_image", "config.algorithm").__name__.endswith(
        "noise_to_image"
    )
    (tmp_path / "my_ext").mkdir()
    (tmp_path / "my_ext" / "game.py").write_text("x = 1")
    monkeypatch.syspath_prepend(tmp_path)
    assert registry.by_name("algorithms", "my_ext.game", "config.algorithm").x == 1


def test_unknown_module_suggests():
    with pytest.raises(
        ValueError,
        match=(
            r"config.algorithm='noise_to_imag': no module gan_jax.algorithms.noise_to_imag. Did you"
            r" mean 'noise_to_image'\? Known: .*noise_to_image"
        ),
    ):
        registry.by_name("algorithms", "noise_to_imag", "config.algorithm")
    with pytest.raises(ValueError, match="Known: animegan, cut, cyclegan, deepfill, "):
        registry.by_name("algorithms", "x", "config.algorithm", "Algorithm")
    with pytest.raises(ValueError, match="no module nobody.game"):
        registry.by_name("algorithms", "nobody.game", "config.algorithm")


def test_a_module_whose_own_import_fails_says_so(tmp_path, monkeypatch):
    (tmp_path / "needs_more.py").write_text("import surely_not_installed")
    (tmp_path / "ext_pkg").mkdir()
    (tmp_path / "ext_pkg" / "needs_more.py").write_text("import surely_not_installed")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="surely_not_installed"):
        registry.by_name("algorithms", "ext_pkg.needs_more", "config.algorithm")
    sys.modules.pop("ext_pkg", None)


def test_build_makes_lists_tuples_and_takes_ints_for_floats():
    thing = registry.build(Thing, {"size": 2, "rate": 1, "widths": [4, 5]}, "config.thing")
    assert thing == Thing(2, 1, None, (4, 5))
    assert registry.build(Module, {"width": 9}, "config.g", shape=(1, 2)).width == 9


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (
            {"size": 1, "rat": 1.0},
            r"config.thing.rat: no such setting. Did you mean 'rate'\? Known: name, on, rate, size",
        ),
        ({"size": "1"}, r"config.thing.size='1' is a str; it must be int\."),
        ({"size": True}, r"config.thing.size=True is a bool; it must be int\."),
        ({"size": 1, "name": 3}, r"config.thing.name=3 is a int; it must be str or None\."),
        ({"size": 1, "rate": None}, r"config.thing.rate=None is a NoneType; it must be float\."),
        ({"size": 1, "on": 1}, r"config.thing.on=1 is a int; it must be bool\."),
        ({}, r"config.thing lacks size"),
    ],
)
def test_build_says_what_is_wrong(kwargs, message):
    with pytest.raises(ValueError, match=message):
        registry.build(Thing, kwargs, "config.thing")


def test_what_the_program_gives_is_no_setting():
    with pytest.raises(ValueError, match=r"config.g.shape: no such setting. Known: width\."):
        registry.build(Module, {"shape": (3,)}, "config.g", shape=(1,))


def test_names_meet_in_either_form_of_unicode():
    composed, apart = "caf\u00e9", "cafe\u0301"
    for known, asked in ((composed, apart), (apart, composed), (apart, apart)):
        assert registry.choose({known: 7, "cafe": 8}, asked, "--class") == 7
    with pytest.raises(ValueError, match="--class='caf' is not known. Did you mean 'caf\u00e9'"):
        registry.choose({composed: 7, "cafe": 8}, "caf", "--class")


def test_of_nothing_none_is_known():
    with pytest.raises(ValueError, match=r"Known: none\.$"):
        registry.choose({}, "mapping", "config.networks")
