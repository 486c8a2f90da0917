"""A tour of the studio, with screenshots and seconds:
python tools/studio_tour.py head.png anna --folder pictures --out docs/images.

head.png: a photograph of a person; anna: a folder of drawings of one, as tools/draw_person.py
makes. Needs the extras `studio` and `test`, and Chromium. Times count from the command's start;
a person is learned in a minute or two, a small run trained.
"""

import contextlib
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from playwright.sync_api import Page, sync_playwright

from gan_jax.runtime import cli

LONG = 1_800_000  # milliseconds
START = "from gan_jax import commands; commands.main()"


def main(argv: list[str] | None = None) -> None:
    parser = cli.Parser(__doc__)
    add = parser.add_argument
    add("head", type=pathlib.Path, help="a photograph")
    add("person", type=pathlib.Path, help="folder of one person's drawings")
    add("--folder", type=pathlib.Path, required=True, help="the studio's, a new one")
    add("--out", type=pathlib.Path, required=True, help="folder for studio_TAB.png")
    add("--port", type=int, default=7861, help="of the studio (default %(default)s)")
    flags = parser.parse_args(argv)
    began = time.monotonic()

    def tell(what):
        print(f"{time.monotonic() - began:6.1f} s  {what}", flush=True)

    with studio(flags.folder, flags.port), sync_playwright() as play:
        tell("the studio is up")
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1200, "height": 860})
        page.set_default_timeout(LONG)
        page.goto(f"http://127.0.0.1:{flags.port}")
        page.wait_for_selector("#style-go")
        tell("the page is shown")

        def done(name):
            page.click(f"#{name}-go")
            page.wait_for_selector(f"#{name}-status .done, #{name}-status .failed")
            tell(f"{name}: {page.locator(f'#{name}-status .said').first.inner_text()}")
            page.evaluate("scrollTo(0, 0)")
            page.wait_for_timeout(2500)
            page.screenshot(path=flags.out / f"studio_{name}.png")

        give(page, "style-files", flags.head)
        done("style")
        tab(page, "Avatar and stickers")
        give(page, "avatar-file", flags.head)
        done("avatar")
        tab(page, "Learn a person")
        give(page, "learn-files", *sorted(flags.person.glob("*.png")))
        page.fill("#learn-name input, #learn-name textarea", "anna")
        page.locator("#learn-effort").get_by_label("quick").check()
        done("learn")
        tab(page, "Stickers")
        page.wait_for_timeout(1500)
        done("stickers")
        tab(page, "Draw")
        done("draw")
        tab(page, "Train")
        page.get_by_label("Built-in heads, 32 x 32").check()
        page.fill("#train-name input, #train-name textarea", "first")
        page.fill("#train-kimg input", "16")
        done("train")
        browser.close()


@contextlib.contextmanager
def studio(folder: pathlib.Path, port: int):
    """A studio that runs, for a block."""
    words = ["studio", "--folder", str(folder), "--no-browser", "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-c", START, *words], stdout=subprocess.PIPE, encoding="utf-8"
    )
    try:
        for line in process.stdout:
            if "the studio is at" in line:
                break
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).first.click()


def give(page: Page, place: str, *files: pathlib.Path) -> None:
    """Uploads files."""
    page.locator(f"#{place} input[type=file]").first.set_input_files([str(x) for x in files])
    page.wait_for_timeout(1500)


if __name__ == "__main__":
    cli.tool(main)
