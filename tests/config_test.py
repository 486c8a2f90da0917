import dataclasses

import pytest

from gan_jax import algorithms, augment, config
from tests.paths import ROOT

CONFIGS = sorted((ROOT / "configs").glob("*.py"))

FILE = """
import ml_collections
from gan_jax.config import parse_arg

def get_config(arg=None):
    arg = parse_arg(arg, batch=64, name="x", rate=0.5)
    c = ml_collections.ConfigDict()
    c.algorithm, c.model, c.total_kimg = "noise_to_image", "mlp", 2.0
    c.batch = 8 if arg.smoke else arg.batch
    c.data = dict(source="avatars")
    c.game = dict(z_dim=7)
    return c
"""


PLAIN = """
import dataclasses
import flax.linen as nn
from gan_jax.algorithms import base

@dataclasses.dataclass
class Algorithm(base.FromNoise):
    g: nn.Module
    d: nn.Module

class Generator(nn.Module):
    shape: tuple
    n_classes: int

Discriminator = Generator
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    return str(path)


def test_file_argument_and_overrides(file):
    assert config.load(file).batch == 64
    assert config.load(f"{file}:smoke").batch == 8
    assert config.load(f"{file}:batch=16").batch == 16
    run = config.load(
        file,
        [
            "batch=4",
            "game.loss=minimax",
            "opt_g.lr=1e-3",
            "init_from=runs/a",
            "ema_rampup=None",
            "d.norm=none",
            "keep=2",
        ],
    )
    assert (
        run.batch == 4 and run.game == {"z_dim": 7, "loss": "minimax"} and run.opt_g == {"lr": 1e-3}
    )
    assert run.d == {"norm": "none"}
    assert run.init_from == "runs/a" and run.ema_rampup is None and run.keep == 2
    assert config.load(file, ["data={'source': 'folder'}"]).data == {"source": "folder"}


@pytest.mark.parametrize(
    ("spec", "overrides", "message"),
    [
        ("{}", ["bach=4"], r"config.bach: no such setting. Did you mean 'batch'\?"),
        ("{}", ["batch=four"], r"config.batch='four' is a str; it must be int\."),
        ("{}", ["batch=0"], r"config.batch=0: it must be at least 1"),
        ("{}", ["total_kimg=0"], r"config.total_kimg=0: it must be above 0"),
        ("{}", ["total_kimg=1e999"], r"config.total_kimg=inf: it must be above 0"),
        ("{}", ["ema_rampup=-1.0"], r"config.ema_rampup=-1.0: it must be above 0, or None"),
        ("{}", ["seed=4294967296"], r"^config.seed=4294967296: it must be 0 to 4294967295"),
        ("{}", ["seed=-1"], r"^config.seed=-1: it must be 0 to 4294967295"),
        ("{}", ["workers=-1"], r"^config.workers=-1: it must be at least 0"),
        ("{}", ["batch"], r"--config.batch: give a value"),
        ("{}", ["batch.size=3"], r"config.batch is 64, it has no settings"),
        (
            "{}:smok",
            [],
            (
                r"the config's argument='smok' is not known. Did you mean 'smoke'\? Known: batch,"
                r" name, rate, smoke"
            ),
        ),
        ("{}:batch=x", [], r"the config's argument 'batch=x': batch must be int, as in batch=64"),
        ("no/avatars.py:smoke", [], r"avatars.py: no such file. Did you mean --config avatars\?$"),
        ("no/mine.py", [], r"mine.py: no such file. `gan-jax configs` lists what there is.$"),
        ("{}x", [], r"mine.pyx: no such file. Did you mean '.*mine.py'"),
    ],
)
def test_mistakes_are_one_line(file, spec, overrides, message):
    with pytest.raises(ValueError, match=message) as caught:
        config.load(spec.format(file), overrides)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_config(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("x = 1")
    with pytest.raises(ValueError, match="it has no get_config"):
        config.load(str(path))
    path.write_text("def get_config(arg=None):\n    return None")
    with pytest.raises(ValueError, match="it has no get_config"):
        config.load(str(path))
    path.write_text("def get_config(arg=None):\n    x = 1\n    return y")
    with pytest.raises(ValueError, match="line 3: NameError: name 'y' is not defined"):
        config.load(str(path))
    path.write_text("def get_config():\n    return {}")
    with pytest.raises(ValueError, match="TypeError: get_config.. takes 0 positional arguments"):
        config.load(str(path))
    path.write_text("def get_config(:")
    with pytest.raises(ValueError, match="line 1: invalid syntax"):
        config.load(str(path))
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(ValueError, match="not a Python file"):
        config.load(str(tmp_path / "notes.txt"))


def test_players_that_share_a_dict_are_overridden_apart(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "def get_config(arg=None):\n    o = dict(lr=1.0)\n    return dict(algorithm='a', model='b',"
        " data={}, batch=1, total_kimg=1.0, opt_g=o, opt_d=o)"
    )
    run = config.load(str(path), ["opt_g.lr=5.0"])
    assert (run.opt_g["lr"], run.opt_d["lr"]) == (5.0, 1.0)


def test_unknown_parts_of_a_game_suggest(file):
    def make(*overrides):
        return algorithms.make_game(config.load(file, list(overrides)), (28, 28, 1), 0)

    assert make().z_dim == 7
    for override, message in {
        "algorithm=noise_to_imag": (
            "config.algorithm='noise_to_imag'.*Did you mean 'noise_to_image'"
        ),
        "model=mpl": "config.model='mpl'.*Did you mean 'mlp'",
        "model=os.path": "config.model='os.path': os.path has no Generator and no Discriminator",
        "algorithm=..x": "config.algorithm='..x': not a module's name, nor a dotted path",
        "game.z_dims=3": "config.game.z_dims: no such setting. Did you mean 'z_dim'",
        "game.loss=hing": "config.game.loss='hing' is not known. Did you mean 'hinge'",
        "game.penalty=r3": (
            "config.game.penalty='r3' is not known. .*Known: r1, r1\\+r2, r2, wgan_gp"
        ),
        "game.n_critic=0": "config.game.n_critic=0: it must be at least 1",
        "conditional=True": (
            "config.conditional=True, but the data has no labels. Set config.data.labels"
        ),
        "augment={'policy': 'color'}": "config.augment lacks name. Known: ada, diffaugment",
        "augment={'name': 'adda'}": "config.augment.name='adda' is not known. Did you mean 'ada'",
        "augment={'name': 'diffaugment', 'police': 1}": (
            "config.augment.police: no such setting. Did you mean 'policy'"
        ),
        "dtype=float16": "config.dtype='float16' is not known. .*Known: bfloat16, float32",
        "accumulate=0": "config.accumulate=0: it must be at least 1",
        "g.widths=(16, 0)": r"config.g.widths=\(16, 0\): it must be at least 1",
        "d.embedding=0": "config.d.embedding=0: it must be at least 1",
        "game.lecam_start=-1": "config.game.lecam_start=-1: it must be 0 or more",
    }.items():
        with pytest.raises(ValueError, match=message):
            make(override)


def test_the_unconditional_takes_no_labels(file):
    with pytest.raises(
        ValueError,
        match="config.conditional=False, but the data has classes. Set config.data.labels",
    ):
        algorithms.make_game(config.load(file, ["conditional=False"]), (28, 28, 1), 10)
    assert (
        algorithms.make_game(config.load(file, ["conditional=True"]), (28, 28, 1), 10).g.n_classes
        == 10
    )


def test_augmentation_and_type_reach_those_who_take_them(file, tmp_path, monkeypatch):
    own = ["augment={'name': 'diffaugment', 'policy': 'color'}", "dtype=bfloat16"]
    game = algorithms.make_game(config.load(file, own), (28, 28, 1), 0)
    assert game.terms.augment == augment.DiffAugment("color") and game.batch == 64
    assert game.g.dtype == game.d.dtype == "bfloat16"
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "game.py").write_text(PLAIN)
    monkeypatch.syspath_prepend(tmp_path)
    plain = ["algorithm=plain.game", "model=plain.game", "game={}"]
    for override, message in {
        "augment={'name': 'ada'}": (
            "config.augment: config.algorithm='plain.game' augments nothing. Leave it out."
        ),
        "dtype=bfloat16": (
            "config.dtype='bfloat16': plain.game.Generator has no dtype; use 'float32'"
        ),
    }.items():
        with pytest.raises(ValueError, match=message):
            algorithms.make_game(config.load(file, [*plain, override]), (8, 8, 1), 0)


def test_steps_count_images():
    run = config.Config("a", "b", {}, batch=64, total_kimg=6.4)
    assert run.total_steps == 100 and run.steps(0.001) == 1
    assert dataclasses.replace(run, batch=32).total_steps == 200


def test_differences_name_each_setting():
    old = {"a": 1, "opt": {"lr": 1, "b1": 0}, "gone": 3}
    assert config.differences(old, {"a": 1, "opt": {"lr": 2, "b1": 0}, "new": 4}) == [
        "config.gone: 3 -> None",
        "config.new: None -> 4",
        "config.opt.lr: 1 -> 2",
    ]


def leaves(data, prefix=""):
    """Dotted keys and values of nested settings."""
    for key, value in data.items():
        yield from (
            leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)]
        )


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_smoke_keeps_the_data_that_one_names(file):
    """Of every config: the source as without :smoke, only in smaller pictures; without a name the
    stand-in."""
    whole, small = config.load(str(file)), config.load(f"{file}:smoke")
    for key, _ in leaves(whole.data):
        place, _, name = key.rpartition(".")
        if name not in config.LOCATIONS:
            continue
        run = config.load(f"{file}:smoke", [f"data.{key}=mine"])
        found, full, stand_in = (
            settings.data[place] if place else settings.data for settings in (run, whole, small)
        )
        assert found == {**full, name: "mine", "resolution": stand_in["resolution"]}
        assert run.batch == small.batch and run.g == small.g and run.total_kimg == small.total_kimg
        if place and whole.data["source"] == "unpaired":
            other = {"a": "b", "b": "a"}[place]
            assert run.data[other] == small.data[other]
        elif place == "of":
            assert run.data["source"] == small.data["source"] == whole.data["source"]
        elif place:
            assert run.data["source"] == "paired" and {
                x["source"] for x in map(run.data.get, "ab")
            } == {"folder"}
    assert (
        config.load(f"{file}:smoke", ["data.flip=True"]).data.get("source") == small.data["source"]
    )


def test_smoke_keeps_the_data_of_its_argument():
    single = config.load(f"{ROOT}/configs/single_cut.py:smoke,photo=me.jpg")
    assert (
        single.data["a"]["path"],
        single.data["a"]["resolution"],
        single.data["b"]["source"],
    ) == (
        "me.jpg",
        32,
        "avatars",
    )
    emoji = config.load(f"{ROOT}/configs/emoji_pix2pix.py:path=mine,smoke")
    assert [emoji.data[side]["path"] for side in "ab"] == [
        "mine/train/google",
        "mine/train/twitter",
    ]
    assert emoji.eval["held_out"]["a"] == {"path": "mine/test/google"} and emoji.eval["images"] == 4
    assert "held_out" not in config.load(f"{ROOT}/configs/emoji_pix2pix.py:smoke,batch=2").eval
    faces = config.load(f"{ROOT}/configs/starganv2_afhq.py:smoke", ["eval.held_out.path=unseen"])
    assert faces.data["path"] == "afhq/train" and faces.eval["held_out"] == {"path": "unseen"}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "data.identities=4294967296",
            r"config.data.identities=4294967296: whole numbers are at most 4294967295",
        ),
        ("batch=100000000000000000000", r"config.batch=100000000000000000000: whole"),
        ("g.widths=(8, 10000000000)", r"config.g.widths=10000000000: whole"),
        ("game.z_dim=" + "9" * 300, r"config.game.z_dim=\(a number of over 40 digits\): whole"),
        ("data.path=", "config.data.path='': it is empty, as a variable that is not set is"),
        ("init_from=''", "config.init_from='': it is empty"),
        ("opt_g.lr=1e999", r"config.opt_g.lr=inf: it must be a finite number"),
        ("game.gamma=-1e999", r"config.game.gamma=-inf: it must be a finite number"),
    ],
)
def test_numbers_that_no_setting_can_be(override, message):
    with pytest.raises(ValueError, match=message):
        config.load("configs/avatars.py", [override])
