"""Label a source with a fitted model: what `emdist label` and estimators have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emdist.composition.recipe import Recipe
from emdist.errors import RunMismatchError
from emdist.fit.data_changes import stamps
from emdist.fit.events import Began, Listener, Warned
from emdist.fit.fitted import Fitted
from emdist.interfaces import Source
from emdist.jobs.label_growth import Growth
from emdist.jobs.label_target import check_labels, coordinates_to_store
from emdist.prepare.source import unprepared
from emdist.settings.config import FitSection, ModelSection, ReadingSection
from emdist.store.labels.creation import label_writer
from emdist.store.labels.place import labels_of_other_files
from emdist.store.labels.writer import LabelWriter
from emdist.store.places.location import Location
from emdist.store.runs.run_record import digest
from emdist.sums import Sums, tree_sum, whole

#: Computes and writes the labels of all rows, or of the rows of some blocks; returns their sums.
Pass = Callable[[Recipe, LabelWriter, Sequence[int] | None], Sums]


@dataclass(frozen=True)
class LabelWork:
    """Which rows are labelled by which model, and what is written where.

    Attributes
    ----------
    model
        What messages call the model.
    model_key
        What identifies the model. Labels of another model are not continued.
    section, fitted
        The model.
    source
        The rows.
    reading
        How they are read.
    out
        Location of the labels.
    outputs, components, overwrite
        As in `emdist.store.labels.creation.label_writer`.
    weighted
        Whether rows have sample weights.
    append
        Whether the labels grow with the data: the rows behind those that have labels get theirs.
    """

    model: str
    model_key: str
    section: ModelSection
    fitted: Fitted
    source: Source
    reading: ReadingSection
    out: Location
    outputs: Sequence[str] = ("labels",)
    components: Sequence[int] | None = None
    overwrite: bool = False
    weighted: bool = False
    append: bool = False

    @property
    def recipe(self) -> Recipe:
        """The model as it labels these rows, which may be read differently from those fitted."""
        read = {
            "missing": self.reading.non_finite == "missing",
            "n_components": self.fitted.n_columns,
        }
        return Recipe(self.section.model_copy(update=read), FitSection(sample_rows=1))


def label_source(work: LabelWork, labelled: Pass, listen: Listener) -> dict[str, Any]:
    """Label all rows; resume if labels are there in part. Return a summary as JSON values.

    It has the values, and raises the errors, of `emdist.jobs.label.label_data`.
    """
    source, out, recipe = work.source, work.out, work.recipe
    check_labels([recipe], work.outputs, work.components, work.fitted.n_columns)
    before, fingerprint = stamps(source), dict(source.fingerprint())
    identity = {
        "model": work.model_key,
        "data": digest([fingerprint, before.get("sizes")]),
    }
    if labels_of_other_files(out, identity, before):
        listen(
            Warned(
                "The files of the data were copied or written again since they were last labelled. "
                "emdist labels all rows again."
            )
        )
    policies = {name: getattr(work.reading, name) for name in ReadingSection.POLICIES}
    growth = Growth.of(work, identity, policies) if work.append else None
    if growth is not None:
        growth.begin(before)
    writer = label_writer(
        out,
        tuple(work.outputs),
        source.bounds,
        work.fitted.n_columns,
        identity,
        overwrite=work.overwrite,
        noise=work.section.noise is not None,
        stamps=before,
        policies=policies,
        components=work.components,
        coordinates=coordinates_to_store(source, listen),
    )
    if growth is None:
        listen(Began("label", f"{source.shape[0]:,} rows to {out}{_told(policies)}"))
        sums = labelled(recipe, writer, None)
    else:
        blocks, parts = growth.left()
        listen(Began("label", f"{growth.told} to {out}{_told(policies)}"))
        parts += [labelled(recipe, writer, blocks)] if blocks else []
        sums = tree_sum(parts)
    if stamps(source) != before:
        raise RunMismatchError(
            f"The data changed while emdist labelled them, so the labels at {out} may belong to "
            "the old or the new data. Wait until the data are complete, then start the same "
            "command again. It labels all rows again."
        )
    writer.finish()
    if growth is not None:
        growth.end()
    data = str(fingerprint.get("array", "in memory"))
    return _summary(work, data, writer, sums, recipe.model.minimises)


def _told(policies: Mapping[str, str]) -> str:
    """Format the policies that are not the defaults, for the first line."""
    told = [f"{name}: {value}" for name, value in policies.items() if value not in ("raise", "cf")]
    return f" ({', '.join(told)})" if told else ""


def _summary(
    work: LabelWork, data: str, writer: LabelWriter, sums: Sums, minimises: bool
) -> dict[str, Any]:
    rows, features = unprepared(work.source).shape
    counts = [whole(n) for n in sums["count"]]
    score, weight = float(sums["score"]), float(sums["weight"])
    return {
        "model": work.model,
        "data": data,
        "labels": str(writer.location),
        "outputs": list(writer.outputs),
        "rows": rows,
        "features": features,
        **({} if work.weighted else {"rows_left_out": rows - whole(weight)}),
        "objective": "inertia" if minimises else "log-likelihood per row",
        "score": score if minimises or not weight else score / weight,
        "components": counts[:-1] if writer.noise else counts,
        **({"noise": counts[-1]} if writer.noise else {}),
    }
