"""The report's page as a browser shows it."""

import html
import html.parser
import json
import os
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from tests.reporting.made_runs import (
    make_run,
    page_of,
)

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def browser(tmp_path, page, *flags):
    """What Chromium prints; the page is opened from disk."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        reason = f"none of {', '.join(BROWSERS)} is on PATH"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    quiet = (
        "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
        " disable-component-update disable-sync"
    )
    command = [found, *(f"--{flag}" for flag in quiet.split())]
    command += [f"--user-data-dir={tmp_path / 'profile'}", *flags, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


# Reads the page in a frame, does something there, and says what there is then.
HARNESS = """<!doctype html><html><body style="margin:0"><script>
const cases = CASES, found = {};
const state = doc => ({
  error: doc.documentElement.dataset.error, frames: doc.documentElement.dataset.frames,
  shown: [...doc.querySelectorAll(".frame")].filter(x => !x.hidden).map(x => +x.dataset.images),
  controls: [...doc.querySelectorAll(".controls")].map(x => x.hidden),
  pressed: [...doc.querySelectorAll(".switch")].map(x => x.ariaPressed),
  style: doc.documentElement.getAttribute("style"),
});
for (const [name, {page, script, wait, style}] of Object.entries(cases)) {
  const frame = document.createElement("iframe");
  frame.style = "border:0;width:1000px;height:900px;" + style;
  frame.onload = () => {
    const view = frame.contentWindow, doc = frame.contentDocument;
    const end = () => {
      found[name] = {...found[name], ...state(doc)};
      document.documentElement.dataset.found = JSON.stringify(found);
    };
    const press = (n, what) => doc.querySelectorAll(".player")[n].querySelector(what).click();
    found[name] = new Function("view", "doc", "press", script)(view, doc, press) || {};
    setTimeout(end, wait);
  };
  frame.srcdoc = page;
  document.body.append(frame);
}
</script></body></html>"""
PHONE = 320  # CSS pixels: narrower than a browser's window can be
CLICKS = """
  press(0, '[data-go="1"]');  // round to 1000
  press(0, '[data-go="1"]');  // then 2000; the other follows
  doc.querySelector("#together").click();
  press(1, '[data-go="-1"]');  // alone
  doc.querySelector(".switch").click();
"""
MEASURE = """
  const parts = doc.querySelectorAll("#numbers th, #numbers td, #numbers b, #numbers .key");
  const boxes = [...parts].map(x => x.getBoundingClientRect()).filter(box => box.width);
  const rows = [...doc.querySelectorAll("#numbers tbody tr")].map(x => x.querySelectorAll("td"));
  const top = cell => cell.getBoundingClientRect().top;
  return {
    right: Math.max(...boxes.map(box => box.right)), cells: boxes.length,
    wide: doc.documentElement.scrollWidth, level: rows.every(([a, b]) => top(a) === top(b)),
  };
"""


def test_the_page_works_in_a_browser(tmp_path):
    """All in one start of the browser, a frame each."""
    text = page_of(make_run(tmp_path / "avatars", grids=5), make_run(tmp_path / "other", grids=3))
    broken = text.replace("(() => {", "(() => { nothing();", 1)
    case = {"page": text, "script": "", "wait": 50, "style": ""}
    cases = {
        "untouched": case,
        "at an address": case | {"script": "view.location.hash = '#images=2100'"},
        "clicked": case | {"script": CLICKS},
        "played": case | {"script": "doc.querySelector('.play').click()", "wait": 1000},
        "broken": case | {"page": broken},
        "phone": case | {"script": MEASURE, "style": f"width:{PHONE}px"},
    }
    harness = HARNESS.replace("CASES", json.dumps(cases).replace("</", "<\\/"))
    (tmp_path / "harness.html").write_text(harness)
    dom = browser(tmp_path, tmp_path / "harness.html", "--dump-dom", "--virtual-time-budget=3000")
    found = json.loads(html.unescape(re.search('data-found="(.*?)"', dom)[1]))
    assert list(sorted(found)) == sorted(cases)
    untouched, clicked = found["untouched"], found["clicked"]
    assert (untouched["error"], untouched["frames"]) == ("", "5,3")
    assert untouched["shown"] == [5000, 3000]  # the last of each
    assert untouched["controls"] == [False, False]
    assert found["at an address"]["shown"] == [2000, 2000]
    assert clicked["shown"] == [2000, 1000] and clicked["error"] == ""
    assert clicked["pressed"] == ["false", "true"] and "--r0: transparent" in clicked["style"]
    assert found["played"]["shown"] == [2000, 2000]  # two frames on
    assert "nothing is not defined" in found["broken"]["error"]
    phone = found["phone"]  # the columns of numbers end where the screen does
    assert phone["right"] <= PHONE and phone["wide"] <= PHONE and phone["level"], phone
    assert phone["cells"] > 6


def test_a_browser_draws_it_in_light_and_dark(tmp_path):
    """Side by side: a frame's page takes its color scheme from the frame."""
    text = html.escape(page_of(make_run(tmp_path / "a")))
    frames = [
        f'<iframe style="width:500px;height:1400px;border:0;color-scheme:{scheme}"'
        f' srcdoc="{text}"></iframe>'
        for scheme in ("light", "dark")
    ]
    (tmp_path / "both.html").write_text(
        f"<!doctype html><html><body style='margin:0;display:flex'>{''.join(frames)}</body></html>"
    )
    picture = tmp_path / "both.png"
    browser(tmp_path, tmp_path / "both.html", "--window-size=1000,1400", f"--screenshot={picture}")
    pixels = np.asarray(Image.open(picture).convert("RGB"))
    light, dark = pixels[:1200, :500], pixels[:1200, 500:1000]
    for part in (light, dark):
        assert (part != part[0, 0]).any((1, 2)).mean() > 0.5  # rows with something in them
    assert np.median(light) > 240 and np.median(dark) < 40
