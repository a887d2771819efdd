"""Report a run to Prefect by log lines, events and artifacts. Failures never stop the fit."""

from __future__ import annotations

import logging
import math
import re
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, cast
from uuid import UUID

from prefect import get_client, get_run_logger
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.events import emit_event
from prefect.exceptions import MissingContextError
from prefect.runtime import flow_run
from prefect.settings import PREFECT_UI_URL

from emdist.fit.events import (
    Began,
    Caching,
    Event,
    Iterated,
    Linked,
    Planned,
    Progress,
    Saved,
    Warned,
)
from emdist.fit.state import Record
from emdist.flows.workarounds.posting import Poster
from emdist.report.display import restart_of
from emdist.report.logged import fields_of, level_of, line, logs_json
from emdist.report.outlook import Outlook, PassOutlook, duration

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
    title
        What the flow works on, for artifacts. By default it is the key.
    """

    def __init__(self, key: str, poster: Poster, title: str = "") -> None:
        self.key = key
        self.title = title or key
        self._json = logs_json()
        self.slug = re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-")[:200] or "run"
        self.iterations = 0
        self._poster = poster
        self._max_iter = 100
        self._outlook = Outlook()
        self._pass = PassOutlook()
        self._percent = 0.0
        self._line = ""
        self._untold: deque[dict[str, Any]] = deque(maxlen=_LINES)
        self._artifact: UUID | None = None

    def __call__(self, event: Event) -> None:
        """Report one event of the run."""
        if self._json and not isinstance(event, Progress):
            fields = fields_of(event)
            say(level_of(event), line(level_of(event), {**fields, "run": self.key}))
        if isinstance(event, Progress):
            self._pass.progressed(event)
            so_far = self._pass.so_far() or f"{event.done:,} of {event.total or '?'}"
            self._show(f"{self._pass.name}: {so_far}. {self._line}")
        elif isinstance(event, Iterated):
            self._iterated(event)
        elif isinstance(event, Planned):
            self._max_iter, self._outlook.planned = event.max_iter, event
        elif isinstance(event, Began):
            stage = "run" if event.stage == "open" else event.stage
            self._say(logging.INFO, f"{stage} begins{event.note and ': '}{event.note}")
        elif isinstance(event, Saved | Caching):
            self._say(logging.INFO, str(event))
        elif isinstance(event, Linked):
            self._say(logging.INFO, str(event))
            self._poster.post("link", lambda: self._link(event))
        elif isinstance(event, Warned):
            self._say(logging.WARNING, event.message)

    def _iterated(self, event: Iterated) -> None:
        self.iterations += 1
        self._outlook.iterated(event)
        left = self._outlook.left(event)
        # Restarts and models advance side by side, so the one that is furthest shows the progress.
        done = event.record.iteration / self._max_iter
        self._percent = max(self._percent, 100 * min(done, 0.99))
        self._line = described(event, self._outlook.restarts)
        if left:
            self._line += f", {self._percent:.0f} % of max_iter, {left}"
        self._say(logging.INFO, self._line)
        self._untold.append(told(event))
        self._poster.post("event", self._emit)
        self._show(self._line)

    def _say(self, level: int, text: str) -> None:
        """Log one line of text, unless the log is JSON and has the event already."""
        if not self._json:
            say(level, text)

    def _emit(self) -> None:
        # This runs on the poster's thread, while the fit appends to the deque.
        lines = [self._untold.popleft() for _ in range(len(self._untold))]
        resource = {"prefect.resource.id": f"emdist.run.{self.slug}", "emdist.key": self.key}
        emit_event("emdist.iterated", resource, payload={"iterations": lines})

    def _show(self, text: str) -> None:
        self._poster.post("progress", lambda: self._put(self._percent, f"{self.title}: {text}"))

    def _put(self, percent: float, text: str) -> None:
        if self._artifact is None:
            made = create_progress_artifact(percent, f"{self.slug}-progress", text)
            self._artifact = cast(UUID, made)  # It is a coroutine only in an async context.
        else:
            update_progress_artifact(self._artifact, percent, text)

    def _link(self, event: Linked) -> None:
        name = re.sub(r"[^a-z0-9]+", "-", event.what.lower())
        about = f"{event.what} of {self.title}. It is there while the run computes."
        create_link_artifact(event.url, event.what, f"{self.slug}-{name}", about)

    def tagged(self, tags: Sequence[str]) -> None:
        """Add tags to the flow run."""
        run, found = UUID(str(flow_run.id)), sorted({*flow_run.tags, *tags})

        def tag() -> None:
            with get_client(sync_client=True) as client:
                client.update_flow_run(run, tags=found)

        self._poster.post("tags", tag)

    def planned(self, markdown: str) -> None:
        """Publish how long the run is expected to take."""
        page = f"# {self.title}: plan\n\n{markdown}{_link_to_run()}"
        about = f"{self.title}: what the run needs, and how long it may take"
        self._poster.post(
            "plan", lambda: create_markdown_artifact(page, f"{self.slug}-plan", about)
        )

    def reported(self, card: str, place: str) -> None:
        """Publish the model card of the run, with the place of its report."""
        page = f"The report is one page: `{place}`\n\n{card}{_link_to_run()}"
        about = f"{self.title}: the model card, and where the report is"
        self._poster.post(
            "report", lambda: create_markdown_artifact(page, f"{self.slug}-report", about)
        )

    def finished(self, markdown: str, components: list[dict[str, Any]]) -> None:
        """Publish the summary as a page and the components as a table."""
        table = sorted(components, key=lambda row: -float(row["labelled"]))
        about = f"{self.title}: the {len(components)} components, the largest first"
        self.published(markdown, "components", table, about)

    def published(self, markdown: str, name: str, table: list[dict[str, Any]], about: str) -> None:
        """Publish the summary as a page, and the `table` called `name`."""
        self._percent = 100.0
        self._show("done")
        shown = table[:_SHOWN]
        page = f"# {self.title}\n\n{markdown}{_link_to_run()}"
        self._poster.post(
            "table", lambda: create_table_artifact(shown, f"{self.slug}-{name}", about)
        )
        self._poster.post(
            "summary",
            lambda: create_markdown_artifact(
                page, f"{self.slug}-summary", f"{self.title}: the summary of the run"
            ),
        )


def _link_to_run() -> str:
    """Return a link to the flow run, as Markdown; empty if there are no pages."""
    return f"\n[flow run {flow_run.name}]({flow_run.ui_url})\n" if PREFECT_UI_URL.value() else ""


@contextmanager
def teller(key: str, title: str = "") -> Iterator[Teller]:
    """Yield a teller for the run `key`. It sends its last reports when the context ends."""
    poster = Poster()
    try:
        yield Teller(key, poster, title)
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
