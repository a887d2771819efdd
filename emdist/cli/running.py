"""Run ``emdist fit`` and ``emdist sweep`` once their configuration is checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from shlex import quote
from typing import Any

from emdist.fit.state import Status
from emdist.report.answer import print_result
from emdist.report.display import Mode, display
from emdist.report.page import Page
from emdist.wording import Layer


def run_job(config: Any, mode: Mode, layer: Layer) -> None:
    """Run the job of a configuration, display its progress, and print its summary."""
    from emdist.jobs.run import open_job

    with display(mode, layer) as listen, open_job(config, listen=listen) as job:
        if isinstance(job, dict):
            summary, page = job, _already_complete(job)
        else:
            found = job.complete()
            summary, page = found.to_dict(), found.to_page()
    page = replace(page, facts=[*page.facts, *_next(summary)])
    print_result(summary, page, summary["run"], mode, layer)


def _already_complete(summary: Mapping[str, Any]) -> Page:
    """Return the page of a run that was complete before, with its result."""
    from emdist.report.stored import page_of_stored

    facts = [("status", "already complete, nothing was computed")]
    if (page := page_of_stored(summary)) is not None:
        more = [("result" if name == "status" else name, value) for name, value in page.facts]
        return replace(page, facts=[*facts, *more])
    if best := summary.get("best"):
        facts.append(("best", best))
    facts += [("labels", summary["labels"] or "not written"), ("run folder", summary["run"])]
    return Page(facts)


def _next(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what the user can do with the result of a run, as facts of a page."""
    run = quote(summary["run"])
    lines = [
        f"emdist inspect {run}",
        f"emdist report {run}",
        f"emdist label {run} NEW.zarr LABELS.zarr",
    ]
    if summary.get("result", {}).get("status") == Status.MAX_ITER.outcome:
        lines.insert(
            0,
            f"to iterate further, add these options to the command: --run {run} --extend "
            "--max-iter N",
        )
    return [("next" if at == 0 else "", line) for at, line in enumerate(lines)]
