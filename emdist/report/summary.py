"""The summary of a run: JSON for programs, Markdown for people, one source for both."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from emdist.fit.fitted import Fitted
from emdist.inputs.names import brief, listing
from emdist.interfaces import Floats, Source
from emdist.quality.doubts import Doubt
from emdist.report.outlook import duration
from emdist.report.page import Page, counted, data_facts
from emdist.sums import Sums, whole

_SHOWN = 32
#: Named features whose means the summary tells, in JSON and in the table.
_TOLD, _COLUMNS = 64, 6


@dataclass(frozen=True)
class Summary:
    """What was clustered, what came out, where it lies, how long it took.

    Attributes
    ----------
    run
        Folder of checkpoints and results.
    data
        Array, shape, dtype, blocks, decoded bytes, and the names of the features if they have any.
    model
        Name, components and objective.
    result
        Status with its advice, iterations, objective, score of the final model; what a careful
        statistician would doubt; weight and rows of the noise where the model has it.
    components
        One entry for each: weight, rows (by sample weight) labelled with it, and, of a few
        features that have names, where it lies: ``means``, by name.
    labels
        Where they are, or None.
    seconds
        Per stage, of this process alone: a resumed run did more before.
    versions
        Of everything that could change a bit.
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
        """As JSON values."""
        return asdict(self)

    def to_json(self) -> bytes:
        """UTF-8, readable."""
        return (json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n").encode()

    def to_page(self) -> Page:
        """For people: the facts, and the largest components."""
        header = ("component", "share", "rows labelled", *map(brief, self._columns()))
        return Page(self._facts(), header, self._largest())

    def _columns(self) -> tuple[str, ...]:
        """Features whose means are columns of the table."""
        means = self.components[0].get("means", {})
        return tuple(means) if len(means) <= _COLUMNS else ()

    def to_markdown(self) -> str:
        """The page as Markdown."""
        return self.to_page().to_markdown()

    def _facts(self) -> list[tuple[str, str]]:
        data, result = self.data, self.result
        model = ("model", f"{self.model['name']}, {self.model['components']} components")
        rows = [
            *data_facts(data),
            model,
            ("status", result["advice"]),
            *(("doubt", doubt["message"]) for doubt in result["doubts"]),
            ("iterations", f"{result['iterations']} (start {result['start'] + 1})"),
            (self.model["objective"], f"{result['objective']:.10g}"),
            ("labels", self.labels or "not written"),
            ("run folder", self.run),
            *((f"time, {stage}", duration(value)) for stage, value in self.seconds.items()),
        ]
        if names := data.get("feature_names"):
            rows.insert(1, ("features", listing(names)))
        if noise := result.get("noise"):
            told = f"weight {noise['weight']:.4f}, {counted(noise['labelled'])} row(s) labelled -1"
            rows.insert(rows.index(model) + 1, ("noise", told))
        if result["rows_left_out"]:
            rows.insert(
                rows.index(model), ("left out", f"{result['rows_left_out']:,} rows, by policy")
            )
        return rows

    def _largest(self) -> list[tuple[str, ...]]:
        return largest(
            [part["weight"] for part in self.components],
            [part["labelled"] for part in self.components],
            [[part["means"][name] for name in self._columns()] for part in self.components],
        )


def largest(
    shares: Sequence[float], counts: Sequence[float], means: Sequence[Sequence[float]] | None = None
) -> list[tuple[str, ...]]:
    """Rows of a table: the components with most rows, their shares, how many rows, and means."""
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
    """For people: what `emdist.jobs.label.label_data` says of a labelling."""
    counts = summary["components"]
    total = sum(counts) or 1.0
    left_out, noise = summary.get("rows_left_out"), summary.get("noise")
    facts = [
        ("data", f"{summary['data']}: {summary['rows']:,} rows x {summary['features']}"),
        *([("left out", f"{left_out:,} rows, by policy")] if left_out else []),
        ("model", summary["model"]),
        *([("noise", f"{counted(noise)} row(s) labelled -1")] if noise is not None else []),
        (summary["objective"], f"{summary['score']:.10g}"),
        ("labels", summary["labels"]),
        ("outputs", ", ".join(summary["outputs"])),
    ]
    rows = largest([count / total for count in counts], counts)
    return Page(facts, ("component", "share", "rows labelled"), rows)


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
    """The summary of a finished fit to `data`.

    `means` (k, d) say where the components lie; `labelled` is what the label pass summed.
    """
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
