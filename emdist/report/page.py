"""`Page`: facts and one table, shown in columns on a terminal and as Markdown elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import Console, Group, RenderableType
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from emdist.report.lines import say
from emdist.sums import whole

#: How many entries of a list are shown, one per line. A list of feature names can be very long.
_LINES = 20
#: How many characters of an option of a step are shown.
_WIDTH = 40
#: Facts whose values are sentences.
_SENTENCES = ("doubt", "note")


@dataclass(frozen=True)
class Page:
    """Facts by name, and a table of numbers below them.

    Attributes
    ----------
    facts
        Pairs of name and value. An empty name continues the fact before.
    header, rows
        Header and rows of the table; an empty header means no table.
    texts
        The columns of the table that hold text, by their header. The others hold numbers.
    """

    facts: Sequence[tuple[str, str]]
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    texts: Sequence[str] = ()

    def to_markdown(self) -> str:
        """Return the page as paragraphs of doubts and notes, a table of facts and the table.

        Sentences are no cells: web pages, such as those of Prefect, cut long cells off.
        """
        facts: list[str] = []
        sentences: list[str] = []
        last = ""
        for name, value in self.facts:
            last = name or last
            if last in _SENTENCES and name:
                sentences += [f"**{name}:** {value}", ""]
            elif last in _SENTENCES:
                sentences[-2] += f" {value}"
            else:
                facts.append(f"| {name} | {_escaped(value)} |")
        lines = list(sentences)
        if facts or not (self.header or sentences):
            lines += ["| | |", "|---|---|", *facts]
        if self.header:
            sides = "".join(" --- |" if name in self.texts else " --: |" for name in self.header)
            lines += [*([""] if facts else []), _line(self.header), f"|{sides}"]
            lines += [_line(row) for row in self.rows]
        return "\n".join(lines) + "\n"

    def __rich__(self) -> RenderableType:
        facts = Table.grid(padding=(0, 2))
        facts.add_column(style="dim", no_wrap=True)
        # Values are folded and never cut off, because users copy paths and digests.
        facts.add_column(overflow="fold")
        for name, value in self.facts:
            facts.add_row(Text(name), Text(value))
        if not self.header:
            return facts
        table = Table(box=None, header_style="dim", pad_edge=False)
        for at, name in enumerate(self.header):
            # On a narrow terminal, headers are folded before numbers are.
            longest = max((len(row[at]) for row in self.rows), default=0)
            side: Literal["left", "right"] = "left" if name in self.texts else "right"
            table.add_column(name, justify=side, overflow="fold", min_width=longest)
        for row in self.rows:
            table.add_row(*(Text(cell) for cell in row))
        return Group(facts, Text(), table) if self.facts else table


def _escaped(value: str) -> str:
    return value.replace("|", "\\|")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_escaped(cell) for cell in cells)} |"


def counted(count: float) -> str:
    """Format a number of rows, or a sum of sample weights: ``36,369``."""
    number = whole(count)
    return f"{number:,}" if isinstance(number, int) else f"{number:,.12g}"


def numbered(count: float, thing: str) -> str:
    """Format a number of things: ``1 row``, ``36,369 rows``."""
    return f"{counted(count)} {thing}{'' if count == 1 else 's'}"


def data_facts(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the facts about the data of a summary: shape and blocks."""
    return [
        ("data", f"{data['array']}: {data['rows']:,} rows x {data['features']} {data['dtype']}"),
        ("read as", f"{numbered(data['blocks'], 'block')}, {decimal(data['bytes'])} decoded"),
        *([("prepared", steps)] if (steps := listed_steps(data.get("prepare") or ())) else []),
        *(("", note) for note in data.get("prepare_notes", ())),
        *(("doubt", doubt) for doubt in data.get("prepare_doubts", ())),
    ]


def listed_steps(steps: Sequence[Any]) -> str:
    """Return steps of a configuration in one line: ``log1p, pca (components: 8)``."""
    told = []
    for step in steps:
        for name, options in step.items() if isinstance(step, Mapping) else [(step, {})]:
            inner = ", ".join(f"{key}: {_brief(value)}" for key, value in options.items())
            told.append(f"{name} ({inner})" if inner else str(name))
    return ", ".join(told)


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]}..."


def page_of(values: Mapping[str, Any]) -> Page:
    """Make a page of JSON values; entries of a mapping and texts of a list get a line each."""
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
    """Print `page` on standard output."""
    console = Console()
    if console.is_terminal:
        console.print(page)
    else:
        say(page.to_markdown().removesuffix("\n"))
