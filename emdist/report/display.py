"""The display of a running fit: a live panel, plain lines, JSON lines, or nothing."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
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
from emdist.report.lines import finite, say
from emdist.report.outlook import Outlook, PassOutlook, duration
from emdist.wording import Layer, renamed

Mode = Literal["auto", "plain", "json", "quiet"]

_SHOWN = 8
_STAGES = {
    "open": "starting",
    "ingest": "bringing the data into Zarr",
    "survey": "surveying: one read of all rows",
    "fit": "fitting",
    "score": "scoring: one read for all models",
    "label": "labelling",
}

#: Seconds without output before the progress of a pass is printed: the first wait, the longest.
_PATIENCE = (10.0, 600.0)

#: Seconds between two JSON lines about the progress within a pass.
_JSON_EVERY = 1.0


class Panel:
    """The live panel on a terminal. It keeps the events so far, because it draws them again.

    Parameters
    ----------
    layer
        The layer that the user is in. Notes name settings as that layer does.
    """

    def __init__(self, layer: Layer = "configuration") -> None:
        self._layer: Layer = layer
        self._stage = _STAGES["open"]
        self._stage_began = time.monotonic()
        self._header = ""
        self._pass = PassOutlook()
        self._outlook = Outlook()
        self._iterated: list[Iterated] = []
        self._saved = ""
        self._warned: list[str] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Began):
            self._stage = _STAGES.get(event.stage, event.stage)
            self._stage_began, self._pass = time.monotonic(), PassOutlook()
            if event.note:
                self._header = event.note
        elif isinstance(event, Progress):
            self._pass.progressed(event)
        elif isinstance(event, Planned):
            self._outlook.planned = event
        elif isinstance(event, Iterated):
            self._iterated.append(event)
            self._outlook.iterated(event)
        elif isinstance(event, Saved):
            self._saved = _saved(event)
        elif isinstance(event, Warned):
            self._warned.append(renamed(event.message, self._layer))

    def __rich__(self) -> RenderableType:
        parts: list[RenderableType] = [Text(self._header)] if self._header else []
        spent = duration(time.monotonic() - self._stage_began)
        parts.append(Text.assemble((self._stage, "bold"), f" for {spent}{self._left()}"))
        parts += [Text(f"note: {message}", style="yellow") for message in self._warned[-3:]]
        if self._iterated:
            parts.append(self._table())
        if self._pass.now is not None:
            parts.append(self._bar(self._pass.now))
        if self._saved:
            parts.append(Text(self._saved, style="dim"))
        return Group(*parts)

    def _table(self) -> Table:
        table = Table(box=None, header_style="dim", pad_edge=False)
        last = self._iterated[-1]
        for name in ("iteration", "objective", "change", "shift", "rows/s", "GB/s", "took"):
            table.add_column(f"model {name}" if name == "iteration" and last.fit else name,
                             justify="right")  # fmt: skip
        # For a sweep, show the newest iteration of each model, the least recent model first.
        newest: dict[str, Iterated] = {}
        for event in self._iterated:
            newest.pop(event.fit, None)
            newest[event.fit] = event
        shown = self._iterated[-_SHOWN:] if not last.fit else list(newest.values())[-2 * _SHOWN :]
        for event in shown:
            table.add_row(*cells(event))
        return table

    def _bar(self, progress: Progress) -> RenderableType:
        what, so_far = Text(self._pass.name), self._pass.so_far()
        if not so_far:
            return what
        grid = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=progress.total, completed=progress.done, width=30)
        grid.add_row(what, bar, Text(so_far))
        return grid

    def _left(self) -> str:
        if not self._iterated or self._stage != _STAGES["fit"]:
            return ""
        # Restarts advance side by side, so the estimate uses the newest iteration.
        left = self._outlook.left(self._iterated[-1])
        return f", {left}" if left else ""


def cells(event: Iterated) -> tuple[str, ...]:
    """Format an iteration as text: number, objective, change, shift, rows/s, GB/s, seconds."""
    record, seconds = event.record, max(event.seconds, 1e-9)
    number = f"{record.iteration}" if not record.restart else f"{record.restart}:{record.iteration}"
    number = f"{event.fit} {number}".strip()
    change = "" if math.isnan(record.change) else f"{record.change:+.3e}"
    mended = f" ({record.reseeded} reseeded)" if record.reseeded else ""
    mended += f" ({record.dropped} dropped)" if record.dropped else ""
    mended += " (given up)" if record.rejected else ""
    return (
        number,
        f"{record.objective:.10g}{mended}",
        change,
        f"{record.shift:.3e}",
        f"{event.rows / seconds:,.0f}",
        f"{event.nbytes / seconds / 1e9:.3f}",
        duration(event.seconds),
    )


def _saved(event: Saved) -> str:
    return f"checkpoint after {event.iterations} iterations in {event.where}"


class PlainLines:
    """Print one line per event on standard error, for logs, and progress during long passes.

    It has state: it prints the stop rule once, although every segment announces it; it estimates
    the remaining iterations from earlier ones; and it prints progress only if nothing else was
    printed for a while.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, layer: Layer = "configuration"
    ) -> None:
        self._clock = clock
        self._layer: Layer = layer
        self._planned = False
        self._outlook = Outlook()
        self._pass = PassOutlook(clock)
        self._said, self._patience = clock(), _PATIENCE[0]

    def __call__(self, event: Event) -> None:
        line = self._progress(event) if isinstance(event, Progress) else self._line(event)
        if line:
            if not isinstance(event, Progress):
                self._patience = _PATIENCE[0]
            self._said = self._clock()
            say(line, sys.stderr)

    def _progress(self, event: Progress) -> str:
        """Format how far a pass is, at intervals that double; empty if it is too early."""
        self._pass.progressed(event)
        if self._clock() - self._said < self._patience or not (so_far := self._pass.so_far()):
            return ""
        self._patience = min(2 * self._patience, _PATIENCE[1])
        return f"{self._pass.name}: {so_far}"

    def _line(self, event: Event) -> str:
        if isinstance(event, Began):
            stage = _STAGES.get(event.stage, event.stage)
            return f"{stage}: {event.note}" if event.note else stage
        if isinstance(event, Planned):
            told, self._planned, self._outlook.planned = self._planned, True, event
            return "" if told else _planned(event)
        if isinstance(event, Iterated):
            self._outlook.iterated(event)
            left = self._outlook.left(event)
            number, objective, change, shift, rows, nbytes, took = cells(event)
            return (
                f"iteration {number}: objective {objective}, change {change or '-'}, shift "
                f"{shift}, {rows} rows/s, {nbytes} GB/s, took {took}{'; ' if left else ''}{left}"
            )
        if isinstance(event, Saved):
            return _saved(event)
        if isinstance(event, Warned):
            return f"note: {renamed(event.message, self._layer)}"
        return ""


def _planned(event: Planned) -> str:
    what = "change of the objective" if event.on == "objective" else "shift"
    goes_on = f"going on after iteration {event.done}, " if event.done else ""
    return f"{goes_on}until the {what} is {event.tol:.3g}, iteration {event.max_iter} at the latest"


class JsonLines:
    """Print one JSON object per event on standard output; NaN becomes null.

    It has state, the time of the last progress line. Without a limit, data of a thousand blocks
    would fill a log with progress.
    """

    def __init__(self) -> None:
        self._told = -math.inf

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progress) and event.done < event.total:
            now = time.monotonic()
            if now - self._told < _JSON_EVERY:
                return
            self._told = now
        values = {"event": type(event).__name__.lower(), **asdict(event)}
        say(json.dumps(finite(values), allow_nan=False))


@contextmanager
def display(mode: Mode, layer: Layer = "configuration") -> Iterator[Listener]:
    """Return a listener that displays events in the given mode, while the context lasts.

    "auto" is the panel on a terminal, and plain lines elsewhere. Both name settings as `layer`
    does. JSON is for programs, and uses the keys of a configuration.
    """
    if mode == "quiet":
        yield unheard
        return
    if mode == "json":
        yield JsonLines()
        return
    console = Console(stderr=True)
    if mode == "plain" or not console.is_terminal:
        yield PlainLines(layer=layer)
        return
    panel = Panel(layer)
    with Live(panel, console=console, refresh_per_second=8):
        yield panel
