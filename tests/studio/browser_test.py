"""The studio in Chromium, as a person uses it; results are held against the command's."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request

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
        encoding="utf-8",
        env=os.environ | (env or {}),
    )
    address, printed, up = f"http://127.0.0.1:{port}", [], threading.Event()

    def read():
        for line in process.stdout:
            printed.append(line)
            if address in line:
                up.set()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        while not up.wait(0.1):
            assert process.poll() is None, "".join(printed)
        yield address, process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
        reader.join()
        process.stdout.close()
    text = "".join(printed)
    # Gradio's own refusal of a file that was not uploaded is one
    assert text.count("Traceback (most") == text.count("raise InvalidPathError"), text
    assert "Warning" not in text, text


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
    opened.set_default_timeout(LONG / 5)
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


def status_of(address, path="/", body=None, **headers):
    asked = urllib.request.Request(address + path, body, headers)
    try:
        with urllib.request.urlopen(asked) as got:
            return got.status
    except urllib.error.HTTPError as error:
        return error.code


def test_other_files_and_other_names_are_not_served(studio, tmp_path):
    address = studio[0]
    assert status_of(address) == 200
    assert status_of(address, Host="evil.example") == 400
    assert status_of(address, "/config", Origin="http://evil.example") == 403
    assert status_of(address, "/config", Origin=address) == 200
    secret = tmp_path / "secret.txt"
    secret.write_text("x")
    for path in (secret, "/etc/passwd", studio[1] / "x", "../../etc/passwd"):
        assert status_of(address, f"/gradio_api/file={path}") in (403, 404)


@pytest.mark.slow
def test_the_password_is_asked_for(tmp_path):
    word = tmp_path / "word"
    word.write_text("correct horse")
    word.chmod(0o600)
    with running(tmp_path, "--password-file", str(word)) as (address, _):
        assert status_of(address, "/config") == 401
        assert status_of(address, "/gradio_api/upload", b"x") == 401


def test_what_no_page_would_send_is_refused(page, studio):
    """The page's own calls, with a file that was not uploaded."""
    found = page.evaluate(
        """async () => {
      const press = window.gradio_config.dependencies.find(
        x => x.targets.some(([id, kind]) => kind == "click" && window.gradio_config.components
          .find(c => c.id == id).props.elem_id == "avatar-go"));
      const file = {path: "/etc/hostname", meta: {_type: "gradio.FileData"}};
      const body = {fn_index: press.id, session_hash: "stranger",
                    data: [file, ["dylan"], "128", 0]};
      await fetch("/gradio_api/queue/join", {method: "POST", body: JSON.stringify(body),
        headers: {"Content-Type": "application/json"}});
      return (await fetch("/gradio_api/queue/data?session_hash=stranger")).text();
    }"""
    )
    assert '"success":false' in found
    with open("/etc/hostname") as file:
        assert file.read().strip() not in found


@pytest.mark.slow
def test_several_pictures_a_clip_and_a_reference(page, tmp_path):
    heads = [drawing(tmp_path, person, name=f"{person}.png") for person in (3, 4, 5)]
    give(page, "style-files", *heads)
    assert press(page, "style")[0] == "done"
    assert page.locator("#style-results img").count() >= 3
    notes = tmp_path / "notes.png"
    notes.write_text("no picture")
    page.locator("#style-files").get_by_label("Clear").first.click()
    page.locator("#style-files input[type=file]").first.set_input_files(str(notes))
    page.wait_for_timeout(1500)
    ended, text = press(page, "style")
    assert ended == "failed" and text.startswith("notes.png: ")


@pytest.mark.slow
def test_avatars_are_the_commands(page, tmp_path):
    tab(page, "Avatar and stickers")
    head = drawing(tmp_path)
    give(page, "avatar-file", head)
    assert press(page, "avatar")[0] == "done"
    made = unpacked(download(page, "avatar-archive")[0], tmp_path / "made")
    commands.main(["avatar", str(head), "--out", str(tmp_path / "own")])
    for file in (tmp_path / "own").glob("*.png"):
        np.testing.assert_array_equal(pixels(made / file.name), pixels(file))


@pytest.mark.slow
def test_a_person_is_learned_drawn_and_forgotten(page, studio, tmp_path):
    tab(page, "Avatar and stickers", "Learn a person")
    heads = [drawing(tmp_path, 7, variant, f"{variant}.png", 128) for variant in range(5)]
    give(page, "learn-files", *heads)
    assert press(page, "learn") == ("failed", "Give a name.")
    page.fill("#learn-name input, #learn-name textarea", "anna")
    page.locator("#learn-effort").get_by_label("quick").check()
    page.click("#learn-go")
    page.wait_for_selector("#learn-sheet img", timeout=LONG)  # before it has ended
    page.wait_for_selector("#learn-status .done", timeout=LONG)
    assert (studio[1] / "persons" / "anna" / "person.json").is_file()
    tab(page, "Stickers")
    page.wait_for_timeout(1000)
    page.fill("#stickers-count input[type=number]", "3")
    assert press(page, "stickers")[0] == "done"
    assert page.locator("#stickers-results img").count() >= 3
    tab(page, "Forget a person")
    page.wait_for_timeout(1000)
    assert press(page, "forget")[1].startswith("Tick the box first")
    page.get_by_label("Yes, forget").check()
    assert press(page, "forget")[0] == "done"
    assert not (studio[1] / "persons" / "anna").exists()
    assert not list((studio[1] / "made" / "anna").glob("*/*.webp"))


@pytest.mark.slow
def test_pictures_become_larger_and_holes_are_filled(page, tmp_path):
    tab(page, "Restore")
    head = drawing(tmp_path, side=256)
    give(page, "larger-files", head)
    assert press(page, "larger")[0] == "done"
    made = unpacked(download(page, "larger-archive")[0], tmp_path / "made")
    own = ["--model", "fast", "--scale", "2"]
    commands.main(["restore", str(head), "--out", str(tmp_path / "own"), *own])
    np.testing.assert_array_equal(pixels(made / "head.png"), pixels(tmp_path / "own" / "head.png"))
    tab(page, "Fill holes")
    give(page, "holes-file", head)
    page.wait_for_selector("#holes-canvas canvas")
    page.wait_for_timeout(2000)
    assert press(page, "holes")[1].startswith("Paint over")
    box = page.locator("#holes-canvas canvas").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - 20, y)
    page.mouse.down()
    page.mouse.move(x + 20, y + 10, steps=8)
    page.mouse.up()
    page.wait_for_timeout(1000)
    assert press(page, "holes")[0] == "done"
    filled, was = pixels(download(page, "holes-archive")[0]), pixels(head)
    changed = np.abs(filled - was).max(-1) > 0
    assert 0 < changed.mean() < 0.5 and not changed[:16].any()


@pytest.mark.slow
def test_drawing_mixing_and_walking(page, tmp_path):
    tab(page, "Draw")
    assert press(page, "draw")[0] == "done"
    assert page.locator("#draw-results img").count() >= 8
    page.fill("#draw-seeds input, #draw-seeds textarea", "0-999")
    assert press(page, "draw")[1].startswith("1000 pictures; at most")
    page.fill("#draw-seeds input, #draw-seeds textarea", "1,2")
    for section, button in (("Mix styles", "Draw a matrix"), ("Walk from", "Make a walk")):
        page.get_by_role("button", name=section).click()
        assert press(page, "draw", f'button:has-text("{button}")')[0] == "done"
        page.wait_for_selector("#draw-sheet img")


@pytest.mark.slow
def test_training_is_watched_stopped_gone_on_with_and_compared(page, studio):
    tab(page, "Train")
    page.get_by_label("Built-in heads, 32 x 32").check()
    page.fill("#train-name input, #train-name textarea", "mine")
    page.fill("#train-kimg input", "2")
    page.click("#train-go")
    page.wait_for_selector("#train-losses svg, #train-losses canvas", timeout=LONG)
    page.click("#train-stop")
    page.wait_for_selector("#train-status .done", timeout=LONG)
    assert "Stopped" in page.locator("#train-status .done").first.inner_text()
    page.get_by_text("Go on with a run").click()
    page.click("#train-go-on")
    page.wait_for_selector("#now-stop")
    page.reload()  # the page knows no more of it, and still can stop it
    page.click("#now-stop")
    page.wait_for_selector("#now-stop", state="hidden")
    tab(page, "Train")
    page.fill("#train-name input, #train-name textarea", "mine")
    workdir = studio[1] / "runs" / "mine"
    assert list((workdir / "checkpoints").glob("*/manifest.json"))
    assert press(page, "train")[1].startswith("There is a run named mine.")
    page.get_by_text("Go on with a run").click()
    assert press(page, "train", "#train-go-on")[0] == "done"
    tab(page, "Compare")
    page.locator("#compare-runs input").first.check()
    assert press(page, "compare")[0] == "done"
    frame = page.frame_locator("#compare-page iframe")
    frame.get_by_role("heading", name="Numbers").wait_for()


@pytest.mark.slow
def test_two_pages_take_turns_and_a_closed_one_leaves_the_line(browser, studio, tmp_path):
    pages = [browser.new_page(viewport=DESKTOP) for _ in range(3)]
    for page in pages:
        page.goto(studio[0])
        page.wait_for_selector("#style-go")
        tab(page, "Avatar and stickers")
        give(page, "avatar-file", drawing(tmp_path))
    for page in pages:
        page.click("#avatar-go")
    pages[1].wait_for_selector("#avatar-status .busy")
    pages[1].close()  # its job waits, or runs: the others end in any case
    for page in (pages[0], pages[2]):
        page.wait_for_selector("#avatar-status .done", timeout=LONG)
        page.close()


@pytest.mark.slow
def test_it_is_used_by_the_keyboard_alone(page, tmp_path):
    give(page, "style-files", drawing(tmp_path))
    page.keyboard.press("Tab")
    reached = []
    for _ in range(80):
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.role"))
        if reached[-1] == "style-go":
            break
        page.keyboard.press("Tab")
    assert "tab" in reached and reached[-1] == "style-go"
    page.keyboard.press("Enter")
    page.wait_for_selector("#style-status .done", timeout=LONG)
