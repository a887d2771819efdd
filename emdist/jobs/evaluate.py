"""Evaluate the labels of a finished run: figures of its clusters, and agreement with the truth."""

from __future__ import annotations

from typing import Any

from emdist.composition.caching import ahead_source
from emdist.composition.make import in_sequence, make_engine, make_source
from emdist.errors import ConfigError, NotFoundError
from emdist.fit.events import Listener, Progress, Warned, unheard
from emdist.inputs.names import naming
from emdist.interfaces import Source
from emdist.jobs.open_labels import labels_at
from emdist.jobs.records import load_fitted, reading_of, recorded_config
from emdist.prepare.source import with_source
from emdist.quality import agreement
from emdist.quality.agreement import PairCounts, pair_counts
from emdist.quality.evaluation import evaluation
from emdist.quality.labels import (
    LabelArray,
    labels_beside,
    labels_in_group,
    stored_labels,
)
from emdist.settings.config import ClusterSection, ModelSection, NewDataSection
from emdist.store.places.location import Location
from emdist.store.runs.run_folder import RunFolder
from emdist.store.sources.references import reference


def evaluate_run(
    run: Location,
    data: NewDataSection | None = None,
    labels: Location | None = None,
    truth: Location | None = None,
    cluster: ClusterSection | None = None,
    listen: Listener = unheard,
) -> dict[str, Any]:
    """Return figures of the clusters that the labels of a run make of its rows.

    Rows are prepared as the model of the run prepares them.

    Parameters
    ----------
    run
        The folder of a finished run, or a saved model if `data` and `labels` are given.
    data
        The data; None for those of the run.
    labels
        Location of labels; None for those of the run.
    truth
        Location of an array, or of a group of labels, with other labels of the same rows.
    cluster
        Where to compute; None for threads of this process.
    listen
        Called with each event.

    Returns
    -------
    dict
        JSON values: ``run``, ``data``, ``labels``, ``rows``, ``rows_left_out``, ``silhouette``,
        ``davies_bouldin``, ``calinski_harabasz``, ``clusters`` (each with ``label``, ``rows`` and
        ``silhouette``) and, with `truth`, ``truth`` with the figures of agreement.

    Raises
    ------
    NotFoundError
        If there is no run, or no labels.
    ShapeError
        If there is not one label for each row, or if all labels are equal.
    """
    section, fitted, meta = load_fitted(run)
    reading = reading_of(run, section, meta)
    opened = make_source((data or data_of(run)).read_as(reading))
    found = array_of_labels(labels or run)
    beside = labels_beside(opened, found)
    if getattr(opened, "weight", None) is not None:
        listen(
            Warned(
                "The figures count rows, without their sample weights. Rows of weight 0 are left "
                "out."
            )
        )
    source: Source = fitted.prepared(opened)
    cluster, total = cluster or ClusterSection(), len(source)
    with make_engine(cluster, source) as engine, naming(source):
        read = with_source(source, lambda rows: ahead_source(rows, engine, cluster))
        figures = evaluation(
            read, beside, engine, lambda done: listen(Progress("evaluate", done, total))
        )
        pairs = None if truth is None else pair_counts(array_of_labels(truth), found, engine)
    result: dict[str, Any] = {
        "run": str(run),
        "data": str(opened.fingerprint().get("array", "")),
        "labels": str(labels or labels_at(run)),
        "rows": int(figures.counts.sum()),
        "rows_left_out": figures.n_left_out,
        "silhouette": figures.silhouette,
        "davies_bouldin": figures.davies_bouldin,
        "calinski_harabasz": figures.calinski_harabasz,
        "clusters": [
            {"label": int(label), "rows": int(count), "silhouette": float(value)}
            for label, count, value in zip(
                figures.labels, figures.counts, figures.silhouettes, strict=True
            )
        ],
    }
    if pairs is not None:
        result["truth"] = {"labels": str(truth), **agreement_of(pairs)}
    return result


def agreement_of(pairs: PairCounts) -> dict[str, Any]:
    """Return how well two labellings agree, as JSON values."""
    homogeneity, completeness, v_measure = agreement.v_measure(pairs)
    return {
        "rows": pairs.rows,
        "adjusted_rand": agreement.adjusted_rand(pairs),
        "adjusted_mutual_information": agreement.adjusted_information(
            pairs, lambda a, b: (a + b) / 2
        ),
        "homogeneity": homogeneity,
        "completeness": completeness,
        "v_measure": v_measure,
    }


def array_of_labels(place: Location) -> LabelArray:
    """Return the labels of a run, of a group of labels, or of an array."""
    try:
        return labels_in_group(reference(labels_at(place)))
    except NotFoundError:
        return stored_labels(reference(place))


def data_of(run: Location) -> NewDataSection:
    """Return the data of a run by its record; ConfigError if it has none."""
    try:
        config = recorded_config(RunFolder(run).record(), run)
    except NotFoundError:
        raise ConfigError(
            f"{run} has no record of a run, so it is not known which data to read. Name them with "
            "--data, and their labels with --labels."
        ) from None
    known = {name: config["data"].get(name) for name in NewDataSection.model_fields}
    return NewDataSection.model_validate({k: v for k, v in known.items() if v is not None})


def data_source(
    run: Location, section: ModelSection, meta: dict[str, Any], data: NewDataSection | None = None
) -> Source:
    """Return data, or those of a run, as its model reads them, with their sequences."""
    found = (data or data_of(run)).read_as(reading_of(run, section, meta))
    if data is None and section.chain is not None:
        config = recorded_config(RunFolder(run).record(), run)["data"]
        own = {name: config[name] for name in ("sequences", "lengths") if config.get(name)}
        found = found.model_copy(update=own)
    return in_sequence(make_source(found), found, section)
