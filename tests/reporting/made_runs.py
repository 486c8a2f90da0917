"""Small made-up runs, and the report's page as a parser sees it."""

import html
import html.parser
import json
import re

import numpy as np

from gan_jax.data.images import save_png
from gan_jax.reporting import page as report_page
from gan_jax.reporting import runs

PROTOCOL = {
    "images": 1000,
    "features": {"name": "efflite0", "dim": 1280},
    "resize": "bicubic",
    "seed": 0,
    "truncation": None,
    "commit": "fcaaa54",
    "versions": {"jax": "0.10.2"},
}
ABOUT = {
    "kid_efflite0": {
        "better": -1,
        "error": "kid_efflite0_se",
        "control_of": None,
        "about": "distance from the real pictures",
    },
    "precision_efflite0": {"better": 1, "error": None, "control_of": None},
    "recall_efflite0": {"better": 1, "error": None, "control_of": None},
    "memorised_efflite0": {"better": 0, "error": None, "control_of": None},
    "memorised_held_out_efflite0": {
        "better": 0,
        "error": None,
        "control_of": "memorised_efflite0",
    },
    "diversity_real_efflite0": {
        "better": 0,
        "error": None,
        "control_of": "diversity_efflite0",
    },
    "cas": {"better": 1, "error": None, "control_of": None},
    "cas_real": {"better": 1, "error": None, "control_of": "cas", "about": "of real pictures"},
}
VOID = {"meta", "img", "input", "wbr"}


class Page(html.parser.HTMLParser):
    """(tag, attributes, text inside) of every element, in the order in which they open."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(text)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.elements.append([tag, dict(attributes), ""])
        if tag not in VOID:
            self.open.append(self.elements[-1])

    def handle_startendtag(self, tag, attributes):
        self.elements.append([tag, dict(attributes), ""])

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, text):
        for element in self.open:
            element[2] += text

    def all(self, tag, **wanted):
        wanted = {name.strip("_"): value for name, value in wanted.items()}
        return [e for e in self.elements if e[0] == tag and wanted.items() <= e[1].items()]

    def text(self, tag, **wanted):
        return " ".join(" ".join(element[2] for element in self.all(tag, **wanted)).split())


def evaluation(images, kid, **more):
    values = {"kid_efflite0": kid, "kid_efflite0_se": 0.001, "precision_efflite0": 0.5}
    return {
        "step": images // 32,
        "images": images,
        "values": values,
        "about": ABOUT,
        "protocol": PROTOCOL,
        "seconds": 3.5,
    } | more


def make_run(folder, evaluations=None, config=None, grids=3):
    """A whole run of 3,000 images."""
    folder.mkdir(parents=True)
    config = config or {"algorithm": "noise_to_image", "total_kimg": 4.0, "opt_g": {"lr": 0.1}}
    (folder / "config.json").write_text(json.dumps(config))
    loss = lambda n: {
        "step": n,
        "images": n * 32,
        "img/s": 200.0 + n,
        "d/logits": 0.2,
        "d/loss": 1 / n,
        "d/r1": 0.1,
        "g/loss": n / 9,
    }
    write_lines(folder / "metrics.jsonl", [loss(n) for n in range(1, 90)])
    for n in range(grids):
        image = np.full((8, 16, 3), 20 * (n % 12), np.uint8)
        save_png(folder / "samples" / f"{1000 * (n + 1):010d}.png", image)
    save_png(folder / "evaluation" / "near.png", np.zeros((4, 12, 3), np.uint8))
    curve = {"noise": [[0, 0.01], [10, 0.02]], "jpeg": [[0, 0.01], [40, 0.04]], "blur": []}
    last = {
        "curves": {"kid_efflite0": curve, "held_out/kid_efflite0": curve},
        "groups": {
            "diversity_efflite0": {"dylan": 0.2, "micah": 0.4},
            "diversity_real_efflite0": {"dylan": 0.3},
        },
        "tables": {
            "usefulness": {"columns": ["real images", "accuracy"], "rows": [[100, "0.71 ± 0.02"]]}
        },
        "pictures": {"neighbors": {"file": "evaluation/near.png", "caption": "left: generated"}},
        "notes": {"precision_efflite0": "flatters: it saw all"},
    }
    evaluations = evaluations or [
        evaluation(1000, 0.3),
        evaluation(2000, 0.02),
        evaluation(3000, 0.025, **last),
    ]
    write_lines(folder / "evaluations.jsonl", evaluations)
    return folder


def write_lines(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def page_of(*folders):
    return report_page.page(runs.read(folders))


def section_of(text, name):
    return text.partition(f'<section id="{name}">')[2].partition("</section>")[0]


def rows_of(section):
    """The text of each cell of its tables."""
    rows = re.findall("<tr>.*?</tr>", section, re.DOTALL)
    return [
        [re.sub(r"\n\s*", "", e[2]) for e in Page(row).elements if e[0] in ("th", "td")]
        for row in rows
    ]


def svg_of(text, title):
    return next(
        s for s in re.findall(r"<svg.*?</svg>", text, re.DOTALL) if f'aria-label="{title}' in s
    )
