"""Label new data with a saved model, or with the model of a finished run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emdist.composition.make import ahead_source, make_engine, make_source, make_threads
from emdist.composition.memory import checked_memory
from emdist.composition.recipe import Recipe
from emdist.errors import RunMismatchError
from emdist.fit.data_changes import stamps
from emdist.fit.events import Began, Listener, Progress, Warned, unheard
from emdist.fit.fitted import Fitted
from emdist.interfaces import Source
from emdist.jobs.records import load_fitted, reading_of
from emdist.prepare.source import unprepared, with_source
from emdist.settings.config import (
    ClusterSection,
    DataSection,
    FitSection,
    NewDataSection,
    ReadingSection,
)
from emdist.store.labels.creation import label_writer
from emdist.store.labels.place import labels_of_other_files
from emdist.store.labels.writer import LabelWriter
from emdist.store.places.location import Location
from emdist.store.runs.model_files import read_model
from emdist.store.runs.run_record import digest
from emdist.sums import Sums, whole


def label_data(
    model: Location,
    data: DataSection | NewDataSection,
    out: Location,
    cluster: ClusterSection | None = None,
    outputs: Sequence[str] = ("labels",),
    overwrite: bool = False,
    listen: Listener = unheard,
) -> dict[str, Any]:
    """Label all rows of `data` into the Zarr group `out`; resume if labels are there in part.

    Parameters
    ----------
    model
        Location of a saved model, of a finished run, or of a run's ``final/``.
    data
        The data, with the features that were fitted, in the same order. Policies and block size
        that it does not set are those with which the model's own data were read.
    out
        Location of the Zarr group, which gets one array per output.
    cluster
        Where to compute; None for threads of this process.
    outputs
        What to write: ``labels``, ``score``, ``responsibilities``.
    overwrite
        Whether labels of another model, of other data or with other policies may be replaced.
    listen
        Called with each event.

    Returns
    -------
    dict
        JSON values: ``model``, ``data``, ``labels`` (locations), ``outputs``, ``rows``,
        ``features``, ``rows_left_out`` (by policies; only if rows have no sample weights),
        ``objective`` and ``score`` (mean log-likelihood in nats, or inertia), ``components`` (rows
        of each component, or their total sample weight) and ``noise`` (likewise, if the model has
        noise).

    Raises
    ------
    NotFoundError, CheckpointError
        If there is no model, or it is damaged.
    ShapeError, FeatureNamesError
        If the data have another number of features, other names or another order.
    OutputExistsError
        If something else is at `out`. Nothing was changed.
    RunMismatchError
        If other labels are at `out` (nothing was changed), or the data changed during the pass.
    """
    section, fitted, meta = load_fitted(model)
    data = _read_as(data, reading_of(model, section, meta))
    source = fitted.prepared(make_source(data))
    if doubt := fitted.check_features(source):  # Raises before anything is written.
        listen(Warned(doubt))
    before = stamps(source)
    identity = {
        "model": read_model(model).sha256,
        "data": digest([dict(source.fingerprint()), before.get("sizes")]),
    }
    if labels_of_other_files(out, identity, before):
        listen(
            Warned(
                "The files of the data were copied or written again since they were last labelled. "
                "emdist labels all rows again."
            )
        )
    writer = label_writer(
        out,
        tuple(outputs),
        source.bounds,
        fitted.n_columns,
        identity,
        overwrite=overwrite,
        noise=section.noise is not None,
        stamps=before,
        policies={name: getattr(data, name) for name in ReadingSection.POLICIES},
    )
    listen(Began("label", f"{source.shape[0]:,} rows to {out}{_policies(data)}"))
    # `missing` follows from how these rows are read, which may differ from the fitted rows.
    read = {"missing": data.non_finite == "missing", "n_components": fitted.n_columns}
    recipe = Recipe(section.model_copy(update=read), FitSection(sample_rows=1))
    sums = _labelled(recipe, fitted, source, cluster or ClusterSection(), writer, listen)
    if stamps(source) != before:
        raise RunMismatchError(
            f"The data changed while emdist labelled them, so the labels at {out} may belong to "
            "the old or the new data. Wait until the data are complete, then start the same "
            "command again. It labels all rows again."
        )
    writer.finish()
    minimises = recipe.model.minimises
    return _summary(model, writer, source, sums, minimises, data.weights is not None)


def _labelled(
    recipe: Recipe,
    fitted: Fitted,
    source: Source,
    cluster: ClusterSection,
    writer: LabelWriter,
    listen: Listener,
) -> Sums:
    """Write the labels of all rows, computed by `cluster`, and return the sums of the pass."""
    threads, total = make_threads(cluster), len(source)
    needs = checked_memory([recipe], source, threads, cluster.own_memory, writer.outputs)
    with make_engine(cluster, source, needs) as engine:
        read = with_source(source, lambda rows: ahead_source(rows, engine, cluster.memory_bytes))

        def progress(done: int) -> None:
            listen(Progress("label", done, total))

        return fitted.label(recipe.model, read, engine, writer, progress)


def _read_as(data: DataSection | NewDataSection, reading: ReadingSection) -> DataSection:
    """Return `data`, with the settings that it does not set taken from `reading`."""
    if isinstance(data, DataSection):
        data = NewDataSection.model_validate(data.model_dump(include=data.model_fields_set))
    return data.read_as(reading)


def _policies(data: DataSection) -> str:
    """Format the policies that are not the defaults, for the first line."""
    found = {name: getattr(data, name) for name in ReadingSection.POLICIES}
    told = [f"{name}: {value}" for name, value in found.items() if value not in ("raise", "cf")]
    return f" ({', '.join(told)})" if told else ""


def _summary(
    model: Location,
    writer: LabelWriter,
    source: Source,
    sums: Sums,
    minimises: bool,
    weighted: bool,
) -> dict[str, Any]:
    rows, features = unprepared(source).shape
    counts = [whole(n) for n in sums["count"]]
    score, weight = float(sums["score"]), float(sums["weight"])
    return {
        "model": str(model),
        "data": str(source.fingerprint().get("array", "in memory")),
        "labels": str(writer.location),
        "outputs": list(writer.outputs),
        "rows": rows,
        "features": features,
        **({} if weighted else {"rows_left_out": rows - whole(weight)}),
        "objective": "inertia" if minimises else "log-likelihood per row",
        "score": score if minimises or not weight else score / weight,
        "components": counts[:-1] if writer.noise else counts,
        **({"noise": counts[-1]} if writer.noise else {}),
    }
