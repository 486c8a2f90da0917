"""How a report looks: curves as SVG in the page's own colours, tables, pictures, the style sheet
and the script."""

import base64
import dataclasses
import html
import io
import math
import re
import statistics
import struct
from collections.abc import Iterable, Mapping, Sequence

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

MOST_POINTS = 80  # a curve; of more log lines, neighbours are drawn as their mean and their range
LIGHT = (
    "#0072b2",
    "#c85200",
    "#00855f",
    "#b0558b",
    "#2e8fc9",
    "#946600",
    "#666666",
)  # Okabe and Ito, darkened
DARK = ("#5ab4f0", "#ff8a4c", "#3fcba0", "#e59ac6", "#a5dcff", "#f2b84b", "#bbbbbb")
MARKERS, GLYPHS = "osD^vPX*", "●■◆▲▼✚✖★"  # a run's mark, in charts and in legends
STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the layout is the same on any machine
    "svg.fonttype": "none",
    "svg.hashsalt": "gan_jax",
    "text.parse_math": False,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "axes.formatter.useoffset": False,
    "axes.formatter.limits": (-3, 4),
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), "#00ff00"
    ),
    "grid.color": "#00ff01",
}
text = html.escape


@dataclasses.dataclass
class Line:
    """One curve of a chart; low and high are the edges of its band."""

    run: int
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    control: bool = False  # of real pictures: dashed, without marks


@dataclasses.dataclass
class Picture:
    """A whole PNG."""

    png: bytes

    @classmethod
    def of(cls, png: bytes) -> "Picture | None":
        """None for what is no PNG, or one that was cut short."""
        whole = len(png) >= 45 and png.startswith(b"\x89PNG\r\n\x1a\n") and png[-8:-4] == b"IEND"
        return cls(png) if whole else None

    def tag(self, alt: str) -> str:
        width, height = struct.unpack(">II", self.png[16:24])
        # what is enlarged stays pixels; what is shrunk is smoothed
        kind = "pixel" if width <= 640 else "photo"
        size = f'width="{width}" height="{height}" style="max-width:{4 * width}px"'
        uri = base64.b64encode(self.png).decode()
        return f'<img class="{kind}" {size} alt="{text(alt)}" src="data:image/png;base64,{uri}">'


def thinned(run: int, points: Sequence[tuple[float, float]]) -> Line:
    """At most MOST_POINTS of them: the means of neighbours, and the range within each as the
    band."""
    size = max(1, math.ceil(len(points) / MOST_POINTS))
    bins = [points[n : n + size] for n in range(0, len(points), size)]
    finite = [
        [y for y in _bounded(y for _, y in each) if math.isfinite(y)] or [math.nan] for each in bins
    ]
    x, y = (
        [statistics.fmean(x for x, _ in each) for each in bins],
        list(map(statistics.fmean, finite)),
    )
    return Line(run, x, y, *((list(map(min, finite)), list(map(max, finite))) if size > 1 else ()))


def chart(
    labels: Sequence[str], title: str, panels: Mapping[str, Sequence[Line]], xlabel: str, **drawn
) -> str:
    """A figure with its caption and legend; panels, by their y label, stand above one another on
    one x axis."""
    lines = [line for panel in panels.values() for line in panel if any(map(math.isfinite, line.y))]
    keys = [key(labels, i) for i in sorted({line.run for line in lines})]
    keys += ['<span><i class="dash"></i> real pictures</span>'] * any(
        line.control for line in lines
    )
    drawing = (
        _svg(panels, xlabel, title, **drawn) if lines else '<p class="bad">no finite value</p>'
    )
    legend = f'<p class="keys">{" ".join(keys)}</p>'
    return f'<figure class="chart"><figcaption>{text(title)}</figcaption>{drawing}{legend}</figure>'


def _svg(
    panels,
    xlabel: str,
    title: str,
    marks: bool = True,
    log: bool = False,
    ticks: Sequence[str] = (),
) -> str:
    """SVG whose text is text and whose colours are the page's: stand-in colours are replaced by CSS
    variables."""
    height = 0.75 + (2.05 if len(panels) == 1 else 1.25 * len(panels))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.3, height), layout="constrained")
        axes = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
        for ax, (name, lines) in zip(axes, panels.items(), strict=True):
            for line in lines:
                _draw(ax, line, marks)
            values = [y for line in lines for y in line.y if math.isfinite(y)]
            if log and values and min(values) > 0 and max(values) > 8 * min(values):
                ax.set_yscale("log")
                ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                ax.yaxis.set_major_formatter("{x:g}")
                ax.yaxis.set_minor_formatter(NullFormatter())
            ax.set_ylabel(_simple(name, 30) + (", log" if ax.get_yscale() == "log" else ""))
            ax.margins(x=0.03)
            if ticks:
                ax.set_xticks(range(len(ticks)), ticks)
        axes[-1].set_xlabel(_simple(xlabel, 60))
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(
        r"<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>| xmlns(:\w+)?=\"[^\"]*\"",
        "",
        svg,
        flags=re.S,
    )
    svg = re.sub(
        r'<svg width="[^"]*" height="[^"]*"',
        f'<svg role="img" aria-label="{text(title)}"',
        svg,
        count=1,
    )
    svg = re.sub(r"#0000([0-9a-f]{2})\b", lambda found: f"var(--r{int(found[1], 16) - 1})", svg)
    return re.sub(
        r"\n\s*", "\n", svg.replace("#00ff00", "currentColor").replace("#00ff01", "var(--grid)")
    )


def _draw(ax, line: Line, marks: bool) -> None:
    y, colour = _bounded(line.y), f"#0000{1 + line.run % 255:02x}"
    last = max((n for n, value in enumerate(y) if math.isfinite(value)), default=0)
    shape = {"marker": MARKERS[line.run % len(MARKERS)], "markevery": None if marks else [last]}
    if line.control:
        shape = {"linestyle": (0, (4, 2.5)), "linewidth": 1.2}
    ax.plot(line.x, y, color=colour, **shape)
    if any(a != b for a, b in zip(line.low, line.high, strict=True)):
        ax.fill_between(
            line.x, _bounded(line.low), _bounded(line.high), color=colour, alpha=0.18, linewidth=0
        )


def _bounded(numbers: Iterable[float]) -> list[float]:
    """What an axis can show: sums and spans of larger numbers overflow."""
    return [y if abs(y) < 1e30 else math.nan for y in numbers]


def _simple(label: str, most: int) -> str:
    """What every font can draw, and not too long for an axis."""
    label = re.sub("[^ -~À-ž]", "?", label)
    return label if len(label) <= most else label[: most - 1] + "~"


def key(labels: Sequence[str], i: int) -> str:
    """A run's mark and name."""
    glyph = GLYPHS[i % len(GLYPHS)]
    return f'<span class="key"><i style="color:var(--k{i})">{glyph}</i> {text(labels[i])}</span>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    cells = lambda row: "".join(
        f"<td>{c}</td>" if n else f'<th scope="row">{c}</th>' for n, c in enumerate(row)
    )
    body = "".join(f"<tr>{cells(row)}</tr>" for row in rows)
    return (
        "<div"
        f' class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def document(title: str, n_runs: int, body: str) -> str:
    """The whole page around `body`: style and script inline, nothing from outside allowed."""
    colours = lambda palette: "".join(
        f"--r{i}:{palette[i % len(palette)]};--k{i}:{palette[i % len(palette)]};"
        for i in range(n_runs)
    )
    css = f":root{{{colours(LIGHT)}}}@media(prefers-color-scheme:dark){{:root{{{colours(DARK)}}}}}{CSS}"
    return (
        '<!doctype html>\n<html lang="en" data-error=""><head><meta charset="utf-8">'
        '<meta name="viewport"'
        f' content="width=device-width,initial-scale=1">{POLICY}<title>{text(title)}</title>'
        f"<style>{css}</style><script>{GUARD}</script></head><body>{body}<script>{SCRIPT}</script></body></html>\n"
    )


POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">"
)
GUARD = "window.onerror=message=>{document.documentElement.dataset.error+=message+';'}"
CSS = """
:root{color-scheme:light dark;--bg:#fcfcfb;--card:#fff;--ink:#1d2127;--soft:#5d6570;--edge:#dfe2e6;--grid:#e4e6ea;
--best:#d8efe1;--tie:#3f8f63;--warn:#fff1d6;--warnink:#6b4300;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--bg:#121418;--card:#1a1d23;--ink:#e6e8eb;--soft:#9aa3ae;--edge:#30353d;
--grid:#2b3038;--best:#1d4a34;--tie:#58b884;--warn:#3d2d0c;--warnink:#ffd98a;--bad:#ff8a80}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
header,main{max-width:1360px;margin:auto;padding:0 clamp(12px,2.5vw,32px)}
h1{font-size:clamp(20px,3vw,28px);line-height:1.2;margin:28px 0 16px;overflow-wrap:anywhere}
h2{font-size:20px;margin:0 0 8px}h3{font-size:15px;margin:0 0 6px;overflow-wrap:anywhere}
section{margin:36px 0;scroll-margin-top:60px}p{margin:0 0 10px;color:var(--soft)}
small{display:block;color:var(--soft);font-weight:400;font-size:12px}code,pre{font:13px/1.45 ui-monospace,Menlo,Consolas,monospace}
code{overflow-wrap:anywhere}td code{overflow-wrap:break-word}.key{color:var(--ink);font-weight:600}.key i{font-style:normal}
.cards,.charts,.players{display:grid;gap:16px;grid-template-columns:repeat(auto-fit,minmax(min(340px,100%),1fr))}
.charts{grid-template-columns:repeat(auto-fill,minmax(min(340px,100%),1fr));align-items:start}article{max-width:640px}.wide{display:grid;gap:16px;grid-template-columns:repeat(auto-fit,minmax(min(380px,100%),1fr))}
article,.chart,.player,.wide>figure{background:var(--card);border:1px solid var(--edge);border-radius:10px;
padding:14px;margin:0;min-width:0}
article{border-top:4px solid var(--c)}article p{margin:0}.big{font-size:19px;color:var(--ink)}
progress{display:block;width:100%;height:6px;margin:4px 0 8px;accent-color:var(--c)}
.chips{display:flex;flex-wrap:wrap;gap:6px 18px;margin-top:10px;font-weight:500;line-height:1.3}
.notes{margin:8px 0 0;padding-left:18px;color:var(--warnink);font-size:13px;overflow-wrap:anywhere}
nav{position:sticky;top:0;z-index:1;display:flex;gap:6px 14px;align-items:center;overflow-x:auto;white-space:nowrap;
background:var(--bg);border-bottom:1px solid var(--edge);padding:8px clamp(12px,2.5vw,32px);margin-top:20px;font-size:14px}
nav a{color:var(--soft);text-decoration:none}nav a:hover{color:var(--ink);text-decoration:underline}
.legend{display:flex;gap:6px}
button{font:inherit;color:inherit;background:var(--card);border:1px solid var(--edge);border-radius:7px;padding:3px 10px;cursor:pointer}
button:hover{border-color:var(--soft)}.switch[aria-pressed=false]{opacity:.4;text-decoration:line-through}
.warning{background:var(--warn);color:var(--warnink);border-left:5px solid currentColor;border-radius:6px;padding:12px 16px;margin:20px 0}
.warning .key{color:inherit}.warning table{margin-top:8px;background:none}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{text-align:left;vertical-align:top;padding:7px 18px 7px 0;border-bottom:1px solid var(--edge)}
thead th{vertical-align:bottom}tbody th{font-weight:500}.se{color:var(--soft);font-weight:400}
.best{background:var(--best);border-radius:4px;padding:1px 5px}
.tie{outline:1.5px solid var(--tie);border-radius:4px;padding:1px 5px;font-weight:inherit}
td>.best,td>.tie{margin-left:-6px}#numbers tbody td{padding-left:8px}#numbers thead th+th{padding-left:8px}
#numbers tbody th i{font-style:normal;color:var(--soft);font-size:12px;margin-left:6px;white-space:nowrap}
#numbers tbody th small{max-width:62ch}.control{color:var(--soft)}.bad{color:var(--bad);font-weight:600}.none{color:var(--soft)}
figure{margin:0}figcaption{font-size:14px;color:var(--soft);margin-top:6px;overflow-wrap:anywhere}
.chart figcaption{margin:0 0 6px;color:var(--ink);font-weight:600}.chart svg{display:block;width:100%;height:auto}
.chart svg text{font-family:inherit!important}.keys{margin:6px 0 0;font-size:13px;display:flex;flex-wrap:wrap;gap:2px 14px}
.keys .key{font-weight:400}.player{border-top:4px solid var(--c);max-width:860px}
.frames{display:grid;gap:10px;grid-template-columns:repeat(auto-fit,minmax(150px,1fr))}
img{display:block;width:100%;height:auto;border-radius:4px}.pixel{image-rendering:pixelated}
.controls{display:flex;gap:6px;align-items:center;margin-bottom:10px}.controls input{flex:1;min-width:0;accent-color:var(--c)}
[hidden]{display:none!important}.together{display:block;margin-bottom:10px}
.heat{padding:2px 10px;min-width:76px;border-radius:4px;background:rgb(58 140 210/var(--v))}
.heats td{padding:3px 10px 3px 0}.dash{display:inline-block;width:22px;border-top:2px dashed;vertical-align:middle}
details{margin-top:10px}summary{cursor:pointer}pre{overflow-x:auto;background:var(--card);border:1px solid var(--edge);
border-radius:8px;padding:12px;max-height:480px}
.wide td,#numbers td,#numbers thead th{white-space:nowrap}#numbers tbody th,#numbers thead th:first-child{position:sticky;left:0;background:var(--bg)}
@media(min-width:900px){nav{flex-wrap:wrap}}
@media(max-width:560px){th,td{padding-right:12px}#numbers table{display:grid;width:100%}#numbers thead,#numbers tbody{display:contents}
#numbers tr{display:grid;grid-template-columns:repeat(var(--n),minmax(132px,1fr));border-bottom:1px solid var(--edge)}
#numbers thead th:first-child{display:none}#numbers thead th,#numbers th,#numbers td{border:0;white-space:normal;overflow-wrap:anywhere}
#numbers tbody th{grid-column:1/-1;justify-self:start;max-width:calc(100vw - 24px);padding-bottom:0}}
"""
SCRIPT = """
(() => {
  const root = document.documentElement, together = document.querySelector("#together");
  const players = [...document.querySelectorAll(".player")].map(box => {
    const frames = [...box.querySelectorAll(".frame")], slider = box.querySelector("input");
    const play = box.querySelector(".play"), images = frames.map(frame => +frame.dataset.images);
    let at = frames.length - 1, timer = 0;
    const show = n => {
      at = (n + frames.length) % frames.length;
      frames.forEach((frame, i) => { frame.hidden = i !== at; });
      slider.value = at;
      slider.setAttribute("aria-valuetext", images[at] + " images");
    };
    const near = count => show(images.reduce((best, x, i) =>
      Math.abs(x - count) < Math.abs(images[best] - count) ? i : best, 0));
    const lead = n => {
      show(n);
      if (together && together.checked) players.forEach(other => other.box !== box && other.near(images[at]));
    };
    const stop = () => { clearInterval(timer); timer = 0; play.textContent = "\\u25b6"; play.ariaLabel = "play"; };
    const start = () => {
      players.forEach(other => other.stop());
      timer = setInterval(() => lead(at + 1), 450);
      play.textContent = "\\u275a\\u275a";
      play.ariaLabel = "pause";
    };
    play.onclick = () => timer ? stop() : start();
    slider.oninput = () => { stop(); lead(+slider.value); };
    box.querySelectorAll("[data-go]").forEach(button => {
      button.onclick = () => { stop(); lead(at + +button.dataset.go); };
    });
    box.querySelector(".controls").hidden = frames.length < 2;
    show(at);
    return {box, near, stop, frames};
  });
  if (together) together.parentElement.hidden = false;
  const go = () => {
    const asked = /^#images=(\\d+)$/.exec(location.hash);
    if (asked) players.forEach(player => player.near(+asked[1]));
  };
  window.onhashchange = go;
  go();
  document.querySelectorAll(".switch").forEach(button => {
    button.onclick = () => {
      const off = button.ariaPressed === "true", name = "--r" + button.dataset.run;
      button.ariaPressed = String(!off);
      off ? root.style.setProperty(name, "transparent") : root.style.removeProperty(name);
    };
  });
  root.dataset.frames = players.map(player => player.frames.length).join();
})();
"""
