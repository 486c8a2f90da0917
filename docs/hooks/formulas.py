r"""LaTeX between \( \) or \[ \] becomes MathML when the site is built: pages need no script."""

import re
from html import unescape

from latex2mathml import converter

FORMULA = re.compile(r'<(span|div) class="arithmatex">(.*?)</\1>', re.S)


def on_page_content(html: str, **_) -> str:
    return FORMULA.sub(_to_mathml, html)


def _to_mathml(match: re.Match) -> str:
    tag, latex = match[1], unescape(match[2]).strip()
    if tag == "span":
        return converter.convert(latex[2:-2].strip(), display="inline")
    return f'<div class="formula">{converter.convert(latex[2:-2].strip(), display="block")}</div>'
