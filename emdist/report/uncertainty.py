"""`StandardErrors`, `LabelStability` and `ComponentTest`: how sure a model is, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from emdist.quality.uncertainty.likelihood_ratio import LikelihoodRatio
from emdist.quality.uncertainty.parameters import Estimate
from emdist.quality.uncertainty.stability import Stability
from emdist.report.page import Page
from emdist.runtime.extras import need

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped]

#: The columns of a table by their name, all of the same length.
Table: TypeAlias = Mapping[str, Sequence[Any]]
#: How standard errors are found.
Method = Literal["information", "bootstrap"]


@dataclass(frozen=True, eq=False)
class StandardErrors:
    """The parameters of a model with standard errors and confidence intervals.

    Attributes
    ----------
    method : {'information', 'bootstrap'}
        How they were found.
    level : float
        The confidence level of the intervals.
    labels : tuple of int
        The labels of the components; -1 is noise, and comes last.
    names : tuple of str
        The names of the features of the rows that the model sees.
    estimates : tuple of Estimate
        The parameters, as arrays.
    rows : int
        The number of rows.
    passes : int
        The number of passes over the rows that it took.
    replicates : int
        The number of replicates of a bootstrap; 0 without one.
    doubts : tuple of str
        Reasons why they may be misleading.
    """

    method: Method
    level: float
    labels: tuple[int, ...]
    names: tuple[str, ...]
    estimates: tuple[Estimate, ...]
    rows: int
    passes: int
    replicates: int = 0
    doubts: tuple[str, ...] = ()

    def of(self, parameter: str) -> Estimate:
        """Return the estimate of an array of parameters by its name, such as ``means``."""
        return {one.parameter.name: one for one in self.estimates}[parameter]

    def table(self) -> Table:
        """Return a row for each number of the model, as columns by name; see `to_frame`."""
        table: dict[str, list[Any]] = {
            name: []
            for name in (
                "parameter", "component", "feature", "other", "estimate", "standard_error", "low",
                "high",
            )
        }  # fmt: skip
        for one in self.estimates:
            values = (one.parameter.values, one.errors, one.low, one.high)
            each = zip(*(np.ravel(value).tolist() for value in values), strict=True)
            for place, numbers in zip(
                one.parameter.places(self.names, self.labels), each, strict=True
            ):
                line = (place.parameter, place.component, place.feature, place.other, *numbers)
                for column, cell in zip(table.values(), line, strict=True):
                    column.append(cell)
        return table

    def to_frame(self) -> pandas.DataFrame:
        """Return a pandas data frame with a row for each number of the model.

        Columns are ``parameter``, ``component``, ``feature``, ``other`` (the second feature of a
        covariance, or the category), ``estimate``, ``standard_error``, ``low`` and ``high``.
        """
        pandas: Any = need("pandas", "A data frame of standard errors")
        return pandas.DataFrame(self.table())

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values: the facts, and a list of records as ``parameters``."""
        return {
            "method": self.method,
            "level": self.level,
            "rows": self.rows,
            "passes": self.passes,
            "replicates": self.replicates,
            "doubts": list(self.doubts),
            "parameters": _records(self.table()),
        }

    def page(self, facts: Sequence[tuple[str, str]] = ()) -> Page:
        """Return a line for each number of the model; covariances in their upper triangle."""
        how = "information matrix of the scores of rows"
        if self.replicates:
            how = f"bootstrap of {self.replicates:,} replicates, {self.passes:,} passes"
        told = [*facts, ("standard errors", how), *(("doubt", one) for one in self.doubts)]
        header = ("parameter", "of", "estimate", "standard error", f"{self.level:.0%} interval")
        rows, seen = [], set()
        for line in zip(*self.table().values(), strict=True):
            name, component, feature, other, value, error, low, high = line
            about = ", ".join(one for one in (feature, other) if one)
            key = (name, component, frozenset((feature, other)))
            if other in self.names and key in seen:
                continue  # the other half of a symmetric matrix
            seen.add(key)
            who = "all" if component is None else "noise" if component < 0 else str(component)
            span = "" if np.isnan(low) else f"{_number(low)} to {_number(high)}"
            what = f"{who}: {about}" if about else who
            rows.append([name, what, _number(value), _number(error), span])
        return Page(told, header, rows, ("parameter", "of", f"{self.level:.0%} interval"))

    def to_markdown(self) -> str:
        """Return the page as Markdown."""
        return self.page().to_markdown()


@dataclass(frozen=True, eq=False)
class LabelStability:
    """How stable the labels of a model are.

    Attributes
    ----------
    labels : tuple of int
        The labels of the components; -1 is noise, and comes last.
    found : Stability
        The figures, as arrays.
    level : float
        The share of replicates between the ends of intervals.
    doubts : tuple of str
        Reasons to doubt the labels.
    """

    labels: tuple[int, ...]
    found: Stability
    level: float
    doubts: tuple[str, ...] = ()

    @property
    def agreement(self) -> float:
        """The mean adjusted Rand index of the replicates; 1 if all labels agree."""
        return float(self.found.agreement.mean())

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        low, high = self.found.interval(self.level)
        told: dict[str, Any] = {
            "over": self.found.over,
            "replicates": len(self.found.agreement),
            "level": self.level,
            "rows": self.found.rows,
            "passes": self.found.passes,
            "adjusted_rand": self.agreement,
            "low": low,
            "high": high,
            "each": self.found.agreement.tolist(),
            "components": [
                {"component": label, "overlap": _json(value)}
                for label, value in zip(self.labels, self._overlap(), strict=True)
            ],
            "doubts": list(self.doubts),
        }
        if len(self.found.objectives):
            told["starts_as_good"], told["starts_better"] = self.found.as_good, self.found.better
        return told

    def _overlap(self) -> list[float]:
        some = ~np.isnan(self.found.overlap)
        total = np.where(some, self.found.overlap, 0.0).sum(axis=0)
        with np.errstate(invalid="ignore"):
            found: list[float] = (total / some.sum(axis=0)).tolist()
        return found

    def page(self, facts: Sequence[tuple[str, str]] = ()) -> Page:
        """Return how well labels agree, and how much of each component the replicates find."""
        low, high = self.found.interval(self.level)
        number = len(self.found.agreement)
        told = [
            *facts,
            ("labels compared over", f"{number} {self.found.over}"),
            ("adjusted Rand index", f"{self.agreement:.3f} ({low:.3f} to {high:.3f})"),
        ]
        if len(self.found.objectives):
            told.append(("starts as good as the model", f"{self.found.as_good} of {number}"))
        told += [("doubt", one) for one in self.doubts]
        rows = [
            ["noise" if label < 0 else str(label), _number(value)]
            for label, value in zip(self.labels, self._overlap(), strict=True)
        ]
        return Page(told, ("component", "overlap"), rows)

    def to_markdown(self) -> str:
        """Return the page as Markdown."""
        return self.page().to_markdown()


@dataclass(frozen=True, eq=False)
class ComponentTest:
    """A test of the components of a model against one component more.

    Attributes
    ----------
    found : LikelihoodRatio
        The likelihood ratios.
    """

    found: LikelihoodRatio

    @property
    def statistic(self) -> float:
        """Twice the log-likelihood ratio of k + 1 components and k, in nats."""
        return self.found.statistic

    @property
    def p_value(self) -> float:
        """How often k components give so large a ratio."""
        return self.found.p_value

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "components": self.found.components,
            "against": self.found.components + 1,
            "statistic": self.statistic,
            "p_value": self.p_value,
            "replicates": len(self.found.drawn),
            "drawn": self.found.drawn.tolist(),
            "passes": self.found.passes,
        }

    def page(self, facts: Sequence[tuple[str, str]] = ()) -> Page:
        """Return the test as facts."""
        k, number = self.found.components, len(self.found.drawn)
        least = " (the smallest that so many samples can give)" * (self.p_value <= 1 / (number + 1))
        told = [
            ("tested", f"{k} against {k + 1} components"),
            ("likelihood ratio", f"{_number(self.statistic)} (twice its log)"),
            ("p-value", f"{_number(self.p_value)}{least}, from {number} samples of the model"),
        ]
        return Page([*facts, *told])

    def to_markdown(self) -> str:
        """Return the page as Markdown."""
        return self.page().to_markdown()


def _records(table: Table) -> list[dict[str, Any]]:
    columns = {name: [_json(one) for one in column] for name, column in table.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _json(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.4g}"
