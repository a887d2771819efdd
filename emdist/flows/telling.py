"""Report a run to Prefect by log lines, events and artifacts. Failures never stop the fit."""

from __future__ import annotations

import logging
import math
import re
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.events import emit_event
from prefect.exceptions import MissingContextError

from emdist.fit.events import Began, Caching, Event, Iterated, Planned, Progress, Saved, Warned
from emdist.fit.state import Record
from emdist.flows.workarounds.posting import Poster
from emdist.report.display import restart_of
from emdist.report.outlook import duration

#: Number of components in the table artifact, and of iterations in one event.
_SHOWN, _LINES = 500, 100


class Teller:
    """Listens to a run and reports its events to Prefect.

    It has state, because it reports at most once a second: the iterations that it has not reported
    yet, and the artifact that shows the progress.

    Parameters
    ----------
    key
        The key of the run, which also names the artifacts.
    poster
        Makes the calls of the API.
    """

    def __init__(self, key: str, poster: Poster) -> None:
        self.key = key
        self.slug = re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-")[:200] or "run"
        self.iterations = 0
        self._poster = poster
        self._max_iter = 100
        self._restarts = 1
        self._percent = 0.0
        self._line = ""
        self._untold: deque[dict[str, Any]] = deque(maxlen=_LINES)
        self._artifact: UUID | None = None

    def __call__(self, event: Event) -> None:
        """Report one event of the run."""
        if isinstance(event, Progress):
            self._show(f"{event.what}: {event.done:,} of {event.total or '?'}. {self._line}")
        elif isinstance(event, Iterated):
            self._iterated(event)
        elif isinstance(event, Planned):
            self._max_iter, self._restarts = event.max_iter, event.restarts
        elif isinstance(event, Began):
            stage = "run" if event.stage == "open" else event.stage
            say(logging.INFO, f"{stage} begins{event.note and ': '}{event.note}")
        elif isinstance(event, Saved | Caching):
            say(logging.INFO, str(event))
        elif isinstance(event, Warned):
            say(logging.WARNING, event.message)

    def _iterated(self, event: Iterated) -> None:
        self.iterations += 1
        self._line = described(event, self._restarts)
        say(logging.INFO, self._line)
        self._untold.append(told(event))
        self._poster.post("event", self._emit)
        # Restarts and models advance side by side, so the one that is furthest shows the progress.
        done = event.record.iteration / self._max_iter
        self._percent = max(self._percent, 100 * min(done, 0.99))
        self._show(self._line)

    def _emit(self) -> None:
        # This runs on the poster's thread, while the fit appends to the deque.
        lines = [self._untold.popleft() for _ in range(len(self._untold))]
        resource = {"prefect.resource.id": f"emdist.run.{self.slug}", "emdist.key": self.key}
        emit_event("emdist.iterated", resource, payload={"iterations": lines})

    def _show(self, text: str) -> None:
        self._poster.post("progress", lambda: self._put(self._percent, text))

    def _put(self, percent: float, text: str) -> None:
        if self._artifact is None:
            made = create_progress_artifact(percent, f"{self.slug}-progress", text)
            self._artifact = cast(UUID, made)  # It is a coroutine only in an async context.
        else:
            update_progress_artifact(self._artifact, percent, text)

    def finished(self, markdown: str, components: list[dict[str, Any]]) -> None:
        """Publish the summary as a page and the components as a table."""
        table = sorted(components, key=lambda row: -float(row["labelled"]))
        about = f"The {len(components)} components, the largest first"
        self.published(markdown, "components", table, about)

    def published(self, markdown: str, name: str, table: list[dict[str, Any]], about: str) -> None:
        """Publish the summary as a page, and the `table` called `name`."""
        self._percent = 100.0
        self._show("done")
        shown = table[:_SHOWN]
        self._poster.post(
            "table", lambda: create_table_artifact(shown, f"{self.slug}-{name}", about)
        )
        self._poster.post(
            "summary",
            lambda: create_markdown_artifact(
                markdown, f"{self.slug}-summary", "The summary of the run"
            ),
        )


@contextmanager
def teller(key: str) -> Iterator[Teller]:
    """Yield a teller for the run `key`. It sends its last reports when the context ends."""
    poster = Poster()
    try:
        yield Teller(key, poster)
    finally:
        poster.close()


def say(level: int, text: str) -> None:
    """Log one line in the log of the current flow run."""
    with suppress(MissingContextError):
        get_run_logger().log(level, text)


def described(event: Iterated, restarts: int = 1) -> str:
    """Format an iteration of a fit with `restarts` restarts as one line."""
    record = event.record
    place = f"model {event.fit}, " if event.fit else ""
    if record.restart or restarts > 1:
        place += f"restart {restart_of(record.restart, restarts)}, "
    change = "" if math.isnan(record.change) else f", change {record.change:.3g}"
    mended = "".join(
        f", {count} {what}"
        for count, what in ((record.reseeded, "reseeded"), (record.dropped, "dropped"))
        if count
    )
    return (
        f"{place}iteration {record.iteration}: objective {record.objective:.8g}{change}, pass "
        f"{duration(event.seconds)} ({_speed(event):,.0f} rows/s){mended}"
    )


def told(event: Iterated) -> dict[str, Any]:
    """Return an iteration as JSON values, with null for NaN, which JSON does not have."""
    record: Record = event.record
    number = {"objective": record.objective, "change": record.change, "shift": record.shift}
    return {
        **({"fit": event.fit} if event.fit else {}),
        "start": record.restart,
        "iteration": record.iteration,
        **{name: None if math.isnan(value) else value for name, value in number.items()},
        "seconds": round(event.seconds, 4),
        "rows_per_second": round(_speed(event)),
    }


def _speed(event: Iterated) -> float:
    return event.rows / max(event.seconds, 1e-9)
