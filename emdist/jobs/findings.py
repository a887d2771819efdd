"""What figures show of a finished run: its model, the models of a sweep, labels, drawn rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from emdist.errors import NotFoundError
from emdist.fit.fitted import Fitted
from emdist.interfaces import Engine
from emdist.jobs.evaluate import data_of, data_source
from emdist.jobs.finished import identity_of, stored_summary
from emdist.jobs.grid_of_labels import grid_of_labels
from emdist.jobs.records import load_fitted
from emdist.plot.chart import chart
from emdist.plot.drawing import drawn_rows
from emdist.plot.findings import Findings
from emdist.report.stored import row_of_stored
from emdist.settings.config import ModelSection
from emdist.store.places.location import Location
from emdist.store.runs.run_folder import RunFolder


def findings_of_run(
    run: Location, kind: str, engine: Engine, size: int | None = None, seed: int = 0
) -> Findings:
    """Return what the figure `kind` shows of a finished run; rows are drawn only if it needs them.

    Parameters
    ----------
    run
        The folder of a run, or a saved model.
    kind
        The name of a figure.
    engine
        Reads the rows.
    size, seed
        How many rows to draw, None for 4,000, and the random seed.
    """
    section, fitted, meta = load_fitted(run)
    has_record = RunFolder(run).folder.exists("run.json")
    if not has_record:
        return Findings(section, fitted)
    found = findings_without_rows(section, fitted, summary_of(run))
    if kind == "label_map":
        return replace(found, grid=grid_of_labels(run, data_of(run)))
    if not chart(kind).lacks(found):
        return found
    source = data_source(run, section, meta)
    return found.with_rows(drawn_rows(section, fitted, source, engine, size, seed))


def summary_of(run: Location) -> Mapping[str, Any]:
    """Return the stored summary of a run; empty if it has none."""
    try:
        return stored_summary(run, identity_of(RunFolder(run).record())) or {}
    except NotFoundError:
        return {}


def findings_without_rows(
    section: ModelSection, fitted: Fitted, summary: Mapping[str, Any]
) -> Findings:
    """Return what the model and the summary of a run tell, without reading rows."""
    return Findings(
        section,
        fitted,
        models=tuple(row_of_stored(one) for one in summary.get("models") or ()),
        criterion=str(summary.get("criterion", "")),
        best=str(summary.get("best", "")),
        counts=tuple(float(one["labelled"]) for one in summary.get("components") or ()),
    )
