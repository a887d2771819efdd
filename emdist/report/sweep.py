"""`SweepSummary`: the summary of a sweep as JSON and as a page, and a figure of the criterion."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from emdist.fit.criteria import CRITERIA
from emdist.quality.ranking import Row
from emdist.report.forecast import forecast_facts
from emdist.report.lines import finite
from emdist.report.outlook import duration
from emdist.report.page import Page, data_facts

#: Size of the figure in inches, and dots per inch.
_SIZE, _DPI = (6.4, 4.0), 150


@dataclass(frozen=True)
class SweepSummary:
    """The summary of a sweep: every model, which one is best, where they are, and how long it took.

    Attributes
    ----------
    run
        Folder of checkpoints and results.
    data
        Array, shape, dtype, blocks and decoded bytes.
    criterion, best
        Name of the criterion, and name of the model that it chose.
    models
        One row per model.
    objective
        What the objectives of the models are: inertia, or log-likelihood per row.
    labels
        Location of the best model's labels, or None.
    figure
        Location of the figure, or None.
    seconds
        Time of each stage in this process alone. A resumed run spent more before.
    versions
        Versions of all software that could change a bit.
    doubts
        Kind and message of each doubt: a reason why the choice may be misleading.
    by_default
        Whether the criterion is the default of these models, and not set by the user.
    planned
        The times that were predicted, and what the stages took, or None.
    """

    run: str
    data: Mapping[str, Any]
    criterion: str
    best: str
    models: tuple[Row, ...]
    objective: str
    labels: str | None
    figure: str | None
    seconds: Mapping[str, float]
    versions: Mapping[str, str]
    doubts: tuple[Mapping[str, Any], ...] = ()
    by_default: bool = False
    planned: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values, with null for NaN, which JSON does not have."""
        values: dict[str, Any] = finite(asdict(self))
        return values

    def to_json(self) -> bytes:
        """Return the summary as readable JSON, in UTF-8."""
        return (json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n").encode()

    def to_page(self) -> Page:
        """Return the summary as a page: facts, and a table of all models."""
        criteria = list(self.models[0].criteria)
        titles = [CRITERIA[name].title for name in criteria]
        header = ("model", "k", self.objective, *titles, "iterations", "converged", "")
        return Page(self._facts(), header, [self._cells(row, criteria) for row in self.models])

    def _facts(self) -> list[tuple[str, str]]:
        return [
            ("best", f"{self.best}, {self._chosen()}"),
            *(("doubt", doubt["message"]) for doubt in self.doubts),
            ("labels", self.labels or "not written"),
            ("run folder", self.run),
            *([("figure", self.figure)] if self.figure else []),
            ("models", f"{len(self.models)}, in models/ of the run folder"),
            *data_facts(self.data),
            *forecast_facts(self.planned or {}),
            *((f"time, {stage}", duration(value)) for stage, value in self.seconds.items()),
        ]

    def _chosen(self) -> str:
        criterion = CRITERIA[self.criterion]
        title = criterion.title.partition(",")[0]  # Without its unit.
        which = f"{'lowest' if criterion.lower else 'highest'} {title} among"
        default = f" ({self.criterion} is the default criterion)" if self.by_default else ""
        sound = sum(not row.degenerate for row in self.models)
        best = next(row for row in self.models if row.name == self.best)
        if best.degenerate or sound == len(self.models):
            return f"{which} {len(self.models)} models{default}"
        return f"{which} {sound} models without components on the variance floor{default}"

    def _cells(self, row: Row, criteria: list[str]) -> tuple[str, ...]:
        k = f"{row.n_components}"
        if row.left != row.n_components:
            k += f" ({row.left} left)"
        return (
            row.name,
            k,
            # That of the final parameters, from which the criteria are computed.
            f"{row.score:.10g}",
            *(_number(row.criteria[name]) for name in criteria),
            f"{row.iterations}",
            "yes" if row.converged else "no",
            ", ".join(self._marks(row)),
        )

    def _marks(self, row: Row) -> list[str]:
        floor = [f"{len(row.degenerate)} on the floor"] if row.degenerate else []
        return [*(["best"] if row.name == self.best else []), *floor]


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.10g}"


def criterion_figure(rows: tuple[Row, ...], criterion: str, best: str) -> bytes:
    """Draw the criterion against the number of components, a line per family; return a PNG."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.add_subplot()
    for family in dict.fromkeys(row.family for row in rows):
        own = sorted((r for r in rows if r.family == family), key=lambda r: r.n_components)
        sizes = [row.n_components for row in own]
        (line,) = axes.plot(sizes, [_drawn(row, criterion) for row in own], "o-", label=family)
        marked = [row for row in own if row.degenerate]
        axes.plot(
            [row.n_components for row in marked],
            [_drawn(row, criterion) for row in marked],
            "x",
            color="black",
            markersize=9,
            zorder=line.get_zorder() + 1,
            label=f"{family}, on the variance floor" if marked else None,
        )
    chosen = next(row for row in rows if row.name == best)
    axes.axvline(chosen.n_components, color="0.6", linestyle="--", label=f"best: {best}", zorder=0)
    axes.set_xlabel("components")
    axes.set_ylabel("inertia" if criterion == "elbow" else CRITERIA[criterion].title)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=_DPI, metadata={"Software": None})
    return out.getvalue()


def _drawn(row: Row, criterion: str) -> float:
    """Return the value to draw: the criterion, or for 'elbow' the curve that may have an elbow."""
    return row.score if criterion == "elbow" else row.criteria[criterion]
