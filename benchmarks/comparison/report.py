"""Format the results as tables: on the screen, and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.comparison.rows import Row

GROUPS = {
    "peers": "Ratio: time of the peer / time of emdist",
    "limits": "Ratio to a limit: what the limit allows / what emdist takes",
}
HEADINGS = (
    "workload", "compared with", "ratio", "range", "target", "emdist", "other", "peak memory",
    "other's peak",
)  # fmt: skip


def cells(row: Row) -> tuple[str, ...]:
    """Format a row as texts, one for each of `HEADINGS`."""
    return (
        row.title,
        row.rival,
        number(row.ratio),
        "-" if row.low is None else f"{number(row.low)}..{number(row.high)}",
        number(row.at_least),
        amount(row.ours, row.unit),
        amount(row.theirs, row.unit),
        memory(row.our_peak) + ("" if row.budget is None else f" of {memory(row.budget)}"),
        memory(row.their_peak),
    )


def number(value: float | None) -> str:
    """Format a number with two or three digits."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def amount(value: float | None, unit: str) -> str:
    """Format seconds or passes."""
    if value is None:
        return "-"
    if unit != "s":
        return f"{value:.1f}"
    return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"


def memory(value: int | None) -> str:
    """Format bytes in megabytes."""
    return "-" if value is None else f"{value / 1e6:.0f} MB"


def figures(row: Row) -> str:
    """Format the other figures of a row, such as rates, which tables of limits show."""
    parts = (
        f"{who}: " + ", ".join(f"{name} {value:.6g}" for name, value in found.items())
        for who, found in (("emdist", row.our_figures), (row.rival, row.their_figures))
        if found
    )
    return "; ".join(parts)


def show(rows: Sequence[Row], console: Console) -> None:
    """Print tables, figures and notes, and every disagreement in bold red."""
    for group, title in GROUPS.items():
        these = [row for row in rows if row.group == group]
        if these:
            console.print(_table(title, these))
    for row in rows:
        if row.note:
            console.print(f"[dim]{escape(f'{row.title} beside {row.rival}: {row.note}')}[/]")
        if row.group == "limits" and (told := figures(row)):
            console.print(f"[dim]{escape(f'{row.title}: {told}')}[/]")
    for row in rows:
        for text in row.disagreements:
            what = f"DISAGREEMENT: {row.title}, emdist and {row.rival}: {text}"
            console.print(f"[bold red]{escape(what)}[/]")
        if row.within_budget is False:
            what = f"OVER BUDGET: {row.title}: {memory(row.our_peak)} of {memory(row.budget)}"
            console.print(f"[bold red]{escape(what)}[/]")


def _table(title: str, rows: Iterable[Row]) -> Table:
    table = Table(title=title, title_justify="left")
    for at, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="left" if at < 2 else "right")
    last = ""
    for row in rows:
        texts = [escape(text) for text in cells(row)]
        if row.met is not None:
            texts[2] = f"[{'green' if row.met else 'red'}]{texts[2]}[/]"
        texts[0] = "" if row.title == last else texts[0]
        last = row.title
        table.add_row(*texts)
    return table


def markdown(rows: Sequence[Row]) -> str:
    """Format the same tables for a document."""
    parts = []
    for group, title in GROUPS.items():
        these = [row for row in rows if row.group == group]
        if not these:
            continue
        lines = [f"{title}.", "", f"| {' | '.join(HEADINGS)} |", "|---|---|" + "--:|" * 7]
        lines += [f"| {' | '.join(cells(row))} |" for row in these]
        parts.append("\n".join(lines))
        notes = sorted({f"- {row.title}, {row.rival}: {row.note}" for row in these if row.note})
        notes += [
            f"- {row.title}: {told}"
            for row in these
            if group == "limits" and (told := figures(row))
        ]
        notes += [f"- **Disagreement**: {row.title}, {row.rival}: {text}"
                  for row in these for text in row.disagreements]  # fmt: skip
        if notes:
            parts.append("\n".join(notes))
    return "\n\n".join(parts) + "\n"
