"""Label new data with a saved model, or with the model of a finished run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from shlex import quote
from typing import Any

from emdist.composition.caching import ahead_source
from emdist.composition.make import in_sequence, make_engine, make_source, make_threads
from emdist.composition.memory import checked_memory
from emdist.composition.recipe import Recipe
from emdist.errors import ConfigError, ShapeError
from emdist.fit.events import Listener, Progress, Warned, unheard
from emdist.fit.fitted import Fitted
from emdist.interfaces import Source
from emdist.jobs.label_growth import as_labelled
from emdist.jobs.label_source import LabelWork, label_source
from emdist.jobs.records import load_fitted, reading_of
from emdist.prepare.source import with_source
from emdist.settings.config import ClusterSection, DataSection, NewDataSection, ReadingSection
from emdist.settings.data import NEW_ROWS
from emdist.settings.templates import refuse_templates
from emdist.store.grids.left_out import left_out
from emdist.store.labels.writer import LabelWriter
from emdist.store.places.location import Location
from emdist.store.runs.model_files import read_model
from emdist.store.runs.publications import published
from emdist.sums import Sums
from emdist.wording import either


def label_data(
    model: Location,
    data: DataSection | NewDataSection,
    out: Location,
    cluster: ClusterSection | None = None,
    outputs: Sequence[str] | None = None,
    overwrite: bool = False,
    listen: Listener = unheard,
    components: Sequence[int] | None = None,
    append: bool = False,
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
        What to write: names from `emdist.store.labels.outputs.OUTPUTS`. None stands for labels or,
        if rows are appended, for what is there.
    overwrite
        Whether labels of another model, of other data or with other policies may be replaced.
    listen
        Called with each event.
    components
        The components of the output ``probability``, -1 for noise; None for all.
    append
        Whether the labels at `out` grow with the data: only rows behind those that have labels are
        labelled. Everything is labelled if nothing is there yet.

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
        If other labels are at `out` (nothing was changed), or the data changed during the pass. If
        rows are appended, also if the rows that have labels have changed.
    ConfigError
        If settings contradict each other.
    """
    if data.select_rows is not None and (append or data.select_rows == NEW_ROWS):
        raise ConfigError(
            "data.select_rows does not go with labels that grow: the rows that have none yet are "
            "labelled. Leave it out, and pass --append."
        )
    if append and overwrite:
        raise ConfigError(
            "--append adds rows to labels, and --overwrite replaces them. Pass only one of the two."
        )
    model = published(model, "model")
    refuse_templates({"data": {"path": data.path}, "out": out.url}, "emdist flow label")
    section, fitted, meta = load_fitted(model)
    reading = reading_of(model, section, meta)
    own, saved = data.select, reading.select or {}
    data = read_as(data, reading)
    kept = [dim for dim in saved if own is None or (own and dim not in own)]
    rows = _opened(data, kept)
    if (part := left_out(rows, data.layout, kept)) is not None:
        whole = _whole(part.dims)
        listen(Warned(f"emdist labels the selection of the fit: {part}. To label all, {whole}."))
    names, chosen = tuple(outputs or ("labels",)), components
    if append:
        if section.chain is not None:
            raise ConfigError(
                "--append is not available for a hidden Markov model: new rows change the "
                "posteriors of the rows before them. Label all rows, with --overwrite."
            )
        rows, names, chosen = as_labelled(rows, out, outputs, components)
    source = fitted.prepared(in_sequence(rows, data, section))
    if doubt := fitted.check_features(source):  # Raises before anything is written.
        listen(Warned(doubt))
    work = LabelWork(
        str(model), read_model(model).sha256, section, fitted, source, data, out, names,
        chosen, overwrite, data.weights is not None, append,
    )  # fmt: skip
    where = cluster or ClusterSection()

    def labelled(recipe: Recipe, writer: LabelWriter, blocks: Sequence[int] | None) -> Sums:
        return _labelled(recipe, fitted, source, where, writer, listen, blocks)

    return label_source(work, labelled, listen)


def _labelled(
    recipe: Recipe,
    fitted: Fitted,
    source: Source,
    cluster: ClusterSection,
    writer: LabelWriter,
    listen: Listener,
    blocks: Sequence[int] | None,
) -> Sums:
    """Write the labels of all rows, or of `blocks`, computed by `cluster`; return their sums."""
    threads, total = make_threads(cluster), len(source if blocks is None else blocks)
    needs = checked_memory([recipe], source, threads, cluster.own_memory, writer.outputs)
    with make_engine(cluster, source, needs.of_worker) as engine:
        read = with_source(source, lambda rows: ahead_source(rows, engine, cluster))

        def progress(done: int) -> None:
            listen(Progress("label", done, total))

        return fitted.label(recipe.model, read, engine, writer, progress, blocks)


def _opened(data: DataSection, saved: Collection[str]) -> Source:
    """Return the data as a source. Selections of the dimensions `saved` are those of the model."""
    try:
        return make_source(data)
    except (ConfigError, ShapeError) as error:
        told = [dim for dim in saved if f"data.select for {dim} " in str(error)]
        if not told:
            raise
        dim = told[0]
        raise type(error)(
            f"{error} This selection is that of the data that the model was fitted to. Select "
            f"{dim} of the new data anew by data.select. To read all of {dim}, {_whole([dim])}."
        ) from None


def _whole(dims: Sequence[str]) -> str:
    """Return how to read all of some dimensions, of which the model's selection reads a part."""
    slices = ", ".join(f"{dim!r}: slice(None)" for dim in dims)
    ranges = ", ".join(f"{dim}: [null, null]" for dim in dims)
    return either(
        f"pass emdist.rows(X, ..., select={{{slices}}})",
        f"set data.select to '{{{ranges}}}'",
        f"pass {' '.join(f'--select {quote(dim)}=:' for dim in dims)}",
    )


def read_as(data: DataSection | NewDataSection, reading: ReadingSection) -> DataSection:
    """Return `data`, with the settings that it does not set taken from `reading`."""
    if isinstance(data, DataSection):
        data = NewDataSection.model_validate(data.model_dump(include=data.model_fields_set))
    return data.read_as(reading)
