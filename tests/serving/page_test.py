"""The page on serving: its requests say what the routes take, its limits are the defaults."""

import json
import re
import urllib.parse

import pytest

from gan_jax.commands import serve
from gan_jax.serving import app, kinds, metrics, options, reading
from tests.paths import ROOT

PAGE = (ROOT / "docs" / "how-to" / "serve.md").read_text()
KINDS = {kind.command: kind for kind in (*kinds.BY_COMMAND.values(), kinds.Restores)}
REQUESTS = re.findall(r"^curl .*/v1/(?!model).*$", PAGE, re.M)


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_request_is_one_that_its_route_takes(request_):
    command, said = re.search(r"/v1/(\w+)\??([^' ]*)", request_).groups()
    kind = KINDS[command]
    fields = re.findall(r"-F (\w+)=(\S+)", request_) + urllib.parse.parse_qsl(said)
    wanted = {name: value for name, value in fields if name not in kind.takes}
    body = re.search(r"--json '(.*)'", request_)
    wanted |= json.loads(body[1]) if body else {}
    assert options.read(kind.options, wanted, strict=body is not None)
    assert {name for name, value in fields if value.startswith("@")} <= set(kind.takes)


def test_there_is_a_request_for_every_route():
    assert {re.search(r"/v1/(\w+)", request)[1] for request in REQUESTS} == set(KINDS)


def test_options_statuses_and_metrics_are_all_there():
    for command, kind in KINDS.items():
        (row,) = re.findall(rf"^\| `POST /v1/{command}` .*$", PAGE, re.M)
        names = {"mask"} & set(kind.takes) | set(kind.options.model_fields)
        assert all(f"`{name}`" in row for name in names), command
    assert {*app.ERRORS, 404, 405} == set(map(int, re.findall(r"\b(4\d\d|50\d)(?=[, |])", table())))
    collected = metrics.Metrics().registry.collect()
    names = {each.name for each in collected if each.name.startswith("gan_jax")}
    assert names == {x.removesuffix("_total") for x in re.findall(r"`(gan_jax_\w+)[`{]", PAGE)}


def table():
    """The first cells of the table of errors."""
    text = PAGE.split("## What may go wrong")[1].split("## Limits")[0]
    return "\n".join(re.findall(r"^\| ([\d, ]+ \|)", text, re.M))


def test_limits_are_the_defaults():
    flags = vars(serve.parse(["run"]))
    for name, value in re.findall(r"^\| `--([\w-]+)` \| (\d+) \|", PAGE, re.M):
        assert flags[name.replace("-", "_")] == int(value), name
    limits = reading.Limits()
    assert (flags["max_bytes"], flags["max_pixels"]) == (limits.max_bytes, limits.max_pixels)
    assert (flags["queue"], flags["timeout"]) == (limits.queue, limits.timeout)
    assert (flags["max_batch"], flags["programs"]) == (limits.max_batch, limits.programs)
    assert flags["wait_ms"] / 1000 == limits.wait
