"""Labels for new data, from a model that was saved or a run that has finished."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emdist.build import ahead_source, make_engine, make_source
from emdist.build_model import make_model
from emdist.config import ClusterSection, DataSection
from emdist.errors import RunMismatchError
from emdist.fit.events import Began, Listener, Progress, Warned, unheard
from emdist.fit.unchanged import stamps
from emdist.interfaces import Source
from emdist.saved import load_fitted
from emdist.store.labels import LabelWriter, label_writer, labels_of_other_files
from emdist.store.location import Location
from emdist.store.model_files import read_model
from emdist.store.run_record import digest
from emdist.sums import Sums


def label_data(
    model: Location,
    data: DataSection,
    out: Location,
    cluster: ClusterSection | None = None,
    outputs: Sequence[str] = ("labels",),
    overwrite: bool = False,
    listen: Listener = unheard,
) -> dict[str, Any]:
    """Label all rows of `data` into the group `out`; started again, it goes on where it was cut.

    Parameters
    ----------
    model
        A saved model, a finished run, or its ``final/``.
    data
        With the features that the model was fitted to, in the same order.
    out
        Of the Zarr group; holds one array per output.
    cluster
        Where it runs; None: threads here.
    outputs
        From ``labels``, ``score``, ``responsibilities``.
    overwrite
        Whether labels of another model or other data may be replaced.
    listen
        Told what happens.

    Returns
    -------
    dict
        JSON: ``model``, ``data``, ``labels`` (places), ``rows``, ``features``, ``score`` (mean
        log-likelihood in nats, or inertia), ``components`` (rows by sample weight) and ``noise``
        (likewise, where the model has it).

    Raises
    ------
    NotFoundError, CheckpointError
        There is no model, or it is damaged.
    ShapeError
        The data has another number of features.
    OutputExistsError
        Something else is at `out`. Nothing was changed.
    RunMismatchError
        Other labels are at `out`, and nothing was changed; or the data changed meanwhile.
    """
    section, fitted, _ = load_fitted(model)
    source = make_source(data)
    fitted.check_features(source)  # before anything is written
    before = stamps(source)
    identity = {
        "model": read_model(model).sha256,
        "data": digest([dict(source.fingerprint()), before.get("sizes")]),
    }
    if labels_of_other_files(out, identity, before):
        listen(
            Warned(
                "The data's files are not those that were labelled before (a copy, or written "
                "again): all rows are labelled anew."
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
    )
    # A model that was fitted to incomplete rows knows what to do with NaN.
    missing = section.missing or data.non_finite == "missing"
    kind = make_model(section.model_copy(update={"missing": missing}))
    listen(Began("label", f"{source.shape[0]:,} rows -> {out}"))
    cluster = cluster or ClusterSection()
    with make_engine(cluster, source) as engine:
        read = ahead_source(source, engine, cluster.memory)
        sums = fitted.label(kind, read, engine, writer, _progress(source, listen))
    if stamps(source) != before:
        raise RunMismatchError(
            f"The data changed while it was being labelled: the labels at {out} may be of both. "
            "Start again once its writer has finished; all rows are labelled anew then."
        )
    return _summary(model, writer, source, sums, kind.minimises)


def _progress(source: Source, listen: Listener) -> Any:
    total = len(source)
    return lambda done: listen(Progress("label", done, total))


def _summary(
    model: Location, writer: LabelWriter, source: Source, sums: Sums, minimises: bool
) -> dict[str, Any]:
    rows, features = source.shape
    counts = [float(n) for n in sums["count"]]
    score, weight = float(sums["score"]), float(sums["weight"])
    return {
        "model": str(model),
        "data": str(source.fingerprint().get("array", "in memory")),
        "labels": str(writer.location),
        "outputs": list(writer.outputs),
        "rows": rows,
        "features": features,
        "score": score if minimises or not weight else score / weight,
        "components": counts[:-1] if writer.noise else counts,
        **({"noise": counts[-1]} if writer.noise else {}),
    }
