"""The display of a running fit: a live panel, plain lines, JSON lines, or nothing."""

from __future__ import annotations

import json
import logging
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.measure import Measurement
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from emdist.fit.events import (
    Began,
    Caching,
    Event,
    Iterated,
    Linked,
    Listener,
    Planned,
    Progress,
    Saved,
    Warned,
    unheard,
)
from emdist.report.lines import say
from emdist.report.logged import fields_of, json_log, logs_json
from emdist.report.outlook import Outlook, PassOutlook, duration
from emdist.wording import Layer, renamed

Mode = Literal["auto", "plain", "json", "quiet"]

_SHOWN = 8
_STAGES = {
    "open": "starting",
    "wait": "waiting for another process",
    "ingest": "copying the data into Zarr",
    "survey": "surveying all rows in one pass",
    "fit": "fitting",
    "score": "scoring all models in one pass",
    "label": "labelling",
}

#: Seconds without output before the progress of a pass is printed: the first wait, the longest.
_PATIENCE = (10.0, 600.0)

#: Seconds between two JSON lines about the progress within a pass.
_JSON_EVERY = 1.0

#: Columns of the panel's table that are left out if the terminal is too narrow, in this order.
_OPTIONAL = ("GB/s", "shift", "rows/s", "change")


class Panel:
    """The live panel on a terminal. It keeps the events so far, because it draws them again.

    Parameters
    ----------
    layer
        The layer that the user is in. Notes name settings as that layer does.
    clock
        Returns seconds.
    """

    def __init__(
        self, layer: Layer = "configuration", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._layer: Layer = layer
        self._clock = clock
        self._stage = _STAGES["open"]
        self._stage_began = clock()
        self._header = ""
        self._pass = PassOutlook(clock)
        self._outlook = Outlook()
        self._iterated: list[Iterated] = []
        self._saved = ""
        self._link = ""
        self._caching = ""
        self._warned: list[str] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Began):
            stage = _STAGES.get(event.stage, event.stage)
            if stage != self._stage:  # A wait is told again and again.
                self._stage_began, self._pass = self._clock(), PassOutlook(self._clock)
            self._stage = stage
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
            self._saved = str(event)
        elif isinstance(event, Linked):
            self._link = str(event)
        elif isinstance(event, Caching):
            self._caching = renamed(str(event), self._layer)
        elif isinstance(event, Warned):
            self._warned.append(renamed(event.message, self._layer))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        parts: list[RenderableType] = [Text(self._header)] if self._header else []
        spent = duration(self._clock() - self._stage_began)
        parts.append(Text.assemble((self._stage, "bold"), f" for {spent}{self._left()}"))
        parts += [Text(f"note: {message}", style="yellow") for message in self._warned[-3:]]
        if self._iterated:
            parts.append(self._fitting(console, options))
        if self._pass.now is not None and self._pass.now.done < self._pass.now.total:
            parts.append(self._bar(self._pass.now))
        if self._link:
            parts.append(Text(self._link, style="dim"))
        if self._caching:
            parts.append(Text(self._caching, style="dim"))
        if self._saved:
            parts.append(Text(self._saved, style="dim"))
        yield Group(*parts)

    def _fitting(self, console: Console, options: ConsoleOptions) -> Table:
        """Return the table of iterations, with as many columns as the terminal can show."""
        boundless = options.update(width=1000)
        for count in range(len(_OPTIONAL) + 1):
            table = self._table(_OPTIONAL[:count])
            if Measurement.get(console, boundless, table).maximum <= options.max_width:
                break
        return table

    def _table(self, without: Sequence[str] = ()) -> Table:
        """Return the table of the newest iterations, without some of its columns."""
        last = self._iterated[-1]
        # For a sweep, show the newest iteration of each model, the least recent model first.
        newest: dict[str, Iterated] = {}
        for event in self._iterated:
            newest.pop(event.fit, None)
            newest[event.fit] = event
        shown = self._iterated[-_SHOWN:] if not last.fit else list(newest.values())[-2 * _SHOWN :]
        lines = [cells(event, self._outlook.restarts) for event in shown]
        table = Table(box=None, header_style="dim", pad_edge=False)
        names = [name for name in lines[0] if name not in without]
        names = [name for name in names if any(line[name] for line in lines)]
        for name in names:
            table.add_column(name, justify="right", overflow="fold")
        for line in lines:
            table.add_row(*(line[name] for name in names))
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


def cells(event: Iterated, restarts: int = 1) -> dict[str, str]:
    """Format an iteration as texts by column; a text is empty if there is nothing to say.

    `restarts` is the number of restarts of the fit, as far as it is known.
    """
    record, seconds = event.record, max(event.seconds, 1e-9)
    several = restarts > 1 or record.restart > 0
    mended = f" ({record.reseeded} reseeded)" if record.reseeded else ""
    mended += f" ({record.dropped} dropped)" if record.dropped else ""
    mended += " (step rejected)" if record.rejected else ""
    return {
        "model": event.fit,
        "restart": restart_of(record.restart, restarts) if several else "",
        "iteration": f"{record.iteration}",
        "objective": f"{record.objective:.10g}{mended}",
        "change": "" if math.isnan(record.change) else f"{record.change:+.3e}",
        "shift": f"{record.shift:.3e}",
        "rows/s": f"{event.rows / seconds:,.0f}",
        "GB/s": f"{event.nbytes / seconds / 1e9:.3f}",
        "pass": duration(event.seconds),
    }


def restart_of(restart: int, restarts: int) -> str:
    """Format the number of a restart, which counts from 0: ``2 of 10``."""
    return f"{restart + 1} of {restarts}" if restarts > restart else f"{restart + 1}"


def _iterated(event: Iterated, restarts: int, left: str) -> str:
    """Format an iteration as one line."""
    found = cells(event, restarts)
    place = [f"{name} {found[name]}" for name in ("model", "restart", "iteration") if found[name]]
    facts = [f"{name} {found[name]}" for name in ("objective", "change", "shift") if found[name]]
    speed = f"pass {found['pass']} ({found['rows/s']} rows/s, {found['GB/s']} GB/s)"
    return f"{', '.join(place)}: {', '.join([*facts, speed, *([left] if left else [])])}"


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
            return _iterated(event, self._outlook.restarts, self._outlook.left(event))
        if isinstance(event, Saved | Linked):
            return str(event)
        if isinstance(event, Caching):
            return renamed(str(event), self._layer)
        if isinstance(event, Warned):
            return f"note: {renamed(event.message, self._layer)}"
        return ""


def _planned(event: Planned) -> str:
    change = f"the change of the objective is below {event.tol:.3g}"
    rule = change if event.on == "objective" else f"the shift is at most {event.tol:.3g}"
    resumed = f"continuing after iteration {event.done}; " if event.done else ""
    return f"{resumed}stopping when {rule}, or after iteration {event.max_iter}"


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
        say(json.dumps(fields_of(event), allow_nan=False))


@contextmanager
def display(mode: Mode, layer: Layer = "configuration") -> Iterator[Listener]:
    """Return a listener that displays events in the given mode, while the context lasts.

    "auto" is the panel on a terminal, and plain lines elsewhere. Both name settings as `layer`
    does. JSON is for programs, and uses the keys of a configuration.
    """
    if mode == "quiet":
        # Otherwise a logger says that kernels are compiled.
        logger = logging.getLogger("emdist.kernels")
        before = logger.level
        logger.setLevel(logging.ERROR)
        try:
            yield unheard
        finally:
            logger.setLevel(before)
        return
    if mode == "json":
        yield JsonLines()
        return
    if logs_json():
        with json_log() as log:
            yield log
        return
    console = Console(stderr=True)
    if mode == "plain" or not console.is_terminal:
        yield PlainLines(layer=layer)
        return
    panel = Panel(layer)
    with Live(panel, console=console, refresh_per_second=8):
        yield panel
