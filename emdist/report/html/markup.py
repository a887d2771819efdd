"""Parts of a page as HTML: text is always escaped, because names of features may hold anything."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from emdist.plot.svg import Svg


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes
    ----------
    text
        What is shown.
    value
        The number by which the column is sorted; None to sort by the text.
    shade
        A CSS colour that marks the row; "" for none.
    """

    text: str
    value: float | None = None
    shade: str = ""


def number(value: float, digits: int = 4) -> Cell:
    """Return a cell with a number; a dash for NaN."""
    if not math.isfinite(value):
        return Cell("-")
    return Cell(f"{value:,.{digits}g}", value)


def count(value: float) -> Cell:
    """Return a cell with a number of rows."""
    return Cell(f"{value:,.0f}" if value == round(value) else f"{value:,.6g}", value)


def percent(value: float, digits: int = 3) -> Cell:
    """Return a cell with a share as a percentage."""
    return Cell("-") if not math.isfinite(value) else Cell(f"{100 * value:.{digits}g} %", value)


def text(words: str) -> str:
    """Return a paragraph."""
    return f"<p>{escape(words)}</p>"


def listing(items: Sequence[str], kind: str = "") -> str:
    """Return a list of sentences."""
    if not items:
        return ""
    inner = "".join(f"<li>{escape(item)}</li>" for item in items)
    return f'<ul class="{kind}">{inner}</ul>' if kind else f"<ul>{inner}</ul>"


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Return names and values; an empty name continues the one before."""
    rows = []
    for name, value in pairs:
        rows.append(f"<dt>{escape(name)}</dt>" if name else "")
        rows.append(f"<dd>{escape(value)}</dd>")
    return f"<dl>{''.join(rows)}</dl>"


def code(words: str, label: str) -> str:
    """Return text to be copied, such as a command."""
    return f'<pre tabindex="0" aria-label="{escape(label)}"><code>{escape(words)}</code></pre>'


def table(caption: str, header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Return a table whose columns sort when their header is chosen."""
    heads = "".join(
        f'<th scope="col"><button type="button">{escape(name)}</button></th>' for name in header
    )
    lines = []
    for row in rows:
        cells = []
        for at, cell in enumerate(row):
            sort = "" if cell.value is None else f' data-v="{cell.value!r}"'
            mark = f'<i class="key" style="background:{cell.shade}"></i>' if cell.shade else ""
            tag, scope = ("th", ' scope="row"') if at == 0 else ("td", "")
            kind = ' class="n"' if cell.value is not None else ""
            cells.append(f"<{tag}{scope}{kind}{sort}>{mark}{escape(cell.text)}</{tag}>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f"<table><caption>{escape(caption)}</caption><thead><tr>{heads}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def figure(found: Svg, note: str = "") -> str:
    """Return a figure with its title, and its description for people who cannot see it."""
    below = f" {escape(note)}" if note else ""
    caption = f"<figcaption><b>{escape(found.title)}.</b>{below}</figcaption>"
    return f"<figure>{found.markup}{caption}</figure>"


def section(name: str, title: str, parts: Sequence[str]) -> str:
    """Return a section of the page; empty parts are left out."""
    return (
        f'<section id="{name}" aria-labelledby="h-{name}"><h2 id="h-{name}">{escape(title)}</h2>'
        f"{''.join(parts)}</section>"
    )
