"""A page for people: facts by name and one table, as columns on a terminal, else as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from emdist.report.lines import say
from emdist.sums import whole

#: Texts of a list that are shown, one to a line: feature names may be very many.
_LINES = 20


@dataclass(frozen=True)
class Page:
    """Facts by name, and a table of numbers below them.

    Attributes
    ----------
    facts
        Name and value; a name of "" goes on from the fact before.
    header, rows
        Of the table; no header for no table.
    """

    facts: Sequence[tuple[str, str]]
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()

    def to_markdown(self) -> str:
        """Two Markdown tables."""
        lines = ["| | |", "|---|---|", *(f"| {n} | {_escaped(v)} |" for n, v in self.facts)]
        if self.header:
            lines += ["", _line(self.header), "|" + " --: |" * len(self.header)]
            lines += [_line(row) for row in self.rows]
        return "\n".join(lines) + "\n"

    def __rich__(self) -> RenderableType:
        facts = Table.grid(padding=(0, 2))
        facts.add_column(style="dim", no_wrap=True)
        # Folded, never cut off: paths and digests are there to be copied.
        facts.add_column(overflow="fold")
        for name, value in self.facts:
            facts.add_row(Text(name), Text(value))
        if not self.header:
            return facts
        table = Table(box=None, header_style="dim", pad_edge=False)
        for name in self.header:
            table.add_column(name, justify="right")
        for row in self.rows:
            table.add_row(*(Text(cell) for cell in row))
        return Group(facts, Text(), table)


def _escaped(value: str) -> str:
    return value.replace("|", "\\|")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_escaped(cell) for cell in cells)} |"


def counted(count: float) -> str:
    """Rows, or a sum of sample weights, for people: ``36,369``."""
    number = whole(count)
    return f"{number:,}" if isinstance(number, int) else f"{number:,.12g}"


def data_facts(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was read, as a summary has it: its shape, and its blocks."""
    return [
        ("data", f"{data['array']}: {data['rows']:,} rows x {data['features']} {data['dtype']}"),
        ("read as", f"{data['blocks']} block(s), {decimal(data['bytes'])} decoded"),
    ]


def page_of(values: Mapping[str, Any]) -> Page:
    """JSON values as facts: a mapping's entries and a list of texts one to a line."""
    return Page(
        [(name, text) for key, value in values.items() for name, text in _facts(key, value)]
    )


def _facts(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _facts(f"{name}.{key}", inner)
    elif isinstance(value, list) and value and isinstance(value[0], str):
        for at, item in enumerate(value[:_LINES]):
            yield name if at == 0 else "", item
        if len(value) > _LINES:
            yield "", f"and {len(value) - _LINES} more"
    elif value not in (None, "", [], ()):
        yield name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def show(page: Page) -> None:
    """`page` on standard output."""
    console = Console()
    if console.is_terminal:
        console.print(page)
    else:
        say(page.to_markdown().removesuffix("\n"))
