"""What a fit shows while it runs: a live panel, plain lines, JSON lines, or nothing."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Literal

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from emdist.fit.events import (
    Began,
    Event,
    Iterated,
    Listener,
    Planned,
    Progress,
    Saved,
    Warned,
    unheard,
)

Mode = Literal["auto", "plain", "json", "quiet"]

_SHOWN = 8
_STAGES = {
    "ingest": "bringing the data into Zarr",
    "survey": "surveying: one read of all rows",
    "fit": "fitting",
    "label": "labelling",
}


def duration(seconds: float) -> str:
    """``3.2 s``, ``4 min 10 s``, ``2 h 5 min``."""
    if not math.isfinite(seconds):
        return "?"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60)} min"


def iterations_left(values: list[float], tol: float, left: int) -> int:
    """How many more iterations until `values`, falling geometrically, are below `tol`.

    `values` are the last sizes of what is compared with `tol`, `left` what max_iter allows.
    """
    sizes = [abs(v) for v in values[-6:] if math.isfinite(v) and v != 0]
    if len(sizes) < 3 or tol <= 0 or sizes[-1] >= sizes[0]:
        return left
    rate = math.log(sizes[0] / sizes[-1]) / (len(sizes) - 1)
    return min(left, max(1, math.ceil(math.log(max(sizes[-1] / tol, 1.0)) / rate)))


class Panel:
    """The live display; it has state because it draws what has come so far."""

    def __init__(self) -> None:
        self._stage = "starting"
        self._stage_began = time.monotonic()
        self._pass: Progress | None = None
        self._pass_began = time.monotonic()
        self._planned: Planned | None = None
        self._iterated: list[Iterated] = []
        self._saved = ""
        self._warned: list[str] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Began):
            self._stage = _STAGES.get(event.stage, event.stage)
            self._stage_began, self._pass = time.monotonic(), None
        elif isinstance(event, Progress):
            if self._pass is None or event.what != self._pass.what:
                self._pass_began = time.monotonic()
            self._pass = event
        elif isinstance(event, Planned):
            self._planned = event
        elif isinstance(event, Iterated):
            self._iterated.append(event)
        elif isinstance(event, Saved):
            self._saved = f"checkpoint after {event.iterations} iterations in {event.where}"
        else:
            self._warned.append(event.message)

    def __rich__(self) -> RenderableType:
        parts: list[RenderableType] = [Text(f"{self._stage}{self._left()}", style="bold")]
        parts += [Text(f"note: {message}", style="yellow") for message in self._warned[-3:]]
        if self._iterated:
            parts.append(self._table())
        if self._pass is not None:
            parts.append(self._bar(self._pass))
        if self._saved:
            parts.append(Text(self._saved, style="dim"))
        return Group(*parts)

    def _table(self) -> Table:
        table = Table(box=None, header_style="dim", pad_edge=False)
        for name in ("iteration", "objective", "change", "shift", "rows/s", "GB/s", "took"):
            table.add_column(name, justify="right")
        for event in self._iterated[-_SHOWN:]:
            table.add_row(*cells(event))
        return table

    def _bar(self, progress: Progress) -> RenderableType:
        spent = time.monotonic() - self._pass_began
        left = ""
        if 0 < progress.done < progress.total:
            left = f", {duration(spent / progress.done * (progress.total - progress.done))} left"
        grid = Table.grid(padding=(0, 1))
        grid.add_row(
            Text(progress.what),
            ProgressBar(total=progress.total, completed=progress.done, width=30),
            Text(f"{progress.done}/{progress.total} blocks{left}"),
        )
        return grid

    def _left(self) -> str:
        if self._planned is None or not self._iterated or self._stage != _STAGES["fit"]:
            return ""
        planned, records = self._planned, [e.record for e in self._iterated]
        sizes = [r.shift if planned.on == "shift" else r.change for r in records]
        allowed = planned.max_iter - records[-1].iteration
        more = iterations_left(sizes, planned.tol, allowed)
        recent = [e.seconds for e in self._iterated[-5:]]
        seconds = more * sum(recent) / len(recent)
        bound = "at most" if more == allowed else "about"
        return f"  {bound} {more} more iterations, {bound} {duration(seconds)}"


def cells(event: Iterated) -> tuple[str, ...]:
    """One iteration as text: number, objective, change, shift, rows/s, GB/s, seconds."""
    record, seconds = event.record, max(event.seconds, 1e-9)
    number = f"{record.iteration}" if not record.restart else f"{record.restart}:{record.iteration}"
    change = "" if math.isnan(record.change) else f"{record.change:+.3e}"
    mended = f" ({record.reseeded} reseeded)" if record.reseeded else ""
    mended += f" ({record.dropped} dropped)" if record.dropped else ""
    return (
        number,
        f"{record.objective:.10g}{mended}",
        change,
        f"{record.shift:.3e}",
        f"{event.rows / seconds:,.0f}",
        f"{event.nbytes / seconds / 1e9:.3f}",
        duration(event.seconds),
    )


def plain(event: Event) -> None:
    """One line per event on standard error, for logs."""
    line = ""
    if isinstance(event, Began):
        line = f"{_STAGES.get(event.stage, event.stage)} {event.note}".rstrip()
    elif isinstance(event, Iterated):
        number, objective, change, shift, rows, nbytes, took = cells(event)
        line = (
            f"iteration {number}: objective {objective}, change {change or '-'}, shift {shift}, "
            f"{rows} rows/s, {nbytes} GB/s, {took}"
        )
    elif isinstance(event, Saved):
        line = f"checkpoint after {event.iterations} iterations in {event.where}"
    elif isinstance(event, Warned):
        line = f"note: {event.message}"
    if line:
        print(line, file=sys.stderr, flush=True)


def json_line(event: Event) -> None:
    """One JSON object per event on standard output; NaN becomes null."""
    values = {"event": type(event).__name__.lower(), **asdict(event)}
    print(json.dumps(_finite(values), allow_nan=False), flush=True)


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


@contextmanager
def display(mode: Mode) -> Iterator[Listener]:
    """A listener that shows events in the way asked for, while the context lasts.

    "auto" is the panel on a terminal and plain lines elsewhere.
    """
    if mode == "quiet":
        yield unheard
        return
    if mode == "json":
        yield json_line
        return
    console = Console(stderr=True)
    if mode == "plain" or not console.is_terminal:
        yield plain
        return
    panel = Panel()
    with Live(panel, console=console, refresh_per_second=8):
        yield panel
