"""Report a finished run: gathers what is known, draws rows, writes the page and model card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from shlex import quote
from typing import Any

import yaml

from emdist.composition.make import make_engine
from emdist.errors import DataError, EmdistError, NotFoundError
from emdist.fit.events import Listener, Progress, unheard
from emdist.fit.fitted import Fitted
from emdist.jobs.evaluate import data_of, data_source
from emdist.jobs.findings import findings_without_rows, summary_of
from emdist.jobs.grid_of_labels import grid_of_labels
from emdist.jobs.records import load_fitted, recorded_config
from emdist.jobs.uncertainty import stored_uncertainty
from emdist.plot.drawing import drawn_rows
from emdist.plot.findings import DrawnRows
from emdist.report.html.model_card import model_card
from emdist.report.html.report import html_report
from emdist.report.html.reported import ReportedRun
from emdist.report.inspection import changed_settings, facts_of_settings
from emdist.runtime.extras import need
from emdist.settings.config import ClusterSection, ModelSection, NewDataSection
from emdist.store.places.files import open_folder
from emdist.store.places.location import Location
from emdist.store.runs.model_files import read_model
from emdist.store.runs.run_folder import RunFolder
from emdist.store.runs.run_record import differences

#: The names of the report and of the model card in the folder of a run.
REPORT, CARD = "report.html", "model_card.md"


def report_run(
    run: Location,
    out: Location | None = None,
    data: NewDataSection | None = None,
    cluster: ClusterSection | None = None,
    sample: int | None = None,
    seed: int = 0,
    listen: Listener = unheard,
) -> dict[str, Any]:
    """Write the report of a finished run, and its model card beside the model.

    At most 64 blocks of the data are read.

    Parameters
    ----------
    run
        The folder of the run.
    out
        Where to write the page; None for ``report.html`` in the run's folder.
    data
        The data; None for those of the run.
    cluster
        Where to read rows; None for threads of this process.
    sample, seed
        How many rows to draw, None for 4,000, and the random seed.
    listen
        Called with each event.

    Returns
    -------
    dict
        JSON values: ``run``, ``report`` and ``model_card`` (locations), ``rows`` (how many were
        drawn), and ``unread``: why none were.

    Raises
    ------
    NotFoundError
        If there is no finished run.
    ConfigError
        If matplotlib is not installed.
    """
    need("matplotlib", "The report")
    told = reported(run, data, cluster, sample, seed, listen)
    place = out or run.child(REPORT)
    open_folder(place.parent).write(place.name, html_report(told).encode())
    open_folder(run).write(CARD, model_card(told).encode())
    rows = told.findings.rows
    return {
        "run": str(run),
        "report": str(place),
        "model_card": str(run.child(CARD)),
        "rows": 0 if rows is None else len(rows),
        "unread": told.unread,
    }


def reported(
    run: Location,
    data: NewDataSection | None = None,
    cluster: ClusterSection | None = None,
    sample: int | None = None,
    seed: int = 0,
    listen: Listener = unheard,
    draw: bool = True,
) -> ReportedRun:
    """Return all that a report tells of a run; parameters and errors are those of `report_run`."""
    folder = RunFolder(run)
    if not folder.folder.exists("run.json"):
        raise NotFoundError(
            f"There is no run in {run}: it has no run.json. Give the folder of a finished run, "
            "such as runs/NAME."
        )
    record = folder.record()
    config = recorded_config(record, run)
    if not folder.has_result():
        raise NotFoundError(
            f"The run in {run} has not finished. Start the same command again to finish it, and "
            "then report it."
        )
    section, fitted, meta = load_fitted(run)
    summary = summary_of(run)
    rows, unread = None, ""
    notes: tuple[str, ...] = ()
    if draw:
        wanted = data or data_of(run)
        rows, unread, notes = _rows(
            run, record, section, fitted, meta, wanted, cluster, sample, seed, listen, data is None
        )
    findings = replace(
        findings_without_rows(section, fitted, summary),
        rows=rows,
        grid=grid_of_labels(run, data_of(run)) if draw else None,
    )
    changed = changed_settings(config)
    return ReportedRun(
        str(run),
        record,
        summary,
        findings,
        facts_of_settings(changed),
        yaml.safe_dump(changed, sort_keys=False, allow_unicode=True, width=88),
        _command(run, config),
        read_model(run).sha256,
        unread,
        notes,
        stored_uncertainty(run) or {},
    )


def _command(run: Location, config: Mapping[str, Any]) -> str:
    name = quote(f"{run.url}-repeated")
    if "sweep" in config:
        return f"emdist sweep -f config.yaml --run {name}"
    return f"emdist fit --repeat {quote(run.url)}"


def _rows(
    run: Location,
    record: Mapping[str, Any],
    section: ModelSection,
    fitted: Fitted,
    meta: dict[str, Any],
    data: NewDataSection,
    cluster: ClusterSection | None,
    sample: int | None,
    seed: int,
    listen: Listener,
    own: bool,
) -> tuple[DrawnRows | None, str, tuple[str, ...]]:
    """Return rows that were drawn, why there are none, and doubts about the data.

    A report of a run whose data are gone is still of use. Only data that a user names must exist.
    """
    try:
        source = data_source(run, section, meta, None if own else data)
        notes: tuple[str, ...] = ()
        if own and differences(record.get("data"), dict(source.fingerprint()), "data"):
            notes = (
                "The data have changed since the fit. Rows of this report are those of today, and "
                "the model is that of the earlier data. Fit again.",
            )
        cluster = cluster or ClusterSection()
        with make_engine(cluster, source) as engine:
            rows = drawn_rows(
                section, fitted, source, engine, sample, seed,
                lambda done: listen(Progress("draw rows", done, len(source))),
            )  # fmt: skip
    except EmdistError as error:
        if not own or not isinstance(error, DataError | NotFoundError):
            raise
        return None, f"The data could not be read ({error})", ()
    if not len(rows):
        return None, "The data have no rows that count.", notes
    return rows, "", notes
