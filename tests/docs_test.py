"""The site: every setting has its place and its sentence, formulas can be shown, tutorials run."""

import dataclasses
import importlib.util
import re
import shlex
import sys

import numpy as np
import pytest
import yaml

from gan_jax import config, main
from gan_jax.data.images import save_png
from gan_jax.data.source import open_source
from gan_jax.runtime import registry
from tests.data import clips_test
from tests.evaluation.measures_test import taken
from tests.paths import ROOT
from tests.readme_test import commands, is_tool, script

DOCS = ROOT / "docs"
TUTORIALS = ("train-a-gan", "few-pictures", "your-own-game", "restyle")
# Needs a package registry, or more pictures of each class than :smoke draws.
NOT_HERE = ("npm ", "sets/emoji", "emoji_pix2pix", "label_accuracy")


def hook(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / "hooks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reference():
    return hook("reference")


def page(name):
    return (DOCS / name).read_text()


def test_every_kind_of_setting_has_its_table(reference):
    """And each setting its sentence: a table is not made without."""
    lines = {
        line.group(0)
        for path in DOCS.rglob("*.md")
        for line in reference.LINE.finditer(path.read_text())
    }
    games = {m.__name__.split(".")[-1] for m in registry.modules("algorithms", "Algorithm")}
    assert {f'{{{{ game("{name}") }}}}' for name in games} <= lines
    assert {f'{{{{ family("{kind}") }}}}' for kind in reference.FAMILIES} <= lines
    for line in lines:
        assert "{{" not in reference.on_page_markdown(line), line


def test_a_table_has_every_setting_with_its_default_and_sentence(reference):
    table = reference.settings("gan_jax.config.Config")
    assert "| `keep` | `3` |" in table and "| `batch` | required |" in table
    assert len(table.splitlines()) == 2 + len(dataclasses.fields(config.Config))


def test_a_setting_without_a_sentence_is_an_error(reference):
    def factory(width: int = 1):
        """Something."""

    with pytest.raises(KeyError, match="width"):
        reference.table(factory)


def test_text_in_a_cell_stays_in_it(reference):
    assert reference.cell("a name in <x> | {'y': *z*}") == (
        "A name in &lt;x&gt; &#124; {'y': &#42;z&#42;}"
    )
    assert reference.cell("gan_jax/models/x.py") == "gan_jax/models/x.py"


def test_the_navigation_has_every_page():
    text = (ROOT / "mkdocs.yml").read_text()
    found = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    assert found == set(re.findall(r"[\w/-]+\.md", text))


def test_formulas_become_mathml():
    pytest.importorskip("latex2mathml")
    formulas = hook("formulas")
    shown = formulas.on_page_content(r'<p><span class="arithmatex">\(a &lt; b_1\)</span></p>')
    assert shown.startswith("<p><math") and "&#x0003C;" in shown and "arithmatex" not in shown
    for path in DOCS.rglob("*.md"):
        for latex in re.findall(r"\\[(\[](.+?)\\[)\]]", path.read_text()):
            assert "<math" in formulas.converter.convert(latex), f"{path.name}: {latex}"


def test_manifests_of_the_cluster_page_are_valid():
    text = page("tutorials/on-a-cluster.md")
    (job,) = yaml.safe_load_all(block(text, "jobset", "yaml"))
    worker = job["spec"]["replicatedJobs"][0]["template"]["spec"]
    assert job["kind"] == "JobSet" and worker["completions"] == worker["parallelism"]
    kinds = [item["kind"] for item in yaml.safe_load_all(block(text, "role", "yaml"))]
    assert kinds == ["ServiceAccount", "Role", "RoleBinding"]
    assert block(text, "dockerfile", "dockerfile") == (ROOT / "Dockerfile").read_text()


@pytest.fixture
def documented(tmp_path, monkeypatch):
    """(a page, the mark of its code) -> the dotted path of a module that holds it."""

    def write(name, mark):
        (tmp_path / "documented").mkdir(exist_ok=True)
        module = mark.replace(" ", "_")
        (tmp_path / "documented" / f"{module}.py").write_text(block(page(name), mark, "python"))
        return f"documented.{module}"

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("GAN_JAX_DATA", str(tmp_path / "cache"))
    yield write
    for name in [name for name in sys.modules if name.split(".")[0] == "documented"]:
        del sys.modules[name]


def test_the_measure_of_ones_own_is_taken(documented):
    values = taken(documented("reference/measures.md", "own measure"))["values"]
    assert 0 < values["sharpness"] < 255


def test_the_source_of_ones_own_opens(documented):
    name = documented("tutorials/your-own-game.md", "own source")
    opened = open_source({"source": name, "n": 20})
    images = opened.load(np.array([0, 7]), np.zeros(2, np.uint64))["image"]
    assert len(opened) == 20 and images.shape == (2, *opened.shape) and images.dtype == np.uint8
    assert images[0, 0, :4, 0].tolist() == [0, 255, 0, 255] and images[1, 0, 7:9, 0].any()


def block(text, name, language):
    return re.search(rf"<!-- {name} -->\n```{language}\n(.*?)```", text, re.S)[1]


@pytest.fixture
def desk(tmp_path, monkeypatch, shared_data):
    """A folder with all that a tutorial's reader has: pictures, a clip, the configs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    draw = np.random.default_rng(0)
    for name in ("photos/a", "photos/b", "few", "drawings", "styles/a", "styles/b"):
        for i in range(9):
            save_png(tmp_path / name / f"{i}.png", draw.integers(0, 256, (40, 40, 3), np.uint8))
    for name in ("me.jpg", "painting.jpg", "look.png"):
        save_png(tmp_path / name, draw.integers(0, 256, (80, 90, 3), np.uint8))
    clips_test.make(tmp_path / "clip.mp4")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_runs(name, desk, tool):
    """Its blocks in order; training by :smoke."""
    text = page(f"tutorials/{name}.md")
    done = 0
    for mark, language, code in re.findall(
        r"(?:<!-- ([\w ]+) -->\n)?```(\w+)\n(.*?)```", text, re.S
    ):
        if language == "python":
            run_python(mark, code, desk)
        elif language == "bash":
            for command in commands(f"```bash\n{code}```"):
                if not any(word in command for word in NOT_HERE):
                    run_command(command, tool)
                    done += 1
    assert done >= 2


def run_python(mark, code, desk):
    files = {
        "own game": "my_project/my_game.py",
        "own network": "my_project/my_model.py",
        "own source": "my_project/my_data.py",
        "own config": "my_config.py",
    }
    if mark in files:
        (desk / files[mark]).parent.mkdir(exist_ok=True)
        (desk / files[mark]).write_text(code)
    elif mark:
        exec(code.replace('"resolution": 64', '"resolution": 32, "identities": 12'), {})


def run_command(command, tool):
    if is_tool(command):
        name, args = script(command)
        done = tool(name, *args)
        assert done.returncode == 0, f"{command}: {done.stderr}"
    else:
        python, _, module, *words = shlex.split(command, comments=True)
        assert (python, module) == ("python", "gan_jax.main"), command
        assert main.main(smoke(words)) == 0, command


def smoke(words):
    """The same command with a config made small."""
    place = words.index("--config") + 1
    name = words[place]
    if name.startswith("configs/"):
        name += ",smoke" if ":" in name else ":smoke"
    return [*words[:place], name, *words[place + 1 :]]
