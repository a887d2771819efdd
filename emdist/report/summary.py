"""`Summary`, the summary of a run: one source for JSON and Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from emdist.fit.fitted import Fitted
from emdist.inputs.names import brief, listing
from emdist.interfaces import Floats, Source
from emdist.prepare.preparation import Preparation
from emdist.quality.doubts import Doubt
from emdist.report.outlook import duration
from emdist.report.page import Page, counted, data_facts, numbered
from emdist.sums import Sums, whole

_SHOWN = 32
#: Largest number of named features whose means are in the JSON, and in the table.
_TOLD, _COLUMNS = 64, 6


@dataclass(frozen=True)
class Summary:
    """The summary of a run: the data, the model, the result, where it is, and how long it took.

    Attributes
    ----------
    run
        Folder of checkpoints and results.
    data
        Array, shape, dtype, blocks, decoded bytes, and names of the features if there are any.
    model
        Name of the family, number of components, and name of the objective.
    result
        Status with its advice, iterations, objective, score of the final model, doubts (reasons why
        the result may be misleading), and weight and rows of the noise if the model has noise.
    components
        One entry per component: mixture weight, rows with its label (counted by sample weight),
        and its ``means`` by name, if there are only few features and they have names.
    labels
        Location of the labels, or None.
    seconds
        Time of each stage in this process alone. A resumed run spent more before.
    versions
        Versions of all software that could change a bit.
    """

    run: str
    data: Mapping[str, Any]
    model: Mapping[str, Any]
    result: Mapping[str, Any]
    components: tuple[Mapping[str, Any], ...]
    labels: str | None
    seconds: Mapping[str, float]
    versions: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as JSON values."""
        return asdict(self)

    def to_json(self) -> bytes:
        """Return the summary as readable JSON, in UTF-8."""
        return (json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n").encode()

    def to_page(self) -> Page:
        """Return the summary as a page: facts, and a table of the largest components."""
        header = ("component", "share", "rows labelled", *map(brief, self._columns()))
        return Page(self._facts(), header, self._largest())

    def _columns(self) -> tuple[str, ...]:
        """Names of the features whose means are columns of the table."""
        means = self.components[0].get("means", {})
        return tuple(means) if len(means) <= _COLUMNS else ()

    def to_markdown(self) -> str:
        """Return the page as Markdown."""
        return self.to_page().to_markdown()

    def _facts(self) -> list[tuple[str, str]]:
        data, result = self.data, self.result
        components = numbered(self.model["components"], "component")
        rows = [
            # If the fit did not converge, a doubt says what to do.
            ("status", result["advice"].partition(". ")[0]),
            *(("doubt", doubt["message"]) for doubt in result["doubts"]),
            ("iterations", f"{result['iterations']:,} in restart {result['start'] + 1}"),
            (self.model["objective"], f"{result['objective']:.10g}"),
            ("labels", self.labels or "not written"),
            ("run folder", self.run),
            ("model", f"{self.model['name']}, {components}"),
        ]
        if noise := result.get("noise"):
            labelled = f"{numbered(noise['labelled'], 'row')} labelled -1"
            rows.append(("noise", f"weight {noise['weight']:.4f}, {labelled}"))
        rows += data_facts(data)
        if names := data.get("feature_names"):
            rows.append(("features", listing(names)))
        if "means" in self.components[0] and "means_are" in data:
            rows.append(("means", data["means_are"]))
        if result["rows_left_out"]:
            rows.append(("left out", f"{numbered(result['rows_left_out'], 'row')}, by policy"))
        times = ((f"time, {stage}", duration(value)) for stage, value in self.seconds.items())
        return [*rows, *times]

    def _largest(self) -> list[tuple[str, ...]]:
        return largest(
            [part["weight"] for part in self.components],
            [part["labelled"] for part in self.components],
            [[part["means"][name] for name in self._columns()] for part in self.components],
        )


def largest(
    shares: Sequence[float], counts: Sequence[float], means: Sequence[Sequence[float]] | None = None
) -> list[tuple[str, ...]]:
    """Return table rows of the components with most rows: index, share, rows, means."""
    order = sorted(range(len(counts)), key=lambda k: -counts[k])
    means = means or [()] * len(counts)
    rows: list[tuple[str, ...]] = [
        (str(k), f"{shares[k]:.4f}", counted(counts[k]), *(f"{mean:.6g}" for mean in means[k]))
        for k in order[:_SHOWN]
    ]
    if len(order) > _SHOWN:
        rows.append((f"and {len(order) - _SHOWN} more", "", "", *("" for _ in means[0])))
    return rows


def page_of_labelling(summary: Mapping[str, Any]) -> Page:
    """Make the page of a labelling from the result of `emdist.jobs.label.label_data`."""
    counts = summary["components"]
    total = sum(counts) or 1.0
    left_out, noise = summary.get("rows_left_out"), summary.get("noise")
    facts = [
        ("labels", summary["labels"]),
        ("outputs", ", ".join(summary["outputs"])),
        (summary["objective"], f"{summary['score']:.10g}"),
        ("data", f"{summary['data']}: {summary['rows']:,} rows x {summary['features']}"),
        *([("left out", f"{numbered(left_out, 'row')}, by policy")] if left_out else []),
        *([("noise", f"{numbered(noise, 'row')} labelled -1")] if noise is not None else []),
        ("model", summary["model"]),
    ]
    rows = largest([count / total for count in counts], counts)
    return Page(facts, ("component", "share", "rows labelled"), rows)


def preparation_facts(preparation: Preparation) -> dict[str, Any]:
    """Return what summaries tell of how rows are prepared."""
    told = f"of prepared rows, moved back {preparation.units}"
    return {
        "prepare": preparation.config(),
        "prepared_features": preparation.n_features,
        "prepare_notes": list(preparation.notes),
        "prepare_doubts": list(preparation.doubts),
        "means_are": told,
    }


def summarise(
    run: str,
    data: str,
    source: Source,
    model: str,
    minimises: bool,
    fitted: Fitted,
    means: Floats,
    labelled: Sums | None,
    left_out: int,
    labels: str | None,
    seconds: Mapping[str, float],
    versions: Mapping[str, str],
    doubts: Sequence[Doubt] = (),
) -> Summary:
    """Make the summary of a finished fit to `data`.

    `means` (k, d) are the locations of the components, of prepared rows if the model prepares them:
    they are shown in the units of the data. `labelled` holds the sums of the label pass, or is None
    without one.
    """
    if (preparation := fitted.preparation) is not None:
        means = preparation.inverse(means)
    rows, features = source.shape
    k = fitted.n_components
    count = np.zeros(fitted.n_columns) if labelled is None else labelled["count"]
    share = count / count.sum() if minimises and labelled is not None else fitted.params.shares
    parts: list[dict[str, Any]] = [
        {"weight": float(w), "labelled": whole(n)} for w, n in zip(share, count, strict=True)
    ]
    names = fitted.feature_names
    if names is not None and len(set(names)) == features <= _TOLD:
        for part, mean in zip(parts, means.tolist(), strict=False):
            part["means"] = dict(zip(names, mean, strict=True))
    result: dict[str, Any] = {
        "status": fitted.status.outcome,
        "advice": fitted.status.value,
        "iterations": fitted.iterations,
        "start": fitted.restart,
        "objective": fitted.objective,
        "rows_left_out": left_out,
        "doubts": [{**asdict(doubt), "components": list(doubt.components)} for doubt in doubts],
    }
    if labelled is not None:
        total = float(labelled["score"])
        result["final"] = total if minimises else total / float(labelled["weight"])
    if len(parts) > k:
        result["noise"] = parts[k]
    return Summary(
        run,
        {
            "array": data,
            "rows": rows,
            "features": features,
            "dtype": str(source.dtype),
            "blocks": len(source),
            "bytes": rows * features * source.dtype.itemsize,
            **({} if names is None else {"feature_names": list(names)}),
            **({} if preparation is None else preparation_facts(preparation)),
        },
        {
            "name": model,
            "components": k,
            "objective": "inertia" if minimises else "log-likelihood per row",
        },
        result,
        tuple(parts[:k]),
        labels,
        {stage: round(value, 3) for stage, value in seconds.items()},
        versions,
    )
