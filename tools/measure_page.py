"""How long an exported page takes in Chromium: python tools/measure_page.py out/web photo.jpg.

Prints the bytes that the first visit loads, the seconds until the network is ready, of the first
visit and of a second one, the first result's and the median of five more, and the most memory that
the page's process had. The page runs on the processor, by one thread.
"""

import functools
import http.server
import pathlib
import re
import shutil
import statistics
import threading
import time

from gan_jax.runtime import cli

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
SENT = []  # bytes of each answer


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def copyfile(self, source, target):
        SENT.append(len(content := source.read()))
        target.write(content)


def main(argv: list[str] | None = None) -> None:
    parser = cli.Parser(__doc__)
    parser.add_argument("page", type=pathlib.Path, help="folder that `export --format web` wrote")
    parser.add_argument("picture", type=pathlib.Path, nargs="?", help="where it takes one")
    flags = parser.parse_args(argv)

    from playwright.sync_api import sync_playwright

    handler = functools.partial(Handler, directory=flags.page)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        page = browser.new_context().new_page()
        ready = [visit(page, f"http://127.0.0.1:{server.server_port}/?engine=wasm")]
        loaded = sum(SENT)
        ready.append(visit(page, page.url))
        took = [result(page, flags.picture, n) for n in range(1, 7)]
        processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")
        pages = [p["id"] for p in processes["processInfo"] if p["type"] == "renderer"]
        memory = max(map(peak, pages))
        browser.close()
    print(f"loaded {loaded / 1e6:.1f} MB, ready in {ready[0]:.1f} s, again {ready[1]:.1f} s")
    print(f"first result {took[0]} ms, then {statistics.median(took[1:]):.0f} ms, {memory} MB")


def visit(page, address):
    began = time.monotonic()
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    return time.monotonic() - began


def result(page, picture, n):
    """Milliseconds that the n-th result took, as the page says."""
    if picture is not None:
        page.set_input_files("#file", [])  # the same file again would be no change
        page.set_input_files("#file", picture)
    elif n > 1:
        page.click("#another")
    page.wait_for_selector(f'body[data-results="{n}"]:not(.busy)', timeout=300_000)
    return int(page.evaluate("document.body.dataset.took"))


def peak(process):
    """Megabytes that a process had at most."""
    status = pathlib.Path(f"/proc/{process}/status").read_text("utf-8")
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) // 1000


if __name__ == "__main__":
    cli.tool(main)
