"""The studio in Chromium, as a person uses it; results are held against the command's."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from gan_jax import commands
from gan_jax.data import drawings

playwright = pytest.importorskip("playwright.sync_api")

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
LONG = 600_000  # milliseconds


@contextlib.contextmanager
def running(folder, *flags, env=None):
    """A studio in a process of its own: (its address, its process)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["studio", "--folder", str(folder), "--no-browser", "--port", str(port), *flags]
    process = subprocess.Popen(
        [sys.executable, "-c", f"from gan_jax import commands; commands.main({words!r})"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | (env or {}),
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for line in process.stdout:
            if address in line:
                break
        else:
            raise AssertionError("it ended by itself")
        yield address, process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
        process.stdout.close()


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """Where the studio of these tests keeps its temporary files."""
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(scope="module")
def studio(tmp_path_factory, scratch):
    """(address, its folder, its process)."""
    home = tmp_path_factory.mktemp("home")
    with running(home, env={"TMPDIR": str(scratch)}) as (address, process):
        yield address, home, process
    assert not list(scratch.glob("gan_jax_studio_*"))  # uploads and results are gone


@pytest.fixture(scope="module")
def browser():
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        reason = f"none of {', '.join(BROWSERS)} is on PATH"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with playwright.sync_playwright() as play:
        started = play.chromium.launch(executable_path=found, args=list(QUIET))
        yield started
        started.close()


@pytest.fixture
def page(browser, studio):
    """The page at a desktop's size; it loads nothing from elsewhere and says no error."""
    opened = browser.new_page(viewport=DESKTOP)
    asked, errors = [], []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(studio[0])
    opened.wait_for_selector("#style-go")
    yield opened
    opened.close()
    assert not [url for url in asked if not url.startswith((studio[0], "data:", "blob:"))]
    assert not errors


def tab(page, *names):
    for name in names:
        page.get_by_role("tab", name=name, exact=True).first.click()


def give(page, place, *files):
    """Uploads files, and waits until they are there."""
    page.locator(f"#{place} input[type=file]").first.set_input_files([str(x) for x in files])
    page.wait_for_function(
        "([id, n]) => document.querySelectorAll(`#${id} img, #${id} video`).length >= n",
        arg=[place, len(files)],
    )


def press(page, name, button=None):
    """Presses a panel's button; (how it ended, in words)."""
    page.evaluate("id => document.querySelector(id).dataset.old = '1'", f"#{name}-status")
    before = page.locator(f"#{name}-status .said").first
    page.evaluate("id => document.querySelector(id).className = 'said'", f"#{name}-status .said")
    page.click(button or f"#{name}-go")
    page.wait_for_selector(f"#{name}-status .done, #{name}-status .failed", timeout=LONG)
    return before.get_attribute("class").split()[1], before.inner_text()


def download(page, place):
    """The file that a tab gives to take home."""
    with page.expect_download() as got:
        page.locator(f"#{place} a").first.click()
    return pathlib.Path(got.value.path()), got.value.suggested_filename


def drawing(folder, person=3, variant=0, name="head.png", side=64):
    folder.mkdir(parents=True, exist_ok=True)
    parts = ["mouth", "eyes"]
    (folder / name).write_bytes(drawings.draw("avataaars", person, side, variant, parts))
    return folder / name


def pixels(file):
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def unpacked(file, folder):
    shutil.unpack_archive(file, folder, "zip")
    return folder


def test_a_style_is_the_commands_and_errors_are_words(page, studio, tmp_path):
    head = drawing(tmp_path)
    assert press(page, "style") == ("failed", "Choose a picture or a clip first.")
    give(page, "style-files", head)
    assert press(page, "style")[0] == "done"
    page.wait_for_selector("#style-slider img")
    archive, name = download(page, "style-archive")
    commands.main(["stylize", "cartoon-comic", str(head), "--out", str(tmp_path / "own")])
    made = unpacked(archive, tmp_path / "made")
    assert name == "styled.zip"
    np.testing.assert_array_equal(pixels(made / "head.png"), pixels(tmp_path / "own" / "head.png"))


def test_the_page_fits_a_phone(browser, studio):
    page = browser.new_page(viewport=PHONE)
    page.goto(studio[0])
    page.wait_for_selector("#style-go")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.close()
