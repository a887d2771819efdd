"""Figures as SVG for pages: they follow the colours of the page and have a description."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from html import escape
from typing import Any

from emdist.plot.chart import PLAIN, chart
from emdist.plot.findings import Findings
from emdist.runtime.extras import need

#: Colours that stand for those of the page: its ink, its lines.
_INK, _LINE = "#010203", "#040506"
_STYLE = PLAIN | {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10.0,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _LINE,
    "axes.grid": False,
    "xtick.color": _LINE,
    "ytick.color": _LINE,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "legend.labelcolor": _INK,
}
_DPI = 110


@dataclass(frozen=True)
class Svg:
    """A figure of a page.

    Attributes
    ----------
    kind
        The name of the figure.
    title, text
        Its title, and what it shows in words.
    markup
        The element ``<svg>``, complete.
    """

    kind: str
    title: str
    text: str
    markup: str


def to_svg(findings: Findings, kind: str, title: str = "", **options: Any) -> Svg:
    """Draw a figure as SVG; parameters and errors are those of `emdist.plot.plot`.

    The same findings give the same bytes.
    """
    one = chart(kind)
    matplotlib: Any = need("matplotlib", "Drawing a figure")
    figures: Any = need("matplotlib.figure", "Drawing a figure")
    name = "-".join([kind, *(re.sub(r"\W+", "-", str(v)) for v in options.values())])
    with matplotlib.rc_context(_STYLE | {"svg.hashsalt": name}):
        figure = figures.Figure(figsize=one.size, layout="constrained")
        axes = figure.add_subplot()
        text = one.draw(axes, findings, **options)
        out = io.StringIO()
        # Without these, the file would hold the date and the version of matplotlib.
        empty = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(out, format="svg", dpi=_DPI, metadata=empty)
    return Svg(
        kind, title or one.title, text, _inline(out.getvalue(), name, title or one.title, text)
    )


def _inline(markup: str, name: str, title: str, text: str) -> str:
    """Return an SVG file as an element of a page."""
    body = markup[markup.index("<svg") :]
    head, rest = body.split(">", 1)
    box = re.search(r'viewBox="[^"]*"', head)
    rest = re.sub(r"<metadata>.*?</metadata>", "", rest, flags=re.DOTALL)
    # Names of groups occur once in each figure, and must be unique in a page.
    rest = re.sub(r'<g id="[^"]*"', "<g", rest)
    rest = rest.replace(_INK, "currentColor").replace(_LINE, "var(--faint)")
    ids = f"t-{name} d-{name}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'{box.group(0) if box else ""} role="img" aria-labelledby="{ids}">'
        f'<title id="t-{name}">{escape(title)}</title><desc id="d-{name}">{escape(text)}</desc>'
        f"{rest.strip()}"
    )
