"""The page that runs a network in the browser: its files, and what Chromium makes of them."""

import base64
import functools
import http.server
import io
import json
import re
import shutil
import tarfile
import threading

import numpy as np
import pytest
from PIL import Image

from gan_jax.inference import export_onnx, exportable, restore, web

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def test_the_page_asks_nobody_else():
    files = {name: raw.decode() for name, raw in web.own_files().items()}
    text = files["index.html"]
    assert "default-src 'none'" in text and "connect-src 'self'" in text
    for name, content in files.items():
        assert not re.findall(r"https?://(?!www\.w3\.org)", content), name
    local = {*re.findall(r'(?:href|src)="([^"]+)"', text)}
    local |= set(
        re.findall(r'"([\w.-]+\.\w+)"', files["sw.js"].partition("PAGE =")[2].split("]")[0])
    )
    assert local - {"model.json"} <= files.keys()
    ids = set(re.findall(r'id="([\w-]+)"', text))
    assert set(re.findall(r'\$\("([\w-]+)"\)', files["app.js"])) <= ids


def archive(path, name="onnxruntime-web", version=web.VERSION, missing=()):
    """A file as npm packs onnxruntime-web, of a few bytes."""
    files = {"package/package.json": json.dumps({"name": name, "version": version}).encode()}
    for part in (*web.ENGINES, *(f"{b}{end}" for b in web.BINARIES for end in (".mjs", ".wasm"))):
        files[f"package/dist/{part}"] = part.encode()
    with tarfile.open(path, "w:gz") as tar:
        for member, raw in files.items():
            if member not in missing:
                info = tarfile.TarInfo(member)
                info.size = len(raw)
                tar.addfile(info, io.BytesIO(raw))
    return path


def test_the_runtime_is_that_of_the_page(tmp_path):
    found = web.unpacked(archive(tmp_path / "a.tgz"))
    worker = web.own_files()["worker.js"].decode()
    assert set(re.findall(r'"(ort[\w.-]+)"', worker)) == found.keys()
    for changed in (
        {"version": "1.0.0"},
        {"name": "other"},
        {"missing": [f"package/dist/{web.ENGINES[0]}"]},
    ):
        with pytest.raises(ValueError, match=r"not what `npm pack onnxruntime-web@.*` makes"):
            web.unpacked(archive(tmp_path / "b.tgz", **changed))
    (tmp_path / "c.tgz").write_text("none")
    with pytest.raises(ValueError, match="--runtime=.*c.tgz: not what"):
        web.unpacked(tmp_path / "c.tgz")


def test_without_npm_one_line_says_what_to_do(tool, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    done = tool("export", "portraits-x4", "--out", tmp_path, "--format", "web")
    assert done.returncode == 1 and "Elsewhere run `npm pack onnxruntime-web@" in done.stderr


def test_a_page_is_written(tool, tmp_path):
    runtime = archive(tmp_path / "a.tgz")
    done = tool(
        *("export", "portraits-x4", "--out", tmp_path, "--format", "web", "--runtime", runtime)
    )
    assert done.returncode == 0 and "python -m http.server" in done.stdout, done.stderr
    page = tmp_path / "web"
    assert (page / "LICENSE-onnxruntime-web.txt").is_file()
    about = json.loads((page / "model.json").read_text())
    assert about["kind"] == "restore" and about["scale"] == 4 and about["classes"] == []
    assert about["bytes"] == (page / export_onnx.FULL).stat().st_size


# ---- in a browser


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """name of a model -> the address of its page."""
    if CHROMIUM is None or shutil.which("npm") is None:
        pytest.skip("it needs chromium and npm")
    root, servers = tmp_path_factory.mktemp("pages"), []
    runtime = web.pack(root)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    @functools.cache
    def address(name):
        folder, _ = web.save(exportable.load(name), root / name, name, runtime)
        handler = functools.partial(Quiet, directory=folder)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/"

    yield address
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = chromium.new_context(viewport={"width": 390, "height": 844})
        context.set_default_timeout(120_000)
        yield context
        chromium.close()


def opened(browser, address):
    """The page, ready; and the addresses that are asked for while it is used."""
    page, asked = browser.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    return page, asked


def result(page, n):
    """The picture of the n-th result, uint8 [h, w, 4]."""
    page.wait_for_selector(f'body[data-results="{n}"]')
    text = page.evaluate("document.getElementById('result').toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text.partition(",")[2]))))


@pytest.fixture
def picture(tmp_path):
    """(its file, uint8 [60, 52, 3])."""
    y, x = np.mgrid[:60, :52]
    colors = np.stack([4 * x, 4 * y, 128 + 60 * np.sin(x / 5)], -1).astype(np.uint8)
    Image.fromarray(colors).save(tmp_path / "mine.png")
    return tmp_path / "mine.png", colors


@pytest.mark.slow
def test_a_translator_in_the_browser_is_pythons_and_works_without_a_network(
    pages, browser, picture
):
    file, colors = picture
    page, asked = opened(browser, pages("ten-styles"))
    page.set_input_files("#file", file)
    result(page, 1)
    page.focus("#style0")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.wait_for_selector("#style4:checked")
    page.wait_for_selector("body:not(.busy)")
    page.wait_for_selector("#result[aria-label*='pixel-art']")
    sampler = exportable.load("ten-styles")
    wanted = sampler.stylize(colors, style="pixel-art")
    n = int(page.evaluate("document.body.dataset.results"))
    found = result(page, n)
    assert found.shape == (60, 52, 4) and (found[..., 3] == 255).all()
    assert np.abs(found[..., :3].astype(int) - wanted).max() <= 2
    local = (pages("ten-styles"), "blob:")
    assert len(asked) > 5 and all(url.startswith(local) for url in asked), asked
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    browser.set_offline(True)
    page.reload()
    page.wait_for_selector("body[data-ready]")
    page.set_input_files("#file", file)
    assert result(page, 1).shape == (60, 52, 4)


@pytest.mark.slow
def test_a_restorer_in_the_browser_is_pythons_in_tiles_too(pages, browser, picture, tmp_path):
    file, colors = picture
    page, _ = opened(browser, pages("portraits-x4"))
    restorer = restore.Restorer(*restore.load("portraits-x4"), tile=web.TILE)
    page.set_input_files("#file", file)
    found = result(page, 1)
    assert np.abs(found[..., :3].astype(int) - restorer.enlarged(colors)).max() <= 2
    large = np.tile(colors, (5, 6, 1))  # 300x312
    Image.fromarray(large).save(tmp_path / "large.png")
    page.set_input_files("#file", tmp_path / "large.png")
    found = result(page, 2)
    away = np.abs(found[..., :3].astype(int) - restorer.enlarged(large))
    assert away.mean() < 0.1 and away.max() <= 8  # it is blended a little otherwise
    # with alpha: enlarged beside the colors
    clear = np.dstack([colors, np.full(colors.shape[:2], 255, np.uint8)])
    clear[:, 26:, 3] = 0
    Image.fromarray(clear).save(tmp_path / "clear.png")
    page.set_input_files("#file", tmp_path / "clear.png")
    alpha = result(page, 3)[..., 3]
    assert (alpha[:, :96] == 255).all() and not alpha[:, 112:].any()


@pytest.mark.slow
def test_what_is_no_picture_and_what_is_too_large_is_said(pages, browser, tmp_path):
    page, _ = opened(browser, pages("ten-styles"))
    (tmp_path / "words.txt").write_text("words")
    page.set_input_files("#file", tmp_path / "words.txt")
    page.wait_for_selector("#error:visible")
    assert "words.txt is no picture that this browser can read" in page.inner_text("#error")
    Image.new("RGB", (900, 4000), (9, 99, 199)).save(tmp_path / "tall.png")
    page.set_input_files("#file", tmp_path / "tall.png")
    result(page, 1)
    assert "yours, 14x64 after it was made smaller" in page.inner_text("#source-caption")


@pytest.mark.slow
def test_noise_and_holes_in_the_browser(pages, browser, picture):
    page, _ = opened(browser, pages("portraits"))
    page.wait_for_selector('body[data-results="1"]')
    first = page.locator("#grid img").first.get_attribute("src")
    assert page.locator("#grid img").count() == 8
    page.click("#another")
    page.wait_for_selector('body[data-results="2"]')
    assert page.locator("#grid img").first.get_attribute("src") != first
    assert page.input_value("#seed") == "8"
    file, colors = picture
    page, _ = opened(browser, pages("portraits-fill"))
    page.set_input_files("#file", file)
    page.wait_for_selector("#before:visible")
    page.click("#go")
    page.wait_for_selector("#error:visible")
    assert "Nothing is marked yet" in page.inner_text("#error")
    page.focus("#marks")  # a keyboard is enough
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Space")
    page.click("#go")
    changed = (result(page, 1)[..., :3] != colors).any(-1)
    assert 5 < changed.sum() < 300 and changed[25:35, 20:30].any()
