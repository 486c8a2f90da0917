"""Screenshots of a studio that runs, as the docs have them:
python tools/studio_screenshots.py head.png anna --out docs/images.

head.png: a photograph of a person; anna: a folder of drawings of one, as tools/draw_person.py
makes. Needs the extra `test` and Chromium. The person is learned in some minutes, the run trained.
"""

import pathlib
import shutil

from playwright.sync_api import Page, sync_playwright

from gan_jax.runtime import cli

LONG = 1_800_000  # milliseconds


def main(argv: list[str] | None = None) -> None:
    parser = cli.Parser(__doc__)
    add = parser.add_argument
    add("head", type=pathlib.Path, help="a photograph")
    add("person", type=pathlib.Path, help="folder of one person's drawings")
    add("--port", type=int, default=7860, help="of the studio (default %(default)s)")
    add("--out", type=pathlib.Path, required=True, help="folder for studio_TAB.png")
    flags = parser.parse_args(argv)
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1200, "height": 860})
        page.set_default_timeout(LONG)
        page.goto(f"http://127.0.0.1:{flags.port}")

        def done(name):
            finish(page, name)
            page.evaluate("scrollTo(0, 0)")
            page.wait_for_timeout(1500)
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


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).first.click()


def give(page: Page, place: str, *files: pathlib.Path) -> None:
    """Uploads files."""
    page.locator(f"#{place} input[type=file]").first.set_input_files([str(x) for x in files])
    page.wait_for_timeout(3000)


def finish(page: Page, name: str) -> None:
    """Presses a panel's button, and waits for the end."""
    page.click(f"#{name}-go")
    page.wait_for_selector(f"#{name}-status .done, #{name}-status .failed")


if __name__ == "__main__":
    cli.tool(main)
