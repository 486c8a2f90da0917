"""What every config comes to, with all defaults, stands in tests/golden_configs/: a changed preset
or default shows in review.

After a change that is meant: python -m tests.golden_configs_test
"""

import json

import pytest

from gan_jax import config
from gan_jax.commands import describe
from gan_jax.runtime import registry
from tests.paths import ROOT

CONFIGS = sorted((ROOT / "configs").glob("*.py"))
GOLDEN = ROOT / "tests" / "golden_configs"
WRITE = "If that is meant: python -m tests.golden_configs_test"


def resolved(file) -> str:
    """All settings of a config, defaults included, as JSON with a setting a line."""
    parts = []
    for place, factory, values, given in describe.parts(config.load(str(file))):
        taken = registry.settings_of(factory)
        defaults = {name: x for name, x in registry.defaults(factory).items() if name in taken}
        settings = {name: x for name, x in (defaults | values).items() if name not in given}
        part = f"{place.partition(' ')[0]}, {factory.__module__.rpartition('.')[2]}"
        lines = [f"  {json.dumps(name)}: {json.dumps(x)}" for name, x in settings.items()]
        parts.append(f' "{part}": {{\n' + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(parts) + "\n}\n"


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_a_config_resolves_as_it_did(file):
    golden = GOLDEN / f"{file.stem}.json"
    assert golden.is_file(), WRITE
    old, new = json.loads(golden.read_text()), json.loads(resolved(file))
    assert not config.differences(old, new), WRITE


def test_every_golden_file_is_of_a_config():
    assert {path.stem for path in GOLDEN.glob("*.json")} == {file.stem for file in CONFIGS}


if __name__ == "__main__":
    for file in CONFIGS:
        (GOLDEN / f"{file.stem}.json").write_text(resolved(file))
