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
from emdist.quality.drift import drift_facts
from emdist.report.forecast import forecast_facts
from emdist.report.outlook import duration
from emdist.report.page import Page, counted, data_facts, numbered
from emdist.sums import Sums, whole

_SHOWN = 32
#: Largest number of means in the JSON, and of named features that are columns of the table.
_TOLD, _COLUMNS = 1 << 14, 6
#: The numbers of features and of components whose means are shown, if there are more features.
_LINES, _BESIDE = 20, 8


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
        Name of the family, number of components, name of the objective, and schedule.
    result
        Status with its advice, iterations, objective, score of the final model, doubts (reasons why
        the result may be misleading), and weight and rows of the noise if the model has noise.
    components
        One entry per component: mixture weight, rows with its label (or their total sample weight,
        if the data are ``weighted``), and its ``means`` by name, if the features have names and
        there are not very many.
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
        counts = _counts(bool(self.data.get("weighted")))
        header = ("component", "share", counts, *map(brief, self._columns()))
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
            # That of the final parameters, as `emdist label` and the table of a sweep show it.
            (self.model["objective"], f"{result.get('final', result['objective']):.10g}"),
            ("labels", self.labels or "not written"),
            ("run folder", self.run),
            ("model", f"{self.model['name']}, {components}"),
        ]
        if schedule := self.model.get("schedule"):
            rows.append(("schedule", schedule))
        if noise := result.get("noise"):
            labelled = _noise(noise["labelled"], bool(data.get("weighted")))
            rows.append(("noise", f"weight {noise['weight']:.4f}, {labelled}"))
        if drift := result.get("drift"):
            rows += drift_facts(drift)
        rows += data_facts(data)
        if names := data.get("feature_names"):
            rows.append(("features", listing(names)))
        if "means" in self.components[0] and "means_are" in data:
            rows.append(("means", data["means_are"]))
        rows += self._lines()
        if result["rows_left_out"]:
            rows.append(("left out", f"{numbered(result['rows_left_out'], 'row')}, by policy"))
        if planned := result.get("planned"):
            rows += forecast_facts(planned)
        times = ((f"time, {stage}", duration(value)) for stage, value in self.seconds.items())
        return [*rows, *times]

    def _lines(self) -> list[tuple[str, str]]:
        """Return the means as facts, a line for each feature, if the table lacks them."""
        names = self.data.get("feature_names") or ()
        if len(names) <= _COLUMNS:
            return []
        if "means" not in self.components[0]:
            return [("means", f"of {len(names):,} features, in Python: emdist.load({self.run!r})")]
        order = sorted(range(len(self.components)), key=lambda k: -self.components[k]["labelled"])
        which = order[:_BESIDE]
        told = [
            f"of {'components' if len(which) > 1 else 'component'} {', '.join(map(str, which))}:"
        ]
        for name in names[:_LINES]:
            values = (f"{self.components[k]['means'][name]:.6g}" for k in which)
            told.append(f"{brief(name)}: {', '.join(values)}")
        if len(names) > _LINES or len(order) > _BESIDE:
            told.append(
                f"all {len(order)} components and {len(names):,} features: summary.json in the run "
                "folder"
            )
        return [("means" if i == 0 else "", line) for i, line in enumerate(told)]

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


def _counts(weighted: bool) -> str:
    """Return the header of the column with the rows of each component."""
    return "weight labelled" if weighted else "rows labelled"


def _noise(labelled: float, weighted: bool) -> str:
    """Return how many rows are noise, or their sample weight."""
    what = f"weight {counted(labelled)}" if weighted else numbered(labelled, "row")
    return f"{what} labelled -1"


def page_of_labelling(summary: Mapping[str, Any]) -> Page:
    """Make the page of a labelling from the result of `emdist.jobs.label.label_data`."""
    counts = summary["components"]
    total = sum(counts) or 1.0
    left_out, noise = summary.get("rows_left_out"), summary.get("noise")
    weighted = "rows_left_out" not in summary  # Only the weight of rows is known then.
    facts = [
        ("labels", summary["labels"]),
        ("outputs", ", ".join(summary["outputs"])),
        (summary["objective"], f"{summary['score']:.10g}"),
        ("data", f"{summary['data']}: {summary['rows']:,} rows x {summary['features']}"),
        *([("left out", f"{numbered(left_out, 'row')}, by policy")] if left_out else []),
        *([("noise", _noise(noise, weighted))] if noise is not None else []),
        ("model", summary["model"]),
    ]
    rows = largest([count / total for count in counts], counts)
    return Page(facts, ("component", "share", _counts(weighted)), rows)


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
    weighted: bool = False,
    schedule: str = "",
    more: Mapping[str, Any] | None = None,
) -> Summary:
    """Make the summary of a finished fit to `data`.

    `means` (k, d) are the locations of the components, of prepared rows if the model prepares them:
    they are shown in the units of the data. `labelled` holds the sums of the label pass, or is None
    without one: they count rows by their sample weights, if the data are `weighted`. `more` has
    further results: ``drift``, the figures of `emdist.quality.drift`, if the fit started from an
    earlier model; ``planned``, the times that were predicted and what the stages took.
    """
    if (preparation := fitted.preparation) is not None:
        means = preparation.moved_back(means)
    (rows, features), k = source.shape, fitted.n_components
    count = np.zeros(fitted.n_columns) if labelled is None else labelled["count"]
    share = count / count.sum() if minimises and labelled is not None else fitted.params.shares
    parts: list[dict[str, Any]] = [
        {"weight": float(w), "labelled": whole(n)} for w, n in zip(share, count, strict=True)
    ]
    names = fitted.feature_names
    if names is not None and len(set(names)) == features and features * k <= _TOLD:
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
        **(more or {}),
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
            **({"weighted": True} if weighted else {}),
            **({} if names is None else {"feature_names": list(names)}),
            **({} if preparation is None else preparation_facts(preparation)),
        },
        {
            "name": model,
            "components": k,
            "objective": "inertia" if minimises else "log-likelihood per row",
            **({"schedule": schedule} if schedule else {}),
        },
        result,
        tuple(parts[:k]),
        labels,
        {stage: round(value, 3) for stage, value in seconds.items()},
        versions,
    )
